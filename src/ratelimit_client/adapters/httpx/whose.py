"""
Whose limits a request counts against.

Law of this file: the few headers that tell it are read, as bytes, and most requests are
hashed once.

Theory. One HTTP client may serve several SDK clients, each with a key of its own. So each
request is looked at, in the few headers that have a meaning for this; any other may be
new with every call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...runtime.limiter import Limiter
from ...runtime.scoped import Scoped
from ...runtime.senders import CREDENTIALS, ORGANIZATION, PROJECTS, REMEMBERED, Senders

_HOST = b"host"
_ORGANIZATION = ORGANIZATION.encode()
_PROJECTS = frozenset(name.encode() for name in PROJECTS)
_CREDENTIALS = frozenset(name.encode() for name in CREDENTIALS)
_TELLING = frozenset({_HOST, _ORGANIZATION, *_PROJECTS, *_CREDENTIALS})


class _Tells(dict[bytes, bool]):
    """Whether a header tells anything here, by its name as it is spelled: an SDK spells its names alike each time."""

    def __missing__(self, name: bytes) -> bool:
        tells = name.lower() in _TELLING
        if len(self) < REMEMBERED:
            self[name] = tells
        return tells


_TELLS = _Tells()


class Whose:
    """The scopes of the requests of one transport."""

    __slots__ = ("_known", "_senders")

    def __init__(self, limiter: Limiter) -> None:
        self._senders = Senders(limiter)
        self._known: dict[int, Scoped] = {}
        """By what Python makes of the headers for this process alone."""

    def of(self, request: Any) -> Scoped:
        """The scope of *request*."""
        told = []
        for pair in request.headers.raw:  # a comprehension is a function of its own until Python 3.12
            if _TELLS[pair[0]]:
                told.append(pair)
        mark = hash((request.url.scheme, *told))
        found = self._known.get(mark)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[mark] = self._scope(request.url.scheme, told)
        return found

    def _scope(self, scheme: str, told: Iterable[tuple[bytes, bytes]]) -> Scoped:
        host = organization = project = ""
        credentials: list[str] = []
        for raw_name, raw_value in told:
            name, value = raw_name.lower(), raw_value.decode("latin-1")
            if name == _HOST:
                host = value
            elif name == _ORGANIZATION:
                organization = value
            elif name in _PROJECTS:
                project = value
            else:
                credentials.append(value)
        return self._senders.scope(f"{scheme}://{host}", organization, project, credentials)

    def __repr__(self) -> str:
        return f"<Whose: {self._senders!r}>"
