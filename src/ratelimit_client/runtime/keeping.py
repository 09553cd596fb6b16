"""
Asks the store, in the background.

Law of this file: the keeper says what to ask and when; this carries it out. One question
is under way at a time, none takes longer than a quarter of a second, and whatever comes of it
is told to the machine, which goes on either way. No call ever awaits anything here.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from bisect import bisect_left
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from ..core.keeper import EVER_NS, PATIENCE_NS
from ..core.lease import Call
from ..core.leasing import LeasingScheduler
from ..core.units import NS
from ..errors import ConfigurationError, StoreUnavailable
from .alarm import Alarm
from .clock import Clock
from .logs import fields, one_line
from .store import BudgetStore

if TYPE_CHECKING:
    from .dispatcher import Dispatcher

LATENCY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
"""Answers of a store are counted by these times."""

_logger = logging.getLogger("ratelimit_client")


def checked(given: BudgetStore | None) -> BudgetStore | None:
    """
    Raises:
        ConfigurationError: it is no store.
    """
    if given is not None and not isinstance(given, BudgetStore):
        raise ConfigurationError(f"a store has renew(), close() and says on_store_failure; {given!r:.80} has not")
    return given


def leasing(store: BudgetStore, dice: Callable[[], float]) -> Callable[..., LeasingScheduler]:
    """What makes the machine of a process that shares its budgets through *store*."""
    # Drawn, where somebody else throws the dice; else random: processes that were forked would draw the same.
    number = secrets.randbits(48) if dice is random.random else int(dice() * (1 << 48))
    return partial(
        LeasingScheduler, process=f"{number:012x}", spends=store.on_store_failure == "share", workers=store.workers
    )


class Keeping:
    """
    The store of one limiter.

    Args:
        store: where its budgets are.
        scheduler: whose leases are kept.
        dispatcher: who is told when there is more to spend.
        name: of the limiter, for people.
    """

    def __init__(
        self, store: BudgetStore, scheduler: LeasingScheduler, dispatcher: Dispatcher, clock: Clock, *, name: str
    ) -> None:
        self.store = store
        self.trips = 0
        """Questions that were answered."""
        self.errors = 0
        """Questions that were not."""
        self.latencies = [0] * (len(LATENCY_S) + 1)
        """Answers by how long they took, see ``LATENCY_S``; the last is for all that took longer."""
        self.total_s = 0.0
        """How long they took together."""
        self._scheduler = scheduler
        self._dispatcher = dispatcher
        self._now_ns = clock.monotonic_ns
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._call: Call | None = None
        self._alarm = Alarm(self._ring)
        scheduler.wake, scheduler.turn = self.wake, dispatcher.turn_soon

    @property
    def lost(self) -> bool:
        """The store cannot be reached at present."""
        return self._scheduler.keeper.lost_ns is not None

    def wake(self) -> None:
        """There is something to ask, now or later."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # on no loop nobody waits, either
        if loop is not self._loop:
            self._move_to(loop)
        if self._task is not None or self._dispatcher.abandoned:
            return
        at_ns, now_ns = self._scheduler.keeper.renew_ns, self._now_ns()
        if at_ns == EVER_NS:
            self._alarm.cancel()
        elif at_ns <= now_ns:
            self._alarm.cancel()
            self._ring()
        else:
            self._alarm.set(loop, at_ns, now_ns=now_ns)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """What was under way on another loop is never answered."""
        self._alarm.cancel()
        self._loop, self._task = loop, None
        if self._call is not None:
            call, self._call = self._call, None
            self._scheduler.store_failed(call, now_ns=self._now_ns())

    def _ring(self) -> None:
        assert self._loop is not None, "only a loop rings"
        self._task = self._loop.create_task(self._renew(), name=f"leases of {self._name}")

    async def _renew(self, *, leaves: bool = False) -> None:
        call = self._scheduler.keeper.ask(leaves=leaves, now_ns=self._now_ns())
        try:
            if call is not None:
                self._call = call
                await self._ask(call)
        finally:
            if self._call is not None and self._call is call:  # cancelled: its loop ends
                self._call = None
                self._scheduler.store_failed(call, now_ns=self._now_ns())
            if not leaves and asyncio.current_task() is self._task:
                self._task = None
        if not leaves:
            self.wake()

    async def _ask(self, call: Call) -> None:
        began_ns = self._now_ns()
        try:
            async with asyncio.timeout(PATIENCE_NS / NS):
                leases = await self.store.renew(call)
        except (ConfigurationError, StoreUnavailable, TimeoutError, OSError) as error:
            self._fail(call, error)
        else:
            self._call, self._scheduler.refused = None, None
            was_lost, now_ns = self.lost, self._now_ns()
            self.trips += 1
            took_s = (now_ns - began_ns) / NS
            self.latencies[bisect_left(LATENCY_S, took_s)] += 1
            self.total_s += took_s
            self._scheduler.store_lent(call, leases, now_ns=now_ns)
            if was_lost:
                said = "limiter %r: %r is back, and the budget is shared through it again"
                extra = fields("store_back", client=self._name, store=self.store)
                _logger.info(said, self._name, self.store, extra=extra)
        if self._dispatcher.waiting:
            self._dispatcher.turn_soon()

    def _fail(self, call: Call, error: Exception) -> None:
        self._call = None
        self.errors += 1
        what = f"{error}" or f"no answer from it within {PATIENCE_NS / NS:g} s"
        goes_on = self.store.on_store_failure == "share"
        if not self.trips and (isinstance(error, ConfigurationError) or not goes_on):
            # What is set up wrongly is told before the first call; later it is an outage like any other.
            kind = ConfigurationError if isinstance(error, ConfigurationError) else StoreUnavailable
            self._scheduler.refused = kind(f"{what}: no call was sent")
        if self._scheduler.store_failed(call, now_ns=self._now_ns()) and self._scheduler.refused is None:
            then = "go on at their rate and come to this process's part of the limit" if goes_on else "wait for it"
            extra = fields("store_lost", client=self._name, store=self.store, error=what)
            told = (self._name, self.store, one_line(what), then)
            _logger.warning("limiter %r: %r cannot be reached (%s); calls %s", *told, extra=extra)

    async def leave(self) -> None:
        """Give back what is leased. A store that does not answer finds out by itself."""
        self._alarm.cancel()
        if asyncio.get_running_loop() is not self._loop:
            return
        if self._task is not None:
            await asyncio.wait([self._task])
            self._alarm.cancel()
        if self._task is None and self._scheduler.refused is None:
            await self._renew(leaves=True)


class Closing:
    """The nothing that awaiting ``close()`` waits for; only a store is told."""

    __slots__ = ("_keeping",)

    def __init__(self, keeping: Keeping | None = None) -> None:
        self._keeping = keeping

    def __await__(self) -> Generator[Any, None, None]:
        if self._keeping is not None:
            yield from self._keeping.leave().__await__()
