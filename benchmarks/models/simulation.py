"""
A scheduler and a model server in virtual time, a million steps a second or so.

One heap of (instant, number, what): nothing sleeps and nothing is random that the
seed does not give. Calls take a way to the server and a way back, which may
differ from call to call, so requests overtake each other as they do in a network.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.retry import CallHistory, RetryAt, RetryPolicy
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.signals import Reason
from ratelimit_client.core.ticket import Ticket
from ratelimit_client.core.units import to_ns, to_s
from ratelimit_client.testing import ModelServer

OPENAI = ServerProfile(pays={"requests": "requests", "tokens": "tokens"}, refill=Refill.CONTINUOUS, reset_is_exact=True)


class World:
    """Virtual time: what happens next."""

    def __init__(self, seed: int) -> None:
        self.now_ns = 0
        self.dice = random.Random(seed)
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    def at(self, at_ns: int, what: Callable[..., None], *args: Any) -> None:
        self._number += 1
        heapq.heappush(self._heap, (max(at_ns, self.now_ns), self._number, what, args))

    def run(self, until_ns: int) -> None:
        while self._heap and self._heap[0][0] <= until_ns:
            self.now_ns, _, what, args = heapq.heappop(self._heap)
            what(*args)


@attrs.define
class Job:
    """One call to make."""

    model: str = "gpt-4o"
    chars: int = 0
    max_tokens: int | None = None
    tokens: int | None = None
    done: bool = False
    failed: str | None = None


@attrs.define
class Report:
    """What came of one client."""

    seconds: float
    done: int
    failed: int
    sent: int
    refused: int

    @property
    def refused_percent(self) -> float:
        return 100 * self.refused / max(1, self.sent)


class Client:
    """
    One process with one scheduler.

    Args:
        out_s, back_s: the way there and back, (least, most) in seconds.
        in_flight: max_in_flight.
        reports_written: the grant's write is reported after the way's jitter.
        told: quotas typed in.
        machine: what makes its scheduler.
    """

    def __init__(
        self,
        world: World,
        server: ModelServer,
        jobs: Iterable[Job],
        *,
        in_flight: int = 2000,
        out_s: tuple[float, float] = (0.001, 0.001),
        back_s: tuple[float, float] = (0.001, 0.001),
        jitter_s: float | None = None,
        ahead: int = 64,
        told: Any = (),
        policy: RetryPolicy | None = None,
        start_s: float = 0.0,
        profile: ServerProfile = OPENAI,
        machine: Callable[..., Scheduler] = Scheduler,
    ) -> None:
        self.world, self.server = world, server
        self.jobs = iter(jobs)
        self.out_s, self.back_s = out_s, back_s
        self.ahead = ahead
        self.policy = policy or RetryPolicy.bulk()
        self.scheduler = machine(
            quotas=told, profile=profile, max_in_flight=in_flight, dice=world.dice.random, now_ns=0
        )
        if jitter_s is not None:
            self.scheduler.jitter.ns = to_ns(jitter_s)
        self.writes = jitter_s is None
        self.scheduler.reports_written = self.writes
        self.histories: dict[Ticket, tuple[Job, CallHistory]] = {}
        self.sent = self.refused = self.done = self.failed = 0
        self.last_ns = 0
        self.ended = False
        self._timer = 0
        self.log: list[tuple[float, int]] = []
        world.at(to_ns(start_s), self.pump)

    # -- the shell, as the runtime does it ------------------------------------

    def pump(self) -> None:
        now_ns = self.world.now_ns
        while not self.ended and self.scheduler.queued < self.ahead:
            job = next(self.jobs, None)
            if job is None:
                self.ended = True
                self.scheduler.end_of_input(now_ns=now_ns)
                break
            self.submit(job, now_ns)
        self.turn()

    def submit(self, job: Job, now_ns: int) -> None:
        cost = features = None
        if job.tokens is not None:
            cost = Cost(1, tokens=job.tokens)
        elif job.chars:
            features = Features(job.chars, job.max_tokens or 0)
        else:
            cost = Cost(1)
        ticket = self.scheduler.submit(job.model, cost=cost, features=features, now_ns=now_ns)
        self.histories[ticket] = (job, CallHistory(now_ns))
        if ticket.order >= 0:
            self.send(ticket)

    def turn(self) -> None:
        now_ns = self.world.now_ns
        again = True
        while again:
            turn = self.scheduler.poll(now_ns=now_ns)
            for ticket in turn.granted:
                self.send(ticket)
            for ticket in turn.expired:
                self.histories.pop(ticket)
                self.failed += 1
            again = bool(turn.granted)
            if again and not self.ended and self.scheduler.queued < self.ahead // 2:
                self.world.at(now_ns, self.pump)
        wake_ns = self.scheduler.next_wakeup()
        if wake_ns is not None:
            self._timer += 1
            self.world.at(wake_ns, self.ring, self._timer)

    def ring(self, number: int) -> None:
        if number == self._timer:
            self.turn()

    def send(self, ticket: Ticket) -> None:
        self.sent += 1
        way_ns = to_ns(self.world.dice.uniform(*self.out_s))
        if self.writes:
            self.world.at(self.world.now_ns + way_ns * 9 // 10, self.wrote, ticket)
        self.world.at(self.world.now_ns + way_ns, self.arrive, ticket)

    def wrote(self, ticket: Ticket) -> None:
        if self.scheduler.written(ticket, now_ns=self.world.now_ns):
            self.turn()

    def arrive(self, ticket: Ticket) -> None:
        job, _ = self.histories[ticket]
        answer = self.server.request(
            model=job.model,
            chars=job.chars,
            max_tokens=job.max_tokens,
            tokens=job.tokens or 0,
            now_ns=self.world.now_ns,
        )
        back_ns = to_ns(self.world.dice.uniform(*self.back_s))
        self.world.at(self.world.now_ns + answer.latency_ns + back_ns, self.hear, ticket, answer)

    def hear(self, ticket: Ticket, answer: Any) -> None:
        now_ns = self.world.now_ns
        signals = answer.signals
        job, history = self.histories[ticket]
        outcome: Any = signals
        if answer.kind is None and not answer.ok:
            outcome = TransportFailure(kind=FailureKind.CONNECTION)
            self.scheduler.failed(ticket, outcome, now_ns=now_ns)
        else:
            self.scheduler.observe(ticket, signals, now_ns=now_ns)
        dropped = signals.reason is Reason.OVERLOADED or outcome is not signals
        good = answer.ok
        ending = Ending.SUCCEEDED if good else Ending.DROPPED if dropped else Ending.IGNORED
        self.scheduler.release(ticket, ending, now_ns=now_ns)
        if signals.reason is Reason.RATE_LIMITED:
            self.refused += 1
        if good:
            del self.histories[ticket]
            job.done = True
            self.done += 1
            self.last_ns = now_ns
        else:
            self.judge(ticket, job, history, outcome)
        self.pump()

    def judge(self, ticket: Ticket, job: Job, history: CallHistory, outcome: Any) -> None:
        now_ns = self.world.now_ns
        verdict = self.scheduler.decide(ticket, outcome, history, self.policy, now_ns=now_ns)
        if isinstance(verdict, RetryAt):
            self.scheduler.requeue(ticket, not_before_ns=verdict.not_before_ns, now_ns=now_ns)
            return
        del self.histories[ticket]
        job.failed = verdict.reason.name
        self.failed += 1
        self.last_ns = now_ns

    def report(self) -> Report:
        return Report(to_s(self.last_ns), self.done, self.failed, self.sent, self.refused)
