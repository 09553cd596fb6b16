"""
Who may ask.

Law of this file: a request is for this proxy by the name it was sent to, and comes from no
web page that nobody allowed. Nothing else about it is looked at before that is settled.

Theory. What listens on loopback is for this machine, and so is the browser on it: any page
may send a request to 127.0.0.1, and by letting its own name point there it may read the
answer, too (DNS rebinding). The first kind says ``Origin`` or ``Sec-Fetch-Site``, the second
its own name in ``Host``. An address in ``Host`` cannot be pointed elsewhere; a name can.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
# Typed by a person, or sent by something that is no page.
_NO_PAGE = frozenset({"none"})


class Guests:
    """
    Args:
        bound: the addresses that are listened on.
        name: what was named to listen on.
        hosts: further names that lead here.
        origins: web pages that may ask, as ``Origin`` has them.
    """

    def __init__(
        self, bound: Iterable[str], name: str, *, hosts: Iterable[str] = (), origins: Iterable[str] = ()
    ) -> None:
        addresses = [ipaddress.ip_address(address) for address in bound]
        self.private = all(address.is_loopback for address in addresses)
        """Only this machine can come."""
        self._anywhere = any(address.is_unspecified for address in addresses)
        self._addresses = frozenset(addresses)
        self._names = frozenset(host.lower().rstrip(".") for host in (name, *hosts))
        self._origins = frozenset(origin.lower() for origin in origins)
        self._known: set[str] = set()

    def why_not(self, headers: Any) -> tuple[str, str] | None:
        """What to say to a request that is turned away, as (code, sentence); None for a guest."""
        hosts = headers.getall("Host", ())
        if len(hosts) != 1 or not (hosts[0] in self._known or self._is_ours(hosts[0])):
            return "host_not_allowed", (
                "this proxy was asked for by a name that is none of its own: ask for it by the address it listens on, "
                "or name yours with --allow-host"
            )
        origin = headers.get("Origin")
        if origin is None:
            site = headers.get("Sec-Fetch-Site")
            if site is None or site.lower() in _NO_PAGE:
                return None
        elif origin.lower() in self._origins:
            return None
        return "origin_not_allowed", (
            "this request comes from a web page, and pages are not answered: name its origin with --allow-origin if it "
            "is yours"
        )

    def _is_ours(self, host: str) -> bool:
        place = _PLACE.fullmatch(host)
        if place is None:
            return False
        name = place[1].strip("[]").rstrip(".").lower()
        ours = name in self._names or name == "localhost" or name.endswith(".localhost") or self._is_address(name)
        if ours and len(self._known) < 64:
            self._known.add(host)
        return ours

    def _is_address(self, name: str) -> bool:
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self._anywhere or address in self._addresses
