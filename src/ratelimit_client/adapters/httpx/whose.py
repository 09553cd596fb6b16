"""
Whose limits a request counts against.

Law of this file: what a request sends of its sender decides, until an answer says more:
the origin, the organization, the project, and a fingerprint of the credential that nobody
sees. The credential itself is kept nowhere.

Theory. One HTTP client may serve several SDK clients, each with a key of its own. So each
request is looked at, in the few headers that have a meaning for this; any other may be
new with every call. Tokens that are signed and short-lived (they begin with "eyJ") are
renewed by the hour and name nobody, so the budget is that of the transport they go through.
"""

from __future__ import annotations

from typing import Any

from ...runtime.limiter import Limiter
from ...runtime.scoped import Scoped
from ...runtime.secret import Fingerprint

_HOST = b"host"
_ORGANIZATION = b"openai-organization"
_PROJECTS = frozenset({b"openai-project", b"x-goog-user-project"})
_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})
_TELLING = frozenset({_HOST, _ORGANIZATION, *_PROJECTS, *_CREDENTIALS})
_SHORT_LIVED = "Bearer eyJ"
_REMEMBERED = 1000


class Whose:
    """The scopes of the requests of one transport."""

    __slots__ = ("_known", "_limiter", "_scopes")

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._scopes: dict[Fingerprint, Scoped] = {}
        self._known: dict[int, Scoped] = {}
        """By what Python makes of the headers for this process alone, so that most requests are hashed once."""

    def of(self, request: Any) -> Scoped:
        """The scope of *request*."""
        told = tuple([pair for pair in request.headers.raw if pair[0].lower() in _TELLING])
        mark = hash((request.url.scheme, told))
        found = self._known.get(mark)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[mark] = self._enter(request.url.scheme, told)
        return found

    def _enter(self, scheme: str, told: tuple[tuple[bytes, bytes], ...]) -> Scoped:
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
            elif not value.startswith(_SHORT_LIVED):
                credentials.append(value)
        origin = f"{scheme}://{host}"
        mark = Fingerprint.of((origin, organization, project, *credentials))
        found = self._scopes.get(mark)
        if found is None:
            if len(self._scopes) >= _REMEMBERED:
                self._scopes.clear()
            found = self._scopes[mark] = self._limiter.scope(
                origin,
                organization=organization or None,
                project=project or None,
                credential=Fingerprint.of(credentials),
            )
        return found

    def __repr__(self) -> str:
        return f"<Whose: {len(self._scopes)} scopes>"
