"""
What a request says about itself.

Law of this file: a header that could change where a request goes, where it ends
or who it speaks for is ours alone; every other one is checked here, with a
sentence, and not by a parser at the far end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
# RFC 9110 leaves room for more; U+2028 and Latin-1 pass aiohttp and surprise others.
_VALUE = re.compile(r"[\x20-\x7e\t]*")
_LONGEST_VALUE = 8000
SHORTEST_KEY = 12
"""Servers that want no key are given words such as "EMPTY", and those may be shown."""

OURS: Mapping[str, str] = {
    "authorization": "give the key as api_key=",
    "host": "it follows from base_url",
    "content-length": "it follows from the body",
    "transfer-encoding": "it follows from the body",
    "connection": "connections are kept by the client",
    "keep-alive": "connections are kept by the client",
    "proxy-connection": "connections are kept by the client",
    "proxy-authorization": "a proxy belongs to a session of your own",
    "upgrade": "connections are kept by the client",
    "te": "connections are kept by the client",
    "trailer": "it follows from the body",
    "expect": "the body follows at once",
    "accept-encoding": "only gzip can be checked for completeness",
    "cookie": "no cookies are kept or sent",
    "x-client-request-id": "it is made up anew for each attempt, and errors without an answer name it",
    "idempotency-key": "give idempotency_key=, which is kept over retries",
}
"""Headers a user may not set, and what to do instead."""


class Shy(str):
    """
    Header text that prints as a mask: our key, and whatever a user adds, because that may be a key as well.

    It is a ``str`` to the library that writes it, and dots to whatever prints
    the dictionary it stands in: a traceback with locals, a debug log, a repr.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, ("...",)


def shy(headers: Mapping[Any, Any] | None) -> Mapping[Any, Any] | None:
    """A user's headers, unchecked, with values that no traceback shows (Azure's key, say, is a header like others)."""
    if not headers:
        return headers
    return {name: Shy(value) if isinstance(value, str) else value for name, value in headers.items()}


def secret(headers: Mapping[str, str]) -> Iterator[bytes]:
    """The values among *headers* that are shown to nobody; what is shorter than a key is none."""
    for value in headers.values():
        if type(value) is Shy and len(value) >= SHORTEST_KEY:
            yield value.encode()


def checked(headers: Mapping[Any, Any] | None) -> dict[str, str]:
    """
    The user's headers as a dictionary of their own.

    Raises:
        ConfigurationError: a name or value that may not be sent, or that is ours to set.
    """
    if not headers:
        return {}
    for name, value in headers.items():
        instead = OURS.get(name.lower()) if isinstance(name, str) else None
        if instead is not None:
            raise ConfigurationError(f"the header {name} cannot be set: {instead}")
        check(name, value)
    return dict(headers)


def check(name: Any, value: Any) -> None:
    """
    Raises:
        ConfigurationError: *name* and *value* make no header. The value is not shown: it may be a secret.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r:.128} is no name of a header")
    if not isinstance(value, str) or not _can_be_sent(value) or len(value) > _LONGEST_VALUE:
        message = (
            f"the header {name} has a value that cannot be sent: text of at most {_LONGEST_VALUE} "
            "printable ASCII characters, without line breaks"
        )
        raise ConfigurationError(message)


def _can_be_sent(value: str) -> bool:
    return (value.isascii() and value.isprintable()) or _VALUE.fullmatch(value) is not None


def standing(
    organization: str | None, project: str | None, user: Mapping[str, str] | None, agent: str
) -> dict[str, str]:
    """The headers of every request of a client, made once."""
    headers = {"Accept": "application/json, */*", "Accept-Encoding": "gzip", "User-Agent": agent}
    for name, value in (("OpenAI-Organization", organization), ("OpenAI-Project", project)):
        if value:
            check(name, value)
            headers[name] = value

    # One spelling, so that the type of a body replaces it.
    spelt = {"content-type": "Content-Type"}
    return merged(headers, {spelt.get(name.lower(), name): value for name, value in checked(user).items()})


def merged(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """Both; a name in *second* replaces the same name in *first* however either is written."""
    lowered = {name.lower() for name in second}
    return {**{name: value for name, value in first.items() if name.lower() not in lowered}, **second}
