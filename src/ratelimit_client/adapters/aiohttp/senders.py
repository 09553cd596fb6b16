"""
Whose limits a request of somebody else's session counts against.

Law of this file: what a request sends of its sender decides, until an answer says more:
the origin, the organization, the project, and a fingerprint of the credential that nobody
sees. The credential itself is kept nowhere.

Theory. One session may go to several servers, with several keys. So each request is looked
at, in the few headers that have a meaning for this. What a middleware further in adds is
not seen here. Tokens that are signed and short-lived (they begin with "eyJ") are renewed by
the hour and name nobody.
"""

from __future__ import annotations

import aiohttp
from multidict import istr

from ...runtime.limiter import Limiter
from ...runtime.scoped import Scoped
from ...runtime.secret import Fingerprint

_HOST = istr("host")
_ORGANIZATION = istr("openai-organization")
_PROJECTS = (istr("openai-project"), istr("x-goog-user-project"))
_CREDENTIALS = (istr("authorization"), istr("x-api-key"), istr("api-key"), istr("x-goog-api-key"))
_SHORT_LIVED = "Bearer eyJ"
_REMEMBERED = 1000


class Senders:
    """The scopes of the requests of one middleware."""

    __slots__ = ("_limiter", "_scopes")

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._scopes: dict[Fingerprint, Scoped] = {}

    def of(self, request: aiohttp.ClientRequest) -> Scoped:
        """The scope of *request*."""
        headers = request.headers
        origin = f"{request.url.scheme}://{headers.get(_HOST, '')}"
        organization = headers.get(_ORGANIZATION, "")
        project = "".join([headers[name] for name in _PROJECTS if name in headers])
        sent = [headers[name] for name in _CREDENTIALS if name in headers]
        credentials = [value for value in sent if not value.startswith(_SHORT_LIVED)]
        mark = Fingerprint.of(("\n".join((origin, organization, project, *credentials)),))
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
        return f"<Senders: {len(self._scopes)} scopes>"
