"""
The limiter: what a program asks before each call.

Law of this file: it is the door and nothing else. It turns what a person types into
what the scheduler understands, and keeps the scheduler, its dispatcher and the few
things around them together. Decisions are a floor below, awaiting is in the files
beside this one.
"""

from __future__ import annotations

import os
import random
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

import attrs

from ..core import explaining, priors
from ..core import views as core_views
from ..core.cost import Cost
from ..core.counts import Counts
from ..core.events import Event
from ..core.leasing import LeasingScheduler
from ..core.quota import Quotas
from ..core.retry import RetryPolicy
from ..core.scheduler import Scheduler
from ..core.scopes import Scopes, plain
from ..core.statistics import BandStatistics, Explanation, KeyStatistics, LimiterStatistics
from ..core.together import check_quotas, groups_of
from ..core.units import to_s
from ..dialects.dialect import Dialect
from ..dialects.generic import GENERIC
from .calling import DEFAULT_KEY, Calling
from .clock import Clock
from .desk import Desk
from .dispatcher import Dispatcher
from .given import QuotaLike as QuotaLike
from .given import at_least, by_key, calls_at_once, clock_here, dialect_named, of_key, quotas_given
from .in_time import in_time
from .instruments import FanOut, Instrument, as_instrument
from .keeping import Closing, Keeping, checked, leasing
from .pacing import Pacing, PacingLike
from .scoped import Scoped
from .store import BudgetStore
from .unread import Unread
from .views.statistics import describe


class Limiter(Calling):
    """
    A place in line for every call, so that the server never has to say no.

        limiter = Limiter(per_minute(requests=500, tokens=200_000))

        async with limiter.permit(tokens=1_500) as permit:
            response = await session.post(...)
            permit.observe(response.status, response.headers)

    Made anywhere; the event loop that uses it first owns it. At rest it moves to the
    loop that uses it next and keeps what it learnt. It needs no closing; ``async with
    Limiter(...)`` drains it at the end, and closes it after an error.

    A call waits in the queue, and nowhere else. Cancelled there it leaves without a
    trace; cancelled inside, its place is free at once and its charge stays.

    Args:
        quotas: what the server allows, for each key separately: quotas, text such as
            "500 requests/min", several of them, or a mapping from key to quotas with
            "*" for the rest. Empty: limits are learnt from answers. What is typed is
            a ceiling: an answer may lower it, never raise it.
        shared: quotas over all keys together.
        groups: keys that count together, by the name of their group: ``{"gpt-4.1":
            ["gpt-4.1-2025-04-14"]}``. They share one budget; its quotas are those of the
            group's name, which is a key of the group, too.
        name: what it is called in texts and metrics.
        dialect: how this server's headers are read; "auto" finds out.
        max_in_flight: calls under way at once, over all keys. None: 2000, or the
            open-file limit less 128 if that is lower.
        max_queue: calls waiting at once; one more raises ``QueueFull``.
        retry: what ``attempts`` and ``call`` outlive.
        store: where a budget shared by several processes is kept, such as a ``RedisStore``;
            None: in this one. Calls never wait longer than 250 ms for it.
        pacing: starts a second, spread evenly: a number, a ``Pacing``, or an
            ``aiolimiter.AsyncLimiter``. None: no smoothing.
        on_event: a function of one event, or an ``Instrument``.
        clock: what tells the time; None: the loop's own where it has one (a virtual
            loop), else the machine's.
        dice: numbers in [0, 1), for jitter.

    Raises:
        InvalidQuota, ConfigurationError: what was typed cannot be.
        LookupError: there is no dialect of that name.
    """

    def __init__(
        self,
        quotas: QuotaLike | Mapping[str, QuotaLike] = (),
        *,
        shared: QuotaLike = (),
        groups: Mapping[str, Iterable[str]] | None = None,
        name: str = "default",
        dialect: str | Dialect = "auto",
        max_in_flight: int | None = None,
        max_queue: int = 100_000,
        retry: RetryPolicy | None = None,
        store: BudgetStore | None = None,
        pacing: PacingLike = None,
        on_event: Instrument | Callable[[Event], object] | None = None,
        clock: Clock | None = None,
        dice: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self._store = checked(store)
        self._keeping: Keeping | None = None
        self._quotas = quotas_given(quotas)
        self._shared = Quotas.of(shared)
        self._groups = groups_of(groups or {})
        check_quotas(self._groups, by_key(self._quotas))
        self._scopes = Scopes()
        self._max_in_flight = calls_at_once(max_in_flight)
        self._max_queue = at_least("max_queue", max_queue, 0)
        self._dialect = dialect_named(dialect)
        self._retry = RetryPolicy() if retry is None else retry
        self._pacing = Pacing.of(pacing)
        self._clock = clock_here() if clock is None else clock
        self._dice = random.random if dice is None else dice
        self._instruments = FanOut()
        self.counts_on_written = False
        """Somebody has said ``reports_written()``, so whoever makes calls should."""
        self._costs: dict[int | None, Cost] = {}
        self._counts: Counts | None = None
        self._desk = self._new_desk()
        if on_event is not None:
            self.add_instrument(as_instrument(on_event))
        # Whoever keeps a gauge is not to keep the limiter.
        me = weakref.ref(self)
        self._instruments.gauge("queue_depth", {"client": name}, lambda: limiter.queued if (limiter := me()) else 0)
        self._instruments.gauge("in_flight", {"client": name}, lambda: limiter.in_flight if (limiter := me()) else 0)
        _limiters.add(self)

    def _new_desk(self) -> Desk:
        """A scheduler that has seen nothing, and what belongs to it."""
        kind = Scheduler if self._store is None else leasing(self._store, self._dice)
        scheduler = kind(
            quotas=self._quotas,
            shared=self._shared,
            profile=(self._dialect or GENERIC).profile,
            max_in_flight=self._max_in_flight,
            max_queue=self._max_queue,
            dice=self._dice,
            now_ns=self._clock.monotonic_ns(),
        )
        scheduler.together = self._groups
        self._instruments.listen_to(scheduler)
        if self._counts is not None:
            self._counts.clear()
            scheduler.counts = self._counts
        dispatcher = Dispatcher(scheduler, self._clock, name=self.name, instruments=self._instruments)
        if self._store is not None and isinstance(scheduler, LeasingScheduler):
            self._keeping = Keeping(self._store, scheduler, dispatcher, self._clock, name=self.name)
        desk = Desk(
            dispatcher=dispatcher,
            clock=self._clock,
            dialect=self._dialect,
            pacing=self._pacing,
            policy=self._retry,
            unread=Unread(self.name),
        )
        if self.counts_on_written:
            desk.reports_written()
        return desk

    def reports_written(self) -> None:
        """
        Whoever makes calls through it says of each when its first byte was written (``permit.written()``).

        Then the ramp is timed from there, and how far calls overtake each other on their
        way is measured instead of assumed. Clients say this; it cannot be taken back.
        """
        self.counts_on_written = True
        self._desk.reports_written()

    # -- what it knows -----------------------------------------------------------

    @property
    def queued(self) -> int:
        """Calls waiting, all keys."""
        return self._desk.dispatcher.waiting

    @property
    def in_flight(self) -> int:
        """Permits out, all keys."""
        return self._desk.dispatcher.out

    @property
    def max_in_flight(self) -> int:
        """Permits out at most, all keys."""
        return self._max_in_flight

    @property
    def sharing(self) -> Keeping | None:
        """What asks the store of its budgets; None: they are this process's own."""
        return self._keeping

    @property
    def retry(self) -> RetryPolicy:
        """What calls outlive that say nothing else."""
        return self._retry

    def in_flight_of(self, key: str) -> int:
        """Permits out for one key, in all scopes."""
        keys = self._desk.dispatcher.scheduler.keys
        if self._scopes.count > 1:
            states = [state for state in dict.fromkeys(keys.values()) if key in (state.name, plain(state.name))]
            return sum(state.window.in_flight for state in states)
        return keys[key].window.in_flight if key in keys else 0

    @property
    def next_in_s(self) -> float | None:
        """
        The least time, in seconds, until time alone lets one of the waiting calls go, or ends its wait.

        None when nothing waits, or when it takes an event: an answer, a free slot.
        """
        dispatcher = self._desk.dispatcher
        wake_ns = dispatcher.scheduler.next_wakeup() if dispatcher.waiting else None
        return None if wake_ns is None else max(0.0, to_s(wake_ns - self._clock.monotonic_ns()))

    def on_room(self, tell: Callable[[], None]) -> Callable[[], None]:
        """
        Call *tell* whenever a call was let out, so that whoever feeds calls in may feed one more.

        Returns:
            A function that ends it.
        """
        listeners = self._desk.dispatcher.on_room
        listeners.append(tell)
        return lambda: listeners.remove(tell) if tell in listeners else None

    def statistics(self) -> LimiterStatistics:
        """What it knows, as a snapshot; may be asked from any thread."""
        scheduler, now_ns = self._desk.dispatcher.scheduler, self._clock.monotonic_ns()
        keys = {
            name: core_views.key_statistics(state, now_ns=now_ns)
            for name, state in list(scheduler.keys.items())
            if name == state.name
        }
        return LimiterStatistics(name=self.name, keys=keys, unread=dict(self._desk.unread.counts))

    def waiting(self) -> dict[str, dict[int, BandStatistics]]:
        """What waits, by key and priority, as a snapshot; may be asked from any thread."""
        return {name: bands for name, _, bands in self.glance(lambda _: True)}

    def glance(self, shown: Callable[[str], bool]) -> Iterator[tuple[str, KeyStatistics, dict[int, BandStatistics]]]:
        """Each key that is *shown* or has calls waiting or under way, and what waits; may be asked from any thread."""
        return core_views.glance(self._desk.dispatcher.scheduler, shown, now_ns=self._clock.monotonic_ns())

    def tallies(self, shown: Callable[[str], bool]) -> Iterator[tuple[str, int, int]]:
        """(key, calls let out, answers that said no) of each key that is *shown*; may be asked from any thread."""
        return core_views.tallies(self._desk.dispatcher.scheduler, shown)

    @property
    def counts(self) -> Counts:
        """What happened since this was asked for the first time; until then nothing is counted."""
        if self._counts is None:
            self._counts = Counts()
            self._desk.dispatcher.scheduler.counts = self._counts
        return self._counts

    def explain(
        self,
        key: str | None = None,
        *,
        cost: Cost | Mapping[str, int] | None = None,
        tokens: int | None = None,
        priority: int = 0,
    ) -> Explanation:
        """
        Whether a call could go now, when it could, and what makes it wait; ``str()`` of it is a sentence.

        Nothing is charged and nothing is promised. What of the answers so far was not
        understood is told beside it. Arguments as of ``permit``.
        """
        found = explaining.explain(
            self._desk.dispatcher.scheduler,
            key or DEFAULT_KEY,
            self._price(cost, tokens),
            priority=priority,
            around=self._around(),
            now_ns=self._clock.monotonic_ns(),
        )
        unread = self._desk.unread.counts
        return attrs.evolve(found, unread=dict(unread)) if unread else found

    def explain_first(self, key: str | None = None) -> Explanation | None:
        """
        What the first of the calls that wait in *key* is waiting for; None when none does.

        It is what all of them wait for, as those behind it go no earlier.
        """
        scheduler, now_ns = self._desk.dispatcher.scheduler, self._clock.monotonic_ns()
        return explaining.explain_first(scheduler, key or DEFAULT_KEY, around=self._around(), now_ns=now_ns)

    def _around(self) -> explaining.Around:
        dispatcher = self._desk.dispatcher
        paced = None if self._pacing is None else self._pacing.used_up
        return explaining.Around(dispatcher.draining and not dispatcher.closed, self._retry.budget, paced)

    def add_instrument(self, instrument: Instrument) -> None:
        """From now on *instrument* is told what happens."""
        self._instruments.add(instrument)
        self._instruments.listen_to(self._desk.dispatcher.scheduler)

    def __repr__(self) -> str:
        if not hasattr(self, "_desk"):  # a traceback may ask an unfinished one
            return "<Limiter, unfinished>"
        dispatcher = self._desk.dispatcher
        state = "closed" if dispatcher.closed else "draining" if dispatcher.draining else ""
        return describe(self.statistics(), next_in_s=self.next_in_s, state=state)

    # -- what can be changed -------------------------------------------------------

    def set_quotas(
        self,
        quotas: QuotaLike | Mapping[str, QuotaLike] | None = None,
        *,
        key: str | None = None,
        shared: QuotaLike | None = None,
    ) -> None:
        """
        Other quotas from now on; what was learnt stays.

        Args:
            quotas: as in the constructor; with *key*, of that key alone.
            shared: the quotas over all keys.

        Raises:
            InvalidQuota: what was typed cannot be; then nothing has changed.
            ConfigurationError: nor can a quota of a key that counts in a group.
            WrongLoop: calls are under way on another event loop.
        """
        dispatcher = self._desk.dispatcher
        dispatcher.claim()
        given = None if quotas is None else quotas_given(quotas)
        over_all = None if shared is None else Quotas.of(shared)
        check_quotas(self._groups, [key] if key is not None else by_key(given or {}))
        if given is not None:
            self._quotas = given if key is None else {**by_key(self._quotas), key: of_key(given, key)}
        if over_all is not None:
            self._shared = over_all
        dispatcher.scheduler.set_quotas(given, key=key, shared=over_all, now_ns=self._clock.monotonic_ns())
        dispatcher.turn_soon()

    def scope(
        self, origin: str, *, organization: str | None = None, project: str | None = None, credential: bytes = b""
    ) -> Scoped:
        """
        A place for one client among those that use this limiter: a key's budget is that of its scope alone.

        The first scope is the limiter's own, where calls belong that name none.

        Args:
            origin: scheme, host and port of the server.
            organization, project: as the client sends them.
            credential: what stands for the client's key until an answer names the
                organization: its ``Fingerprint``, never the key itself.
        """
        caller = self._scopes.enter(origin, organization, project, credential)
        return Scoped(self._scopes, caller, lambda: self._desk)

    def expect(self, key: str, quotas: QuotaLike) -> None:
        """
        Before the first call of *key*: its limits as an earlier run saw them.

        They bound the calls that go out before the first answer. The first reading of
        a dimension takes the place of what was expected of it; what was typed or shown
        is never touched.
        """
        dispatcher = self._desk.dispatcher
        dispatcher.claim()
        priors.expect(dispatcher.scheduler, key, Quotas.of(quotas), now_ns=self._clock.monotonic_ns())

    def end_of_input(self, tenant: str | None = None) -> None:
        """
        No more calls of *tenant* are to come: the reserve may be spent on what is queued.

        ``map`` and ``drain`` say it by themselves. A later call takes it back. *tenant*
        None: of those who named none.
        """
        self._desk.dispatcher.end_of_input(tenant or "")

    # -- the end ---------------------------------------------------------------------

    async def drain(self, timeout_s: float | None = None) -> bool:
        """
        Take no new calls, and return when all that are queued or out have ended.

        Cancelled or timed out, it goes on refusing new calls; ``close()`` then fails
        those still queued.

        Args:
            timeout_s: seconds to wait at most; None: as long as it takes.

        Returns:
            True when nothing is left, False after *timeout_s*.

        Raises:
            WrongLoop: calls are under way on another event loop.
        """
        if not await in_time(self._desk.dispatcher.drain(), timeout_s):
            return False
        if self._keeping is not None:
            await self._keeping.leave()
        return True

    def close(self) -> Closing:
        """
        Take no new calls; those queued fail with ``Closed``, those out may finish. For good, and idempotent.

        Done when it returns; awaiting what it returns is allowed and waits for nothing.

        Raises:
            WrongLoop: calls are under way on another event loop.
        """
        self._desk.dispatcher.close()
        return Closing(self._keeping)

    async def __aenter__(self) -> Self:
        self._desk.dispatcher.reopen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an error nobody is there to use what the queue would bring.
        if error is None:
            await self.drain()
        else:
            await self.close()

    def _begin_again(self) -> None:
        """In a forked child: at rest, with empty counters, and nothing to do with the parent's loop."""
        self._desk.dispatcher.abandoned = True
        self._desk = self._new_desk()


_limiters: weakref.WeakSet[Limiter] = weakref.WeakSet()


def _after_fork() -> None:
    for limiter in list(_limiters):
        limiter._begin_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
