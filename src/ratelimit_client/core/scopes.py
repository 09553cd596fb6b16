"""
Whose budget a call is charged to, where one limiter serves several callers.

Law of this file: a budget belongs to a scope and a key. A scope is an origin, an
organization and a project there. What an answer names is a fact; until one does, what the
caller sends of itself stands in, and where it sends no organization, a fingerprint of its
credential. Scopes of different origins are never one.

Theory. A server counts by organization and says so in its answers only. Two credentials of
one organization are two scopes until answers name the same for both; from then on they are
one. A caller keeps its scope whatever credential it sends, so a rotated key keeps its
budget, until an answer names another organization: then what it calls from there on
belongs elsewhere. One that is named by turns stands before a gateway with several accounts,
where nobody can know which one serves next: it stays where it is.

The first scope a limiter meets is its own: there keys are called what they are called, as
they are for calls that name no scope. In any other the name of a key ends in the number of
the scope, "gpt-4o @2", and shows nothing else of whose it is.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

# So often a caller goes elsewhere because of what answers say; they are no reason to fill memory.
_MOVES_MAX = 8


class ScopedKey(str):
    """
    The name of a key in another scope than the first; copies and pickles are plain text.

    Args:
        plain: what the caller calls it.
        scope: where it is.
    """

    __slots__ = ("plain", "scope")

    plain: str
    scope: Scope

    def __new__(cls, plain: str, scope: Scope) -> ScopedKey:
        name = super().__new__(cls, f"{plain} @{scope.number}")
        name.plain, name.scope = plain, scope
        return name

    def __reduce__(self) -> tuple[Callable[[str], str], tuple[str]]:
        return str, (str(self),)


@attrs.define(eq=False)
class Scope:
    """
    Args:
        number: 1 for the limiter's own.
        origin: scheme, host and port.
        organization, project: as answers name them; else as they are sent, or None.
        named, project_named: an answer has named the one, and the other.
        into: the scope that this one turned out to be.
    """

    number: int
    origin: str
    organization: str | None = attrs.field(default=None, repr=False)
    project: str | None = attrs.field(default=None, repr=False)
    named: bool = False
    project_named: bool = False
    into: Scope | None = None

    @property
    def now(self) -> Scope:
        """What it is by now."""
        scope = self
        while scope.into is not None:
            scope = scope.into
        return scope

    def key(self, plain: str) -> str:
        """What the key *plain* is called here."""
        return plain if self.number == 1 else ScopedKey(plain, self)

    def agrees(self, organization: str, project: str | None) -> bool:
        """An answer that names these is no news."""
        if not self.named or organization != self.organization:
            return False
        return project is None or (self.project_named and project == self.project)

    def contradicts(self, organization: str, project: str | None) -> bool:
        """An answer that names these comes from elsewhere."""
        if not self.named:
            return False
        return organization != self.organization or (self.project_named and project not in (None, self.project))


@attrs.define(eq=False)
class Caller:
    """
    One client of the limiter, as far as it says who it is.

    Args:
        project: as it is sent.
        heard_ns: when an answer last said something new; those to calls sent before are not heard.
        left: scopes that it is no longer in.
    """

    _scope: Scope
    project: str | None = attrs.field(default=None, repr=False)
    heard_ns: int = -1
    left: list[Scope] = attrs.field(factory=list)

    @property
    def scope(self) -> Scope:
        """Where its calls are charged."""
        if self._scope.into is not None:
            self._scope = self._scope.now
        return self._scope

    def key(self, plain: str) -> str:
        """What the key *plain* is called in its scope."""
        scope = self._scope
        if scope.into is not None:
            scope = self.scope
        return plain if scope.number == 1 else scope.key(plain)

    def go(self, scope: Scope) -> None:
        """Answers say it belongs to *scope*; one that was there before stays where it is."""
        left = [each.now for each in self.left]
        if scope not in left:
            self.left = [*left, self.scope]
            self._scope = scope


@attrs.define(eq=False)
class Scopes:
    """All scopes of one limiter."""

    count: int = 0
    _sent: dict[tuple[str, str | None, str | None, bytes | None], Scope] = attrs.field(factory=dict, repr=False)
    _named: dict[tuple[str, str, str | None], Scope] = attrs.field(factory=dict, repr=False)

    def enter(self, origin: str, organization: str | None, project: str | None, credential: bytes) -> Caller:
        """
        A caller, by what it sends of itself.

        Args:
            credential: a fingerprint; what it sends with the first call, whatever it may send later.
        """
        sent = (origin, organization, project, credential if organization is None else None)
        scope = self._sent.get(sent)
        if scope is None:
            scope = self._sent[sent] = self._new(origin, organization, project)
        return Caller(scope, project)

    def hear(
        self, caller: Caller, organization: str, project: str | None, *, sent_ns: int, now_ns: int
    ) -> tuple[Scope, Scope] | None:
        """
        An answer named the organization, and perhaps the project, that a call was counted for.

        Args:
            sent_ns: when that call was let out.

        Returns:
            (the scope that stays, the one that turned out to be the same), if there are such.
        """
        scope = caller.scope
        if scope.agrees(organization, project) or sent_ns <= caller.heard_ns:
            return None
        caller.heard_ns = now_ns
        if not scope.contradicts(organization, project):
            return self._name(scope, organization, project)
        if len(caller.left) < _MOVES_MAX:
            whose = (scope.origin, organization, caller.project if project is None else project)
            known = self._named.get(whose)
            if known is None:
                known = self._named[whose] = self._new(*whose)
                known.named, known.project_named = True, project is not None
            caller.go(known)
        return None

    def _new(self, origin: str, organization: str | None, project: str | None) -> Scope:
        self.count += 1
        return Scope(self.count, origin, organization, project)

    def _name(self, scope: Scope, organization: str, project: str | None) -> tuple[Scope, Scope] | None:
        """What was sent, or stood for it, has a name now; of two scopes of one name the first stays."""
        if scope.named and scope.organization is not None:
            self._named.pop((scope.origin, scope.organization, scope.project), None)
        told = project is not None
        whose = (scope.origin, organization, project if told else scope.project)
        known = self._named.get(whose, scope)
        kept, gone = (scope, known) if scope.number < known.number else (known, scope)
        kept.organization, kept.project, kept.named = organization, whose[2], True
        kept.project_named = told or kept.project_named
        self._named[whose] = kept
        if kept is gone:
            return None
        gone.into = kept
        return kept, gone


def plain(name: str) -> str:
    """What the caller calls the key of this name."""
    return name.plain if isinstance(name, ScopedKey) else name


def beside(name: str, key: str) -> str:
    """The name of *key* in the scope where *name* is."""
    return name.scope.key(key) if isinstance(name, ScopedKey) else key


def present(name: str) -> str:
    """What is called so by now."""
    return name.scope.now.key(name.plain) if isinstance(name, ScopedKey) else name
