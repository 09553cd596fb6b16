"""
Whose limits a call of a client counts against.

Law of this file: what a request sends of its sender decides, until an answer says more:
the origin, the organization, the project and, as a fingerprint that nobody sees, whatever
may be a credential. The key is looked at once, with the first call: one that is rotated
keeps the budget.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...runtime.limiter import Limiter
from ...runtime.scoped import Scoped
from ...runtime.secret import Fingerprint
from .credentials import Credentials
from .headers import merged
from .url import Base

_ORGANIZATIONS = frozenset({"openai-organization"})
_PROJECTS = frozenset({"openai-project", "x-goog-user-project"})
# Azure's key is the header api-key, Gemini's may be the parameter key.
_CREDENTIAL = re.compile(r"key|token|secret|auth", re.IGNORECASE)
_REMEMBERED = 1000

_Sent = tuple[str | None, str | None, Fingerprint]


class Whose:
    """
    The scopes of one client's calls: one, unless a call sends headers of its own that say otherwise.

    Args:
        standing: the headers of every request.
    """

    def __init__(self, limiter: Limiter, base: Base, credentials: Credentials, standing: Mapping[str, str]) -> None:
        self._limiter = limiter
        self._base = base
        self._credentials = credentials
        self._standing = standing
        self._first: Scoped | None = None
        self._key = Fingerprint()
        self._others: dict[_Sent, Scoped] = {}

    @property
    def number(self) -> int:
        """Of the scope of its ordinary calls; 1 before the first of them."""
        return 1 if self._first is None else self._first.number

    def of(self, own: Mapping[str, str] | None = None) -> Scoped:
        """The scope of a call; there is a key by now, if there is to be one. *own*: the headers of this call alone."""
        if self._first is None:
            key = self._credentials.key
            self._key = Fingerprint.of(() if key is None else (key,))
            self._first = self._enter(*self._sent(self._standing))
        if own is None or not any(_tells(name) for name in own):
            return self._first
        sent = self._sent(merged(self._standing, own))
        found = self._others.get(sent)
        if found is None:
            if len(self._others) >= _REMEMBERED:
                self._others.clear()
            found = self._others[sent] = self._enter(*sent)
        return found

    def _enter(self, organization: str | None, project: str | None, credential: Fingerprint) -> Scoped:
        origin = str(self._base.origin)
        return self._limiter.scope(origin, organization=organization, project=project, credential=credential)

    def _sent(self, headers: Mapping[str, str]) -> _Sent:
        """Organization, project and credentials of a request with these headers."""
        organization = project = None
        credentials = [(name, value) for name, value in self._base.default_query if _CREDENTIAL.search(name)]
        for name, value in headers.items():
            lowered = name.lower()
            if lowered in _ORGANIZATIONS:
                organization = value or None
            elif lowered in _PROJECTS:
                project = value or None
            elif _CREDENTIAL.search(lowered):
                credentials.append((lowered, value))
        values = [value for _, value in sorted(credentials)]
        return organization, project, Fingerprint.of([self._key.hex(), *values])

    def __repr__(self) -> str:
        return f"<Whose @{self.number}>"


def _tells(name: str) -> bool:
    """A header of this name says something of the sender."""
    lowered = name.lower()
    return lowered in _ORGANIZATIONS or lowered in _PROJECTS or _CREDENTIAL.search(lowered) is not None
