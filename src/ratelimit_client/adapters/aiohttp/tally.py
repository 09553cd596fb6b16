"""
What became of a client's calls, counted.

Law of this file: plain integers, changed once a call, read whenever somebody looks;
every call that came in has exactly one outcome.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from typing import Any, Protocol

from ...core.counts import HELD_NS, OTHER, UNKNOWN, Amounts, Names
from ...core.signals import Reason
from ...core.units import to_ns, to_s
from ...dialects.features import MOST_TOKENS
from ...errors import DeadlineExceeded, DeadlineExpiredInQueue, DeadlineUnreachable, NotAdmitted, ResponseError

SECONDS = tuple(map(to_s, HELD_NS))
"""Upper bounds of the durations that are told apart."""

_WHOLE = ""
# Which part of what a usage has by this name is counted, and as what.
_COUNTED = {
    **dict.fromkeys(("prompt_tokens", "input_tokens"), (_WHOLE, "input")),
    **dict.fromkeys(("completion_tokens", "output_tokens"), (_WHOLE, "output")),
    **dict.fromkeys(("prompt_tokens_details", "input_tokens_details"), ("cached_tokens", "cached_input")),
    **dict.fromkeys(("completion_tokens_details", "output_tokens_details"), ("reasoning_tokens", "reasoning")),
}

_MOST = 1024
"""Names of keys come from outside, from the rows of a file say: so many are told apart, the rest are "other"."""

_LIMITS_MOST = 16
"""Servers name limits as they like: so many are told apart."""


class Marks(Protocol):
    """Whoever wants examples of calls; asked and told in the task of the call. Neither ever raises."""

    def due(self, seconds: float) -> bool:
        """Is one wanted that took so long?"""
        ...

    def note(self, seconds: float, request_id: str | None) -> None:
        """Here is one."""
        ...


class Operation(Protocol):
    """One call, as a watcher tells of it. Nothing here ever raises."""

    def opened(self) -> None:
        """The first event of a stream is there: the task that asked goes on with something else, and the call lasts."""
        ...

    def answered(
        self, *, usage: object, attempts: int, request_id: str | None, model: object = None, name: object = None
    ) -> None:
        """A success came: what it says that it used, after how many tries, and its names, without what may be a key."""
        ...

    def ended(self, error: BaseException | None = None, *, why: str | None = None) -> None:
        """It is over: well, with *error*, or for *why*."""
        ...


class Watcher(Protocol):
    """Whoever tells of calls elsewhere; asked in the task of the call. It never raises."""

    def began(self, call: Any, /) -> Operation | None:
        """A call is to be made; None: nothing is told of it."""
        ...


class Tally:
    """
    The counts of one client.

    Args:
        outcomes: by (key, outcome): success, error, expired, cancelled or rejected.
        retries: by (key, what made it necessary).
        failures: attempts without success, by status or by what came instead of an answer.
        refusals: those of them that a rate limit refused, by the limit they named.
        exhausted: answers by key that said the account is out of money.
        tokens: by (key, kind): input, output, cached_input or reasoning, as answers say.
        seconds: calls by duration: one count for each bound of ``SECONDS``, and one beyond.
        total_s: seconds of all calls together.
        first: nanoseconds from the start of the attempt that was answered to the first event of a stream.
        last_s: seconds of the call that was added last.
        marks: who wants examples, or None.
        watcher: who tells of calls elsewhere, or None.
    """

    __slots__ = (
        "_limits",
        "exhausted",
        "failures",
        "first",
        "last_s",
        "marks",
        "outcomes",
        "refusals",
        "retries",
        "seconds",
        "tokens",
        "total_s",
        "watcher",
    )

    def __init__(self) -> None:
        self.marks: Marks | None = None
        self.watcher: Watcher | None = None
        self.clear()

    def clear(self) -> None:
        """Nothing has happened."""
        self.first = Amounts(HELD_NS)
        self.retries: Counter[tuple[str, str]] = Counter()
        self.exhausted: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self._limits = Names(_LIMITS_MOST + 1)
        self._limits.of(UNKNOWN)
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.seconds = [0] * (len(SECONDS) + 1)
        self.total_s = self.last_s = 0.0

    def begin(self, call: Any) -> Operation | None:
        """A call is to be made: who tells of it, if anybody does."""
        return None if self.watcher is None else self.watcher.began(call)

    def add(self, key: str, outcome: str, seconds: float) -> None:
        """One call is over."""
        outcomes = self.outcomes
        at = (key, outcome)
        if at not in outcomes and len(outcomes) >= _MOST:
            at = (OTHER, outcome)
        outcomes[at] += 1
        self.last_s = seconds
        self.seconds[bisect_left(SECONDS, seconds)] += 1
        self.total_s += seconds

    def began(self, seconds: float) -> None:
        """The first event of a stream came, so long after it was sent."""
        self.first.add(to_ns(seconds))

    def merge(self, more: Tally) -> None:
        """All that *more* counted, too."""
        for mine, other in ((self.retries, more.retries), (self.outcomes, more.outcomes), (self.tokens, more.tokens)):
            mine.update(other)
        self.exhausted.update(more.exhausted)
        self.failures.update(more.failures)
        for limit, count in more.refusals.items():
            self.refusals[self._limits.of(limit)] += count
        self.seconds = [a + b for a, b in zip(self.seconds, more.seconds, strict=True)]
        self.total_s += more.total_s
        self.first.merge(more.first)

    def used(self, key: str, usage: object) -> None:
        """What one answer says it used, as far as that can be believed."""
        if not isinstance(usage, dict):
            return
        tokens = self.tokens
        for name, value in usage.items():
            if (found := _COUNTED.get(name)) is None:
                continue
            part, kind = found
            if part:
                value = value.get(part) if isinstance(value, dict) else None
            if type(value) is int and 0 < value <= MOST_TOKENS:
                at = (key, kind)
                if at not in tokens and len(tokens) >= _MOST:
                    at = (OTHER, kind)
                tokens[at] += value

    def tried_again(self, key: str, why: str) -> None:
        """An attempt after the first, and what made it necessary."""
        at = (key, why)
        self.retries[at if at in self.retries or len(self.retries) < _MOST else (OTHER, why)] += 1

    def went_wrong(self, code: str, error: ResponseError | None = None) -> None:
        """An attempt had no success; *error* is what its answer means."""
        self.failures[code] += 1
        if error is not None and error.reason == Reason.RATE_LIMITED:
            limit = None if error.signals is None else error.signals.unit
            self.refusals[self._limits.of(UNKNOWN if limit is None else limit)] += 1

    def ran_out(self, key: str) -> None:
        """An answer said that the account is out of money."""
        self.exhausted[key if key in self.exhausted or len(self.exhausted) < _MOST else OTHER] += 1


def tell_end(error: BaseException, operation: Operation | None) -> str:
    """The word for it, and whoever tells of the call is told."""
    if operation is not None:
        operation.ended(error)
    return outcome_of(error)


def outcome_of(error: BaseException) -> str:
    """The word for how a call ended that brought no reply."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if isinstance(error, DeadlineExceeded | DeadlineExpiredInQueue):
        return "expired"
    if isinstance(error, NotAdmitted | DeadlineUnreachable):
        return "rejected"
    return "error"
