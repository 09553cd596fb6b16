"""
Whose limits the requests of somebody else's HTTP client count against.

Law of this file: what a request sends of its sender decides, until an answer says more:
the origin, the organization, the project, and a fingerprint of the credential that nobody
sees. The credential itself is kept nowhere.

Theory. One session, or one transport, may go to several servers with several keys. Tokens
that are signed and short-lived (they begin with "eyJ") are renewed by the hour and name
nobody, so the budget is that of whatever they go through.
"""

from __future__ import annotations

from collections.abc import Iterable

from .limiter import Limiter
from .scoped import Scoped
from .secret import Fingerprint

ORGANIZATION = "openai-organization"
PROJECTS = ("openai-project", "x-goog-user-project")
CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""Names of the headers that tell it, in lower case."""

REMEMBERED = 1000
_SHORT_LIVED = "Bearer eyJ"


class Senders:
    """
    The scopes of those who send through one place.

    Args:
        limiter: whose scopes they are.
    """

    __slots__ = ("_limiter", "_scopes")

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._scopes: dict[Fingerprint, Scoped] = {}

    def scope(self, origin: str, organization: str, project: str, credentials: Iterable[str]) -> Scoped:
        """
        The scope of one sender.

        Args:
            origin: scheme and host.
            organization, project: as the request names them; "" for none.
            credentials: the values of the headers that may be one.
        """
        lasting = [value for value in credentials if not value.startswith(_SHORT_LIVED)]
        mark = Fingerprint.of((origin, organization, project, *lasting))
        found = self._scopes.get(mark)
        if found is None:
            if len(self._scopes) >= REMEMBERED:
                self._scopes.clear()
            found = self._scopes[mark] = self._limiter.scope(
                origin,
                organization=organization or None,
                project=project or None,
                credential=Fingerprint.of(lasting),
            )
        return found

    def __repr__(self) -> str:
        return f"<Senders: {len(self._scopes)} scopes>"
