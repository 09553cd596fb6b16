"""What a caller is owed: one end, in time, and the answer to what was asked."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx

from ratelimit_client import RateLimitClientError
from ratelimit_client.core.units import NS

from ..check import Check
from ..world import DAWDLES_S, OF_CLIENTS, TRIES_ONCE

if TYPE_CHECKING:
    from ratelimit_client.core.keystate import KeyState
    from ratelimit_client.core.ticket import Ticket
    from ratelimit_client.testing import Answer

    from ..check import Levels
    from ..records import Record
    from ..watching import Watched

_OF_SESSIONS = (aiohttp.ClientError, httpx.HTTPError, asyncio.TimeoutError, ConnectionError, json.JSONDecodeError)


class OneEnd(Check):
    """I2. Each call ends once, after it began: with an answer, a typed error, or a cancellation that was asked for."""

    def ended(self, record: Record) -> None:
        if record.began_ns is None or record.ends != 1:
            self.broken(f"{record} ended {record.ends} times")
        error = record.error
        if isinstance(error, asyncio.CancelledError):
            if not record.cancelled:
                self.broken(f"{record} was cancelled by nobody")
            return
        # aiohttp enters its timer twice, and so takes a cancellation at the instant of its total timeout for its own.
        swallowed = record.call.total_s is not None and type(error) is TimeoutError
        if record.cancelled and not swallowed:
            self.broken(f"{record} had been cancelled")
        typed = isinstance(error, RateLimitClientError)
        if record.party.way not in OF_CLIENTS:
            typed = typed or isinstance(error, _OF_SESSIONS)
        if error is not None and not typed:
            self.broken(f"{record} ended with {error!r}")

    def rests(self) -> None:
        for record in self.day.records.values():
            if record.began_ns is not None and record.ended_ns is None:
                self.broken(f"{record} never ended")


class InTime(Check):
    """
    I10. A call with a deadline ends by then, whatever happens to the network, the server or the queue; that of a guest
    has begun to be answered. By a total timeout it ends, too, which aiohttp rounds up to a second.
    """

    def ended(self, record: Record) -> None:
        self._within_total(record)
        deadline_s = record.call.deadline_s
        if deadline_s is None or record.began_ns is None or record.ended_ns is None:
            return
        if record.party.way in ("bare", "items"):
            return  # one has no body that could be cancelled, the other was given none
        ended_ns = record.headed_ns or record.ended_ns
        late_s = (ended_ns - record.began_ns) / NS - deadline_s - self.day.stalled_s
        if record.party.way == "proxy":
            weather = self.day.world.weather
            if weather.kinds:
                return  # the way to the proxy is the caller's own
            late_s -= 10 * (weather.latency_s + weather.jitter_s)
        if late_s > 1e-5:
            self.broken(f"{record} had {deadline_s:g} s and ended {late_s:g} s later")

    def _within_total(self, record: Record) -> None:
        total_s = record.call.total_s
        if total_s is None or record.began_ns is None or record.ended_ns is None:
            return
        late_s = (record.ended_ns - record.began_ns) / NS - total_s - self.day.stalled_s
        late_s -= DAWDLES_S if record.call.quirk == "dawdles" else 0.0  # while nobody reads, no timer runs
        if late_s > (1.02 if total_s >= 5 else 0.02):
            self.broken(f"{record} had {total_s:g} s in all and ended {late_s:g} s later")


class ItsOwnAnswer(Check):
    """I11. What a call brings is the whole answer to that very call, and one that the server gave."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._given: Counter[str] = Counter()

    def arrived(self, gate: int, answer: Answer, now_ns: int) -> None:
        if answer.kind is None and answer.caller.mark is not None:
            self._given[answer.caller.mark] += 1

    def ended(self, record: Record) -> None:
        if record.error is not None:
            return
        if record.text is None or not record.text.startswith(f"Answer to {record.mark}: "):
            self.broken(f"{record} got {record.text!r}")
        if not self._given[record.mark] and record.call.quirk != "unsent":
            self.broken(f"{record} got an answer that nobody gave")


class AsksOnce(Check):
    """
    I8. A call stands in the queue once, whatever its HTTP client repeats on its own; and where its body can be sent
    once, it reaches the server once.
    """

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._asked: Counter[str] = Counter()
        self._came: Counter[str] = Counter()

    def submitted(self, of: Watched, ticket: Ticket, now_ns: int) -> None:
        task = asyncio.current_task()
        record = self.day.records.get(task.get_name().removeprefix("call ")) if task is not None else None
        if record is None or record.party.way in ("map", "realtime"):
            return
        self._asked[record.mark] += 1
        if self._asked[record.mark] > 1:
            self.broken(f"{record} asked {self._asked[record.mark]} times")

    def arrived(self, gate: int, answer: Answer, now_ns: int) -> None:
        record = self.day.records.get(answer.caller.mark or "")
        if record is None or record.call.quirk != "once":
            return
        self._came[record.mark] += 1
        if self._came[record.mark] > 1:
            self.broken(f"{record} came {self._came[record.mark]} times, with a body that can be sent once")


class SaysHowOften(Check):
    """I24. A proxy tells with an answer it hands on that the call was sent at least as often as the server saw it."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._came: Counter[str] = Counter()

    def arrived(self, gate: int, answer: Answer, now_ns: int) -> None:
        self._came[answer.caller.mark or ""] += 1

    def ended(self, record: Record) -> None:
        came = self._came[record.mark]
        if record.attempts is not None and came > record.attempts:
            self.broken(f"{record} came {came} times, and the proxy says {record.attempts}")
        if record.party.way == "proxy" and record.error is None and not record.attempts:
            self.broken(f"{record} was answered, and the proxy says {record.attempts}")


class EveryRequestMetered(Check):
    """I8. No request reaches a server that was not let out, and none twice: not by a redirect, not by a repeat."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._out: Counter[int] = Counter()
        self._seen: Counter[int] = Counter()
        self._ids: set[str] = set()

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        self._out[of.gate] += bool(ticket.cost.pairs)  # a handshake costs nothing, and no server counts it

    def withdrawn(self, of: Watched, ticket: Ticket, moved: Levels, now_ns: int) -> None:
        self._out[of.gate] -= bool(ticket.cost.pairs)

    def arrived(self, gate: int, answer: Answer, now_ns: int) -> None:
        self._seen[gate] += 1
        if self._seen[gate] > self._out[gate]:
            self.broken(f"gate {gate}: {self._seen[gate]} requests came of {self._out[gate]} that were let out")
        own = answer.caller.client_request_id
        if own is not None and own in self._ids:
            self.broken(f"gate {gate}: the request {own} came twice")
        if own is not None:
            self._ids.add(own)

    def rests(self) -> None:
        if self.day.world.calm and self._seen != +self._out:
            self.broken(f"on a calm day {dict(self._out)} were let out and {dict(self._seen)} came")


class Owed(Check):
    """I1b. On a calm day every call is answered; and with the server's own quotas typed nothing is ever refused."""

    def ended(self, record: Record) -> None:
        if self.day.world.calm and record.error is not None and self._waits(record):
            self.broken(f"{record} on a calm day: {record.error}")

    def arrived(self, gate: int, answer: Answer, now_ns: int) -> None:
        if self.day.world.calm and answer.kind is not None and self._knows(gate):
            self.broken(f"gate {gate}: {answer.caller.mark} was refused: {answer.kind} {answer.refusal}")

    def _knows(self, gate: int) -> bool:
        world = self.day.world
        return world.gates[gate].quotas == world.sites[0].limits

    def _waits(self, record: Record) -> bool:
        """It outlives the refusals by which limits are learnt, or there will be none."""
        policy = self.day.world.gates[record.gate].policy
        patient = (policy.max_refusals is None or policy.max_refusals >= 50) and policy.max_hint_s >= 120
        return self._knows(record.gate) or (patient and record.party.way not in TRIES_ONCE)
