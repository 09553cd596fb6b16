"""
What one limiter counts for whoever watches it.

Law of this file: what happened costs an addition to a whole number, and cannot fail. Whatever
a name from outside counts under has a bound on how many there are; what comes after that is
"other".

Theory. Nobody reads these numbers but a scrape, once in many seconds, so all that can be left
to it is: what a bucket of a histogram is called, what fractions are, what adds up to what. A
limiter that nobody watches has no counts, and looks for them no more often than for events.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from .scopes import plain
from .units import to_ns

OTHER = "other"
UNKNOWN = "unknown"
MODELS_MAX = 32
_LIMITS_MAX = 16
# A key of another scope has a name of its own; so many are remembered, the others are looked up each time.
_KEYS_MAX = 1024
_LONGEST = 128

PPM = 1_000_000

QUEUE_NS = tuple(to_ns(s) for s in (0.005, 0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800))
HELD_NS = tuple(to_ns(s) for s in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600))
RATIO_PPM = tuple(int(PPM * ratio) for ratio in (0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 4))
"""Charged over estimated: fine around 1, where a good estimate is."""


def as_label(text: str) -> str:
    """*text* as a label: short, and UTF-8. A row or a server may name things as it likes, and the page has to stand."""
    return text[:_LONGEST].encode("utf-8", "backslashreplace").decode()


class Names:
    """The first so many different names; all later ones are "other"."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int = MODELS_MAX) -> None:
        self._known: dict[str, str] = {OTHER: OTHER}
        self._most = most + 1

    def of(self, name: str) -> str:
        """*name* as a label, or "other"."""
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= self._most:
                return OTHER
            known = self._known[name] = as_label(name)
        return known

    def shows(self, name: str) -> bool:
        """Has it a label of its own?"""
        return self.of(name) != OTHER


class Amounts:
    """A histogram: how many up to each bound and not the one before, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0

    def add(self, amount: int) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, amount)] += 1
        self.total += amount

    def merge(self, more: Amounts) -> None:
        """All that *more* holds, too."""
        self.counts = [a + b for a, b in zip(self.counts, more.counts, strict=True)]
        self.total += more.total


class Counts:
    """
    Args:
        turns: calls let out, those that waited and those that did not.
        waits: nanoseconds in the queue, of those that waited, for each turn.
        held: nanoseconds from a turn to the end of its attempt.
        estimates: millionths of the estimate that were charged.
        attempts: by model: status, or name of the failure -> how many.
        refused: by (model, limit that was named).
        heard: by (model, limit that was named), and by (model, status) of errors: the request that met it last.
    """

    __slots__ = ("_limits", "_models", "_rows", "attempts", "estimates", "heard", "held", "refused", "turns", "waits")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing has happened: so it is in a forked child."""
        self._models, self._limits = Names(), Names(_LIMITS_MAX)
        self._rows: dict[str, Counter[int | str]] = {}
        self.turns = 0
        self.waits, self.held, self.estimates = Amounts(QUEUE_NS), Amounts(HELD_NS), Amounts(RATIO_PPM)
        self.attempts: dict[str, Counter[int | str]] = {}
        self.refused: Counter[tuple[str, str]] = Counter()
        self.heard: dict[tuple[str, int | str], str] = {}

    def answered(self, key: str, status: int, request_id: str | None) -> None:
        """The head of an answer came; who asked is only of interest where it is an error."""
        row = self._rows.get(key)
        if row is None:
            row = self._row(key)
        row[status] += 1
        if status >= 400 and request_id:
            self.heard[self._models.of(plain(key)), status] = request_id

    def failed(self, key: str, failure: str) -> None:
        """No usable answer came."""
        self._row(key)[failure] += 1

    def was_refused(self, key: str, limit: str | None, request_id: str | None) -> None:
        """An answer said that a limit was met, or that one was."""
        at = (self._models.of(plain(key)), UNKNOWN if limit is None else self._limits.of(limit))
        self.refused[at] += 1
        if request_id:
            self.heard[at] = request_id

    def estimated(self, charged: int, estimated: int) -> None:
        """It was seen what an estimate was worth."""
        if estimated > 0:
            self.estimates.add(charged * PPM // estimated)

    def merge(self, more: Counts) -> None:
        """All that *more* counted, too."""
        self.turns += more.turns
        for mine, other in ((self.waits, more.waits), (self.held, more.held), (self.estimates, more.estimates)):
            mine.merge(other)
        for model, row in more.attempts.items():
            self._row(model).update(row)
        for (model, limit), count in more.refused.items():
            self.refused[self._models.of(model), self._limits.of(limit)] += count
        self.heard.update((at, name) for at, name in more.heard.items() if at[0] == self._models.of(at[0]))

    def _row(self, key: str) -> Counter[int | str]:
        """Where the attempts of a key are counted."""
        row = self._rows.get(key)
        if row is None:
            row = self.attempts.setdefault(self._models.of(plain(key)), Counter())
            if len(self._rows) < _KEYS_MAX:
                self._rows[key] = row
        return row
