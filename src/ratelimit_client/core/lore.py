"""
What processes that share a budget tell those that come later: how a server charges, and how fast it lets calls in.

Law of this file: what is told is evidence, never a conclusion, and nobody's word counts more
than another's. A word is whole and takes the place of the one before; of all words the newest
of ``MOST_TELLERS`` processes are kept, for a day. So a word that is told twice, late or in
another order than its neighbours changes nothing.

Theory. Coefficients cannot be averaged: two servers' worth of them, or two halves of one job,
mix into a rule that nobody uses. Pieces of evidence can be put together, and the fit through
them is their median: one teller among several that lies, or is of last week, is a minority of
pieces and moves nothing. One that is alone is believed within the bounds of every estimate,
and what the process learns itself soon outnumbers it. It passes on its own evidence only, so
a lie does not come back as two.

A rate that was learnt from refusals is a process's own share. Who comes later begins with the
median of the others' shares, less what making room for one more takes from each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import attrs

from .fitting import Evidence
from .scopes import plain
from .units import NS

if TYPE_CHECKING:
    from .keystate import KeyState

MOST_TELLERS = 8
MOST_RULES = 4
MOST_PIECES = 6
"""Of one rule, by one process."""

KEPT_US = 86_400_000_000
"""How long a word is heeded; a server that charged in some way yesterday does so today, and next week who knows."""

_RATE_KEPT_US = 600_000_000
_EACH_NS = 60 * NS
# Calls per 1000 s: what a learner begins with that was refused before it could measure anything.
_SLOWEST = 1000
_EVER_NS = 1 << 62
_MOST_HEEDED = 32


@attrs.frozen
class Lore:
    """
    One process's word.

    Args:
        rate: calls per 1000 s that it learnt from refusals; 0: it learnt none.
        rules: evidence of what was charged, by the ``mark`` of a key and an endpoint.
    """

    rate: int = 0
    rules: tuple[tuple[str, tuple[Evidence, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rate or self.rules)


@attrs.frozen
class Told:
    """A word, and how long ago it was told."""

    age_us: int
    lore: Lore


@attrs.frozen
class Heard:
    """
    What several words come to.

    Args:
        rate: what a process that comes now is to begin with; 0: nobody learnt one.
        rules: pieces of evidence by mark.
    """

    rate: int
    rules: Mapping[str, Sequence[Evidence]]


def mark(key: str, endpoint: str | None) -> str:
    """What a key and an endpoint are called outside; shows neither."""
    return hashlib.sha256(f"{key}\n{endpoint}".encode()).hexdigest()[:12]


def lore_of(states: Iterable[KeyState]) -> Lore:
    """What the keys of one budget have learnt by themselves, as far as there is room."""
    rules: list[tuple[int, str, tuple[Evidence, ...]]] = []
    rate = 0
    for state in states:
        learner = state.budget.learner
        if learner.bucket is not None and not learner.heard:
            rate = learner.bucket.limit
        for endpoint, lessons, pieces in state.estimator.learnt(MOST_PIECES):
            rules.append((-lessons, mark(plain(state.name), endpoint), pieces))
    rules.sort(key=lambda each: each[:2])
    return Lore(rate, tuple((name, pieces) for _, name, pieces in rules[:MOST_RULES]))


def heard(told: Iterable[Told], *, members: int) -> Heard:
    """
    What to make of all words.

    Args:
        members: processes that share the budget, the one that hears with them.
    """
    fresh = sorted((each for each in told if each.age_us < KEPT_US), key=lambda each: (each.age_us, repr(each.lore)))
    columns: dict[str, list[Sequence[Evidence]]] = {}
    for each in fresh:
        for name, pieces in each.lore.rules:
            columns.setdefault(name, []).append([piece for piece in reversed(pieces) if _is_sane(piece)])
    rules = {
        # Of each teller the last, then of each the one before it, and so on.
        name: [attrs.evolve(piece, weight=1) for row in zip_longest(*of) for piece in row if piece][:_MOST_HEEDED]
        for name, of in columns.items()
    }
    rates = sorted(each.lore.rate for each in fresh if each.lore.rate > 0 and each.age_us < _RATE_KEPT_US)
    rate = rates[(len(rates) - 1) // 2] if rates else 0
    others = members - 1
    if rate and others > 0:
        rate = max(1, rate * others // members)
    # A word that is nearly alone may be wrong, and who begins too slowly would find out too late.
    return Heard(rate if len(rates) > 2 or not rate else max(rate, _SLOWEST), rules)


def _is_sane(piece: Evidence) -> bool:
    most = 1 << 45
    return 0 < piece.charged <= most and all(0 <= term <= most for term in piece.terms) and piece.terms[-1] > 0


@attrs.define(eq=False)
class Telling:
    """
    When one process tells and asks.

    Args:
        heard_ns: when it heard what others told; None: never.
        rules: what that was.
    """

    heard_ns: int | None = None
    rules: Mapping[str, Sequence[Evidence]] = attrs.field(factory=dict)
    _said: Lore = attrs.field(factory=Lore)
    _saying: Lore | None = None
    _said_ns: int = -_EVER_NS

    def word(self, states: Iterable[KeyState], *, leaves: bool, now_ns: int) -> Lore | None:
        """What to tell now; None: nothing, or nothing new."""
        self._saying = None
        if now_ns - self._said_ns >= _EACH_NS or leaves:
            lore = lore_of(states)
            if lore and lore != self._said:
                self._saying = lore
        return self._saying

    def asks(self, *, now_ns: int) -> bool:
        """To ask what others tell: at first, and once a minute, for somebody may know more by then."""
        return self.heard_ns is None or now_ns - self.heard_ns >= _EACH_NS

    def hear(self, told: Iterable[Told], *, members: int, now_ns: int) -> Heard | None:
        """What others told comes to this; None: it was not asked for."""
        if not self.asks(now_ns=now_ns):
            return None
        first, self.heard_ns = self.heard_ns is None, now_ns
        found = heard(told, members=members)
        return found if first else attrs.evolve(found, rate=0)

    def answered(self, *, forgotten: bool, now_ns: int) -> None:
        """The store has it now; *forgotten*: and nothing else, for it lost its memory."""
        if forgotten:
            self._said, self._said_ns = Lore(), -_EVER_NS
        if self._saying is not None:
            self._said, self._said_ns = self._saying, now_ns
