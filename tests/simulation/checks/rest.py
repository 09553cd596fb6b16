"""What is left when all is over: nothing, and no secret anywhere."""

from __future__ import annotations

import pickle
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any

from ratelimit_client import RateLimitClientError

from ..check import Check
from ..world import OF_CLIENTS

if TYPE_CHECKING:
    from ..records import Record


class NothingLeft(Check):
    """
    I3, I12, I25. In the end no task, timer or connection is left, no call waits or is out, and nothing is remembered
    of one.
    """

    def rests(self) -> None:
        if self.day.left_behind:
            self.broken(f"left behind: {self.day.left_behind}")
        for limiter, of in zip(self.day.limiters, self.day.watched, strict=True):
            statistics = limiter.statistics()
            keys = statistics.keys.values()
            if statistics.queued or statistics.in_flight or any(key.oldest_wait_s for key in keys):
                self.broken(f"gate {of.gate}: {limiter!r} is not at rest")
            dispatcher = limiter._desk.dispatcher
            if dispatcher.pausing or dispatcher.on_room or dispatcher._resting or dispatcher._alarm.is_set:
                self.broken(f"gate {of.gate}: somebody is still remembered")
            for state in of.keys.values():
                if list(state.queue.tickets()) or any(state.queue.queued(unit, band) for unit in ("requests", "tokens")
                                                     for band in range(-2, 3)):  # fmt: skip
                    self.broken(f"gate {of.gate}: the queue of {state.name} still counts somebody")
                for buckets in state.budget.by_unit.values():
                    if any(bucket.escrow is not None and bucket.escrow.owner is not None for bucket in buckets):
                        self.broken(f"gate {of.gate}: {state.name} still holds something for somebody")


class NoSecrets(Check):
    """I23. The key stands in no text of an error, its pickle, its traceback with all locals, and in no repr."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._seen: set[tuple[type, str]] = set()

    def _look(self, what: str, *texts: object) -> None:
        from ..day import KEY, OTHER_KEY

        if any(key in str(text) for text in texts for key in (KEY, OTHER_KEY)):
            self.broken(f"the key is in {what}")

    def ended(self, record: Record) -> None:
        error = record.error
        if not isinstance(error, RateLimitClientError) or (type(error), record.party.way) in self._seen:
            return
        self._seen.add((type(error), record.party.way))
        self._look(f"the error of {record}", error, repr(error), vars(error), pickle.dumps(error))
        if record.party.way in OF_CLIENTS:
            frames = traceback.TracebackException.from_exception(error, capture_locals=True)
            self._look(f"the traceback of {record}", *frames.format())

    def rests(self) -> None:
        self._look("a repr", *map(repr, self.day.clients))
        for limiter in self.day.limiters:
            self._look("a repr", repr(limiter), limiter.statistics(), limiter.explain("gpt-4o"))


class Counted(Check):
    """I24. A client's outcomes add up to the calls that were made, and say what their callers saw."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._ends: dict[int, Counter[str]] = {}
        self._perhaps: dict[int, Counter[str]] = {}

    def ended(self, record: Record) -> None:
        if self.day.clients[record.gate] is None:
            return
        ends = self._ends.setdefault(record.gate, Counter())
        if record.outcomes is not None:  # each response of a session is counted
            ends += record.outcomes
            self._perhaps.setdefault(record.gate, Counter()).update(record.perhaps)
        else:
            ends["success" if record.error is None else outcome_of(record.error)] += 1

    def rests(self) -> None:
        for gate, client in enumerate(self.day.clients):
            if client is None:
                continue
            counts: Counter[str] = Counter()
            for (_, outcome), count in client.tally.outcomes.items():
                counts[outcome] += count
            ends = self._ends.get(gate, Counter())
            perhaps = self._perhaps.get(gate, Counter())
            ends += perhaps & (counts - ends)
            # A task that was cancelled before its first step has never come to the client.
            if counts["cancelled"] > ends["cancelled"] or counts - ends or ends - counts - Counter(cancelled=10**6):
                self.broken(f"gate {gate}: the client counts {dict(counts)}, its callers saw {dict(ends)}")
            if sum(client.tally.seconds) != counts.total():
                self.broken(f"gate {gate}: {sum(client.tally.seconds)} durations of {counts.total()} calls")


def outcome_of(error: BaseException) -> str:
    name = type(error).__name__
    if name == "CancelledError":
        return "cancelled"
    if name in ("DeadlineExceeded", "DeadlineExpiredInQueue"):
        return "expired"
    return (
        "rejected" if name in ("QueueFull", "WouldBlock", "Closed", "DeadlineUnreachable", "NotAdmitted") else "error"
    )
