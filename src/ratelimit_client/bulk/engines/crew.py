"""
The calls of a job, made by several workers.

Law of this file: a row is out with one worker at most, as far as anybody can know, and
its first end counts. When a worker is gone, all it had goes to the others; a row whose
end was told already is never among that.

Theory. To the job this is an engine like any other. It keeps no limits: each worker has
a limiter, and rows go to the worker that has the fewest, so all are as busy as their
limits let them be. For each worker one task asks for news, for ever. It fails in two
ways. *Lost*: the worker's process is gone, and with it what it had. *Away*: nobody
answers; it may be there and at work, so what it has is left with it for a while, and
given to others when it stays away or comes back as another.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import traceback
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import attrs

from ...core.quota import Quotas
from ...core.statistics import Explanation, LimiterStatistics
from ...errors import Closed, ConfigurationError, RateLimitClientError
from ...runtime.logs import fields
from ..row import Row
from ..stops import Stop, Why
from .adding import added, only_counts
from .hand import Away, Hand, Lost
from .recipe import Recipe
from .worker import Answer, Ended, Look, News, Task

_log: Final = logging.getLogger(__name__)

_AGAIN_S: Final = 0.2
_AWAY_S: Final = 10.0
_NOBODY_S: Final = 120.0


@attrs.define(eq=False)
class Seat:
    """
    A worker as it is known here.

    Args:
        hand: how it is reached.
        recipe: by which it makes its client.
        born: its life; None while it is not there.
        heard: ends of this life that have arrived.
        out: rows it was given.
        in_flight: its calls under way, by model, as it said last.
        look: what its limiter knew then.
        away_since_s: when it was heard last, while it does not answer.
    """

    hand: Hand
    recipe: Recipe
    born: str | None = None
    heard: int = 0
    out: dict[int, Row] = attrs.field(factory=dict)
    in_flight: Counter[str] = attrs.field(factory=Counter)
    look: Look | None = None
    away_since_s: float | None = None


@attrs.define(eq=False)
class Crew:
    """
    Args:
        seats: one for each worker.
        key: the API key, handed to each of them; None for that of their environment.
        in_parts: of a limit that was typed each has its part.
        deadline_s: seconds for each row from when a worker has it, or None.
        priors: limits of models as an earlier run saw them.
        lost: workers that were lost; *again*: rows that were given to another one for it.
    """

    seats: Sequence[Seat]
    key: Callable[[], str | None] = attrs.field(repr=False)
    in_parts: bool = True
    deadline_s: float | None = None
    priors: dict[str, Quotas] = attrs.field(factory=dict)
    away_s: float = _AWAY_S
    nobody_s: float = _NOBODY_S
    lost: int = 0
    again: int = 0
    _tell_room: Callable[[], None] = attrs.field(init=False, default=lambda: None)
    _tell_stop: Callable[[Stop], None] = attrs.field(init=False, default=lambda stop: None)
    _numbers: itertools.count[int] = attrs.field(init=False, factory=itertools.count)
    _calls: dict[int, asyncio.Future[Ended]] = attrs.field(init=False, factory=dict)
    _waiting: deque[Task] = attrs.field(init=False, factory=deque)
    _giving: bool = attrs.field(init=False, default=False)
    _refusing: bool = attrs.field(init=False, default=False)
    _input_ended: bool = attrs.field(init=False, default=False)
    _closing: bool = attrs.field(init=False, default=False)
    _jobs: set[asyncio.Task[None]] = attrs.field(init=False, factory=set)
    _gone: LimiterStatistics = attrs.field(init=False, factory=lambda: LimiterStatistics("", {}))
    _gone_retries: Counter[str] = attrs.field(init=False, factory=Counter)
    _gone_failures: Counter[str] = attrs.field(init=False, factory=Counter)
    _gone_refusals: Counter[str] = attrs.field(init=False, factory=Counter)
    _nobody_since_s: float | None = attrs.field(init=False, default=None)

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self.seats)

    # -- the beginning and the end ----------------------------------------------------------

    async def open(self) -> None:
        """
        Return once a worker is ready; the others join when they are.

        Raises:
            ConfigurationError: one of them cannot be made ready, or none was in time.
        """
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for seat in self.seats:
            self._start(self._tend(seat, ready), f"bulk: worker {id(seat)}")
        try:
            async with asyncio.timeout(self.nobody_s):
                await ready
        except TimeoutError:
            raise ConfigurationError(
                f"no worker came up within {self.nobody_s:g} s: has the cluster room for {len(self.seats)} of them?"
            ) from None

    async def close(self) -> None:
        """Send the workers home; what is under way is broken off."""
        self._closing = True
        tasks = tuple(self._jobs)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(seat.hand.close() for seat in self.seats), return_exceptions=True)

    # -- what a job asks of an engine ----------------------------------------------------------

    async def call(self, row: Row) -> Answer:
        """Have a row sent, and wait for its answer."""
        number = next(self._numbers)
        ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._calls[number] = ended
        try:
            self._hand_in([Task(number, row)])
            found = await ended
        finally:
            del self._calls[number]
        if found.answer is not None:
            return found.answer
        raise found.error or RuntimeError(f"in a worker: {found.bug}")

    def in_flight(self, model: str | None = None) -> int:
        """Calls that are out, of one model or of all, as the workers said last."""
        return sum(seat.in_flight.total() if model is None else seat.in_flight[model] for seat in self.seats)

    def idle_for_s(self) -> float:
        """How long nothing will happen by itself: no worker has a call out, and those with rows wait."""
        looks = [seat.look for seat in self.seats if seat.look is not None and seat.out]
        if self._waiting or not looks or any(seat.in_flight for seat in self.seats):
            return 0.0
        return min(look.idle_s for look in looks)

    def waits_for(self) -> str:
        """What the next call waits for, in a sentence."""
        return next((str(wait) for wait in self.waits().values()), "the workers wait")

    def waits(self, tokens: int | None = None) -> dict[str, Explanation]:
        """What the next calls of the models that wait are waiting for: at the worker where it takes the least time."""
        found: dict[str, Explanation] = {}
        for seat in self.seats:
            for name, wait in seat.look.waits.items() if seat.look is not None else ():
                if name not in found or _sooner(wait, found[name]):
                    found[name] = wait
        return found

    def on_room(self, tell: Callable[[], None]) -> None:
        """Call *tell* whenever calls were let out."""
        self._tell_room = tell

    def on_stop(self, tell: Callable[[Stop], None]) -> None:
        """Call *tell* when the run cannot go on."""
        self._tell_stop = tell

    def end_of_input(self) -> None:
        """No more rows come: what was kept back for them may be spent."""
        if not self._input_ended:
            self._input_ended = True
            for seat in self._present():
                self._start(self._say(seat.hand.end_of_input()), "bulk: end of input")

    def refuse_queued(self) -> None:
        """What waits comes back with ``Closed``, unsent; what is out may finish."""
        self._refusing = True
        for seat in self._present():
            self._start(self._say(seat.hand.refuse_queued()), "bulk: refuse")
        while self._waiting:
            self._refuse(self._waiting.popleft().number)

    def statistics(self) -> LimiterStatistics:
        """What all limiters know, as if they were one; a worker that is gone counts for what it sent."""
        looks = [seat.look.statistics for seat in self.seats if seat.look is not None]
        return added([*looks, self._gone], in_parts=self.in_parts)

    def retries(self) -> Counter[str]:
        """Attempts that were made again, by what made them necessary."""
        found = Counter(self._gone_retries)
        for seat in self.seats:
            found.update(seat.look.retries if seat.look is not None else {})
        return found

    def failures(self) -> Counter[str]:
        """Attempts without success, by status or by what came instead; a worker that is gone counts as it was heard."""
        looks = (seat.look.failures for seat in self.seats if seat.look is not None)
        return sum(map(Counter, looks), Counter(self._gone_failures))

    def refusals(self) -> Counter[str]:
        """Attempts that a rate limit refused, by the limit they named; likewise."""
        looks = (seat.look.refusals for seat in self.seats if seat.look is not None)
        return sum(map(Counter, looks), Counter(self._gone_refusals))

    @property
    def tells_others(self) -> bool:
        """What others take of a limit can be told from what this job does. Workers are others to each other."""
        return len(self.seats) == 1 and self.in_parts

    def facts(self) -> dict[str, int]:
        """What the summary tells of it beside what it tells of every run."""
        return {"workers": len(self.seats), "workers_lost": self.lost, "rows_given_again": self.again}

    # -- giving ----------------------------------------------------------------------------------

    def _hand_in(self, tasks: Sequence[Task]) -> None:
        """Rows for whoever has the fewest; those of one turn of the loop go together."""
        self._waiting.extend(tasks)
        if not self._giving:
            self._giving = True
            asyncio.get_running_loop().call_soon(self._give)

    def _give(self) -> None:
        self._giving = False
        present = self._present()
        if not present:
            return
        given: dict[int, list[Task]] = {}
        while self._waiting:
            task = self._waiting.popleft()
            if task.number not in self._calls:  # nobody waits for it any more
                continue
            number = min(range(len(present)), key=lambda index: len(present[index].out))
            present[number].out[task.number] = task.row
            given.setdefault(number, []).append(task)
        for number, tasks in given.items():
            self._start(self._hand_over(present[number], tasks), "bulk: give")

    async def _hand_over(self, seat: Seat, tasks: list[Task]) -> None:
        born = seat.born
        try:
            await seat.hand.take(tasks)
        except (Lost, Away):
            if seat.born == born:  # else all it had was given to others already
                back = [task for task in tasks if seat.out.pop(task.number, None) is not None]
                self._take_back(back)

    def _take_back(self, tasks: Sequence[Task]) -> None:
        if not self._refusing:
            self._hand_in(tasks)
            return
        for task in tasks:
            self._refuse(task.number)

    def _refuse(self, number: int) -> None:
        self._end(Ended(number, error=Closed("the run is ending: the row was not sent")))

    # -- hearing ---------------------------------------------------------------------------------

    async def _tend(self, seat: Seat, ready: asyncio.Future[None]) -> None:
        """Ask one worker for news for as long as the job runs."""
        while True:
            try:
                await self._welcome(seat)
                if not ready.done():
                    ready.set_result(None)
                while self._hear(seat, await seat.hand.collect(seat.heard)):
                    pass
            except Lost:
                self._lose(seat)
            except Away:
                self._miss(seat)
            except RateLimitClientError as error:  # it cannot be made ready, and would say so for ever
                self._lose(seat)
                if not ready.done():
                    ready.set_exception(error)
                else:
                    self._tell_stop(Stop(Why.CONFIGURATION, str(error)))
                return
            self._watch()
            await asyncio.sleep(_AGAIN_S)

    async def _welcome(self, seat: Seat) -> None:
        """Get a worker ready, or find it as it was."""
        recipe = attrs.evolve(seat.recipe, priors=self.priors)
        born = await seat.hand.open(recipe, self.key())
        if seat.born is not None and born != seat.born:
            self._lose(seat)
        seat.born, seat.away_since_s, self._nobody_since_s = born, None, None
        if self._input_ended:
            await seat.hand.end_of_input()
        if self._refusing:
            await seat.hand.refuse_queued()
        self._hand_in(())

    def _hear(self, seat: Seat, news: News) -> bool:
        """Take what a worker says; False when it is another than the one that was asked."""
        if news.born != seat.born:
            return False
        for ended in news.ended[max(0, seat.heard - news.first) :]:
            seat.out.pop(ended.number, None)
            self._end(ended)
        seat.heard = max(seat.heard, news.first + len(news.ended))
        seat.in_flight = Counter(news.in_flight)
        seat.look = news.look or seat.look
        self._tell_room()
        return True

    def _end(self, ended: Ended) -> None:
        future = self._calls.get(ended.number)
        if future is not None and not future.done():
            future.set_result(ended)

    def _lose(self, seat: Seat) -> None:
        """A worker is gone: its rows go to others."""
        if seat.born is None:
            return
        tasks = [Task(number, row) for number, row in seat.out.items()]
        if seat.look is not None:
            self._gone = added([self._gone, only_counts(seat.look.statistics)], in_parts=self.in_parts)
            self._gone_retries.update(seat.look.retries)
            self._gone_failures.update(seat.look.failures)
            self._gone_refusals.update(seat.look.refusals)
        seat.born, seat.heard, seat.look, seat.away_since_s = None, 0, None, None
        seat.out.clear()
        seat.in_flight.clear()
        self.lost += 1
        self.again += len(tasks)
        extra = fields("worker_lost", rows=len(tasks))
        _log.warning("a worker was lost; the %d rows it had are given to others", len(tasks), extra=extra)
        self._take_back(tasks)

    def _miss(self, seat: Seat) -> None:
        """A worker does not answer: its rows stay with it for a while."""
        now_s = asyncio.get_running_loop().time()
        if seat.away_since_s is None:
            seat.away_since_s = now_s
        elif now_s - seat.away_since_s >= self.away_s:
            self._lose(seat)

    def _watch(self) -> None:
        """With nobody there for long, the run ends and can go on another time."""
        now_s = asyncio.get_running_loop().time()
        if any(seat.born is not None for seat in self.seats):
            self._nobody_since_s = None
        elif self._nobody_since_s is None:
            self._nobody_since_s = now_s
        elif now_s - self._nobody_since_s >= self.nobody_s:
            self._tell_stop(Stop(Why.MAX_OUTAGE, f"no worker of the cluster has been there for {self.nobody_s:g} s"))

    def _present(self) -> list[Seat]:
        return [seat for seat in self.seats if seat.born is not None and seat.away_since_s is None]

    async def _say(self, saying: Coroutine[Any, Any, None]) -> None:
        try:
            await saying
        except (Lost, Away):
            pass  # it is told when it is welcomed again

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._jobs.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            bug = "".join(traceback.format_exception(error))
            for number in tuple(self._calls):
                self._end(Ended(number, bug=bug))


def _sooner(wait: Explanation, other: Explanation) -> bool:
    if wait.ready_in_s is None:
        return False
    return other.ready_in_s is None or wait.ready_in_s < other.ready_in_s
