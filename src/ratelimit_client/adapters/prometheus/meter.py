"""
The counts of one limiter, kept as plain integers.

Law of this file: an event costs an addition. Whatever a name from outside is used
as a label has a bound on how many there are; what comes after falls under "other".
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import accumulate

from ...core.events import Event, Kind
from ...core.scopes import plain
from ...core.units import NS

QUEUE_S = (0.005, 0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
ATTEMPT_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)

RATIO = (0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0)
"""Charged over estimated: fine around 1, where a good estimate is."""

_MOST_LIMITS = 16
_OTHER = "other"
_LONGEST_LABEL = 128

# attempts_total knows three kinds of no answer.
_CODES = {"timeout": "timeout", "connection": "connection", "tls": "connection"}


def as_label(text: str) -> str:
    """*text* as a label: short, and UTF-8. A row or a server may name things as it likes, and the page has to stand."""
    return text[:_LONGEST_LABEL].encode("utf-8", "backslashreplace").decode()


class Names:
    """The first so many different names; all later ones are "other"."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int) -> None:
        self._known: dict[str, str] = {}
        self._most = most

    def of(self, name: str) -> str:
        """*name* as a label, or "other"."""
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= self._most:
                return _OTHER
            known = self._known[name] = as_label(name)
        return known


class Amounts:
    """A histogram: how many up to each bound, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, amount: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, amount)] += 1
        self.total += amount


def cumulative(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    """Buckets as Prometheus wants them: each holds all before it, the last is +Inf."""
    names = [*(f"{bound:g}" if bound % 1 else f"{bound:.1f}" for bound in bounds), "+Inf"]
    return list(zip(names, map(float, accumulate(counts)), strict=True))


class Meter:
    """
    An instrument that counts, for all limiters of one name.

    Args:
        models: which keys have a label of their own; shared with everything else that
            is shown beside it.
    """

    kinds = frozenset({Kind.GRANTED, Kind.ANSWERED, Kind.REFUSED, Kind.FAILED, Kind.RELEASED, Kind.ESTIMATED})

    def __init__(self, models: Names) -> None:
        self.models = models
        self.limits = Names(_MOST_LIMITS)
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.queued = Amounts(QUEUE_S)
        self.held = Amounts(ATTEMPT_S)
        self.estimates = Amounts(RATIO)
        self._take: dict[Kind, Callable[[Event, str], None]] = {
            Kind.GRANTED: self._granted,
            Kind.ANSWERED: self._answered,
            Kind.REFUSED: self._refused,
            Kind.FAILED: self._failed,
            Kind.RELEASED: self._released,
            Kind.ESTIMATED: self._estimated,
        }

    def on_event(self, event: Event) -> None:
        """Count it, with the other scopes of its key."""
        self._take[event.kind](event, self.models.of(plain(event.key)))

    def gauge(self, name: str, labels: Mapping[str, str], read: Callable[[], float]) -> None:
        """Everything that can be looked up is looked up at the scrape."""

    def _granted(self, event: Event, model: str) -> None:
        self.queued.add(_seconds(event, "waited_ns"))

    def _answered(self, event: Event, model: str) -> None:
        status = event.facts.get("status")
        known = type(status) is int and 100 <= status <= 999
        self.attempts[model, str(status) if known else "protocol"] += 1

    def _refused(self, event: Event, model: str) -> None:
        unit = event.facts.get("unit")
        self.refused[model, self.limits.of(unit) if isinstance(unit, str) else "unknown"] += 1

    def _failed(self, event: Event, model: str) -> None:
        self.attempts[model, _CODES.get(str(event.facts.get("failure")), "protocol")] += 1

    def _released(self, event: Event, model: str) -> None:
        self.held.add(_seconds(event, "held_ns"))

    def _estimated(self, event: Event, model: str) -> None:
        charged, estimated = event.facts.get("charged"), event.facts.get("estimated")
        if isinstance(charged, int) and isinstance(estimated, int) and estimated > 0:
            self.estimates.add(charged / estimated)


def _seconds(event: Event, name: str) -> float:
    ns = event.facts.get(name)
    return ns / NS if isinstance(ns, int) else 0.0
