"""
The run: rows in, answers out, as fast as the limits allow.

Law of this file: no row is lost and none is sent again without need. A row ends
as one line in OUT or in the errors file, or it stays to be done; ``outcome`` says
which, and this carries it out.

Theory. One feeder walks the input; the lanes begin its rows, a few more than are
out; each row is a task that waits for its answer and hands over its line. All the
rest is about the end.

An ending takes three steps, each of which may be the last: nothing more is read;
what waits in the limiter's queue comes back unsent; what is out is waited for,
with or without a bound. Then tasks are cancelled. Whatever did not end is
pending, and the same command does it the next time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable
from typing import Final

import attrs

from ..core.statistics import LimiterStatistics, Mode
from ..core.units import to_ns, to_s
from ..errors import RateLimitClientError
from .engines import Answered, Engine
from .feeder import Feeder
from .lanes import Lanes
from .lines import answer_line
from .meter import Meter
from .outcome import Failed, Pending, read_error
from .output import Output
from .record import Record
from .row import Row
from .source import Source
from .stops import GENTLE, PATIENT, Stop, Why
from .tally import Tally
from .unknown import UnknownModels
from .walk import Walk
from .words import duration

_TICK_S: Final = 1.0
# Within an hour a day's limit that flows back evenly lets at least one row go, if it is above 24.
_LONGEST_WAIT_S: Final = 3600.0


@attrs.frozen(kw_only=True)
class Bounds:
    """
    Where a run ends by itself, and how long an ending may take.

    Args:
        grace_s: how long calls that are out may take after most kinds of stop.
        max_time_s, max_rows, max_outage_s: None for no bound.
    """

    grace_s: float = 25.0
    max_time_s: float | None = None
    max_rows: int | None = None
    max_outage_s: float | None = None


@attrs.define(eq=False)
class Job:
    """
    One run of one job.

    Args:
        source, output, engine: where rows come from, go to, and by whom they are sent.
        walk: what is done already.
        bounds: where it ends by itself.
        monotonic_ns: the clock that measures.
        wall_s: the clock that tells the date.
        rows_expected: lines of the input before it is read, None where nobody knows.
        is_retry: its rows have failed before, so an unknown model is a failure of their own once more.
    """

    source: Source
    output: Output
    engine: Engine
    walk: Walk
    bounds: Bounds = attrs.field(kw_only=True)
    monotonic_ns: Callable[[], int] = attrs.field(kw_only=True)
    rows_expected: int | None = attrs.field(kw_only=True, default=None)
    is_retry: bool = attrs.field(kw_only=True, default=False)
    wall_s: Callable[[], float] = attrs.field(kw_only=True)
    stop: Stop | None = attrs.field(init=False, default=None)
    started_ns: int = attrs.field(init=False, default=0)
    ended_ns: int | None = attrs.field(init=False, default=None)
    began_s: float = attrs.field(init=False, default=0.0)
    progressed_s: float = attrs.field(init=False, default=0.0)
    tally: Tally = attrs.field(init=False)
    meter: Meter = attrs.field(init=False, factory=Meter)
    record: Record = attrs.field(init=False, factory=Record)
    lanes: Lanes = attrs.field(init=False)
    feeder: Feeder = attrs.field(init=False)
    _unknown: UnknownModels = attrs.field(init=False)
    _aborted: bool = attrs.field(init=False, default=False)
    _changed: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _crash: BaseException | None = attrs.field(init=False, default=None)
    _outage_since_ns: int | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.tally = Tally(self.wall_s)
        self.lanes = Lanes(self.engine, self.tally)
        self.lanes.send = self._send
        self.lanes.on_empty = self._changed.set
        self.feeder = Feeder(
            self.source, self.walk, self.output, self.lanes, self.tally, self.bounds.max_rows, self.end
        )
        self._unknown = UnknownModels(self.feeder, self.fail, self._is_other_answered)

    # -- what people see --------------------------------------------------------

    @property
    def seconds(self) -> float:
        """How long it has been running, or ran."""
        return to_s((self.ended_ns or self.monotonic_ns()) - self.started_ns)

    @property
    def finished(self) -> int:
        """Rows that have a line, of this run and of earlier ones."""
        return self.tally.ok + self.tally.failed + self.walk.done_before + self.walk.failed_before

    @property
    def total(self) -> int | None:
        """
        Rows of this job, by the part of the input that was read while nobody has counted them; None for a pipe.

        Rows that are left to other runs are not among them.
        """
        walk = self.walk
        if self.feeder.input_ended:
            return walk.rows - walk.passed
        if self.rows_expected is not None:
            return max(self.rows_expected, walk.rows) - walk.passed
        size = self.source.size()
        if size is None or not walk.bytes:
            return None
        return max(walk.rows, round(walk.rows * size / walk.bytes)) - walk.passed

    @property
    def rows_left(self) -> bool:
        """Is there anything for the same command to do?"""
        return not self.feeder.input_ended or self.finished < self.walk.rows - self.walk.passed

    # -- the run ------------------------------------------------------------------

    async def run(self) -> None:
        """
        Do all there is to do, or until something stops it.

        Cancelling it aborts the run: rows that are out stay to be done.
        """
        self.started_ns = self.monotonic_ns()
        self.began_s = self.wall_s()
        self.record.begin(now_ns=self.started_ns)
        self.output.on_failure(self._output_failed)
        helpers = [asyncio.create_task(self._tick(), name="bulk: tick")]
        feeding = asyncio.create_task(self.feeder.run(), name="bulk: feed")
        feeding.add_done_callback(lambda _: self._changed.set())
        try:
            await self._until_ended(feeding)
        except BaseException:
            helpers += self._unknown.looking()
            raise
        finally:
            self.ended_ns = self.monotonic_ns()
            self.lanes.drop()  # before the rows end: an ending makes room, and what is parked would begin
            await _cancelled(feeding, *helpers, *self.lanes.tasks)
        await self._unknown.judge(all_done=self.stop is None, end=self.end)
        self._look(self.engine.statistics(), self.ended_ns)
        failure = self._crash or (None if feeding.cancelled() else feeding.exception())
        if failure is not None:
            raise failure

    def end(self, stop: Stop) -> None:
        """Stop for a reason. The first one counts; later ones change nothing."""
        if self.stop is None:
            self.stop = stop
            self._changed.set()

    def close_output(self) -> None:
        """Write what is left; what could not be written is not done."""
        self.output.close()
        if self.output.paths is not None:
            self.tally.lose(self.output.answers.unwritten, self.output.errors.unwritten)

    def abort(self) -> None:
        """Wait for nothing any more."""
        self._aborted = True
        self._changed.set()

    async def _until_ended(self, feeding: asyncio.Task[None]) -> None:
        """Return when nothing is left to wait for."""
        with contextlib.ExitStack() as timers:
            self._set_bounds(timers)
            while not self._aborted and not (feeding.done() and not self.lanes.tasks):
                if self.stop is not None and self.stop.why not in GENTLE:
                    await self._let_finish(feeding, self.stop)
                    return
                self._changed.clear()
                await self._changed.wait()

    async def _let_finish(self, feeding: asyncio.Task[None], stop: Stop) -> None:
        """Nothing new; wait for what is out, as long as the kind of stop allows."""
        await _cancelled(feeding)
        self.engine.refuse_queued()
        bound_s = None if stop.why in PATIENT else self.bounds.grace_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(bound_s):
                while self.lanes.tasks and not self._aborted:
                    self._changed.clear()
                    await self._changed.wait()

    def _set_bounds(self, timers: contextlib.ExitStack) -> None:
        max_time_s = self.bounds.max_time_s
        if max_time_s is not None:
            stop = Stop(Why.MAX_TIME, f"the {max_time_s:g} s of --max-time are over")
            timers.callback(asyncio.get_running_loop().call_later(max_time_s, self.end, stop).cancel)

    # -- one row --------------------------------------------------------------------

    async def _send(self, row: Row) -> None:
        try:
            reply = await self.engine.call(row)
        except RateLimitClientError as error:
            self._not_answered(row, error)
        except Exception as error:  # noqa: BLE001  # a bug: it ends the run, which shows it
            self._crash = error
            self.abort()
        else:
            self._answered(row, reply)

    def _answered(self, row: Row, reply: Answered) -> None:
        line = answer_line(row, reply.status, reply.request_id, reply.content, is_json=reply.data is not None)
        self.output.answers.append(line)
        self.tally.answered(row.custom_id, row.model, reply.data, reply.attempts, reply.queue_s, reply.latency_s)
        self.progressed_s = self.wall_s()
        if self._unknown.held:
            self._unknown.succeeded()

    def _is_other_answered(self, model: str) -> bool:
        """Has a row of another model succeeded, in this run or before?"""
        return self.tally.succeeded_elsewhere(model) or any(name != model for name in self.walk.answered)

    def _not_answered(self, row: Row, error: RateLimitClientError) -> None:
        meaning = read_error(row, error, stopping=self.stop is not None)
        if isinstance(meaning, Failed):
            self.fail(row, meaning)
        elif isinstance(meaning, Pending):
            if meaning.stop is not None:
                self.end(meaning.stop)
        elif self.is_retry or self._is_other_answered(row.model):
            self.fail(row, meaning.failed)
        else:
            self._unknown.hold(row, meaning, self.end)

    def fail(self, row: Row, failed: Failed) -> None:
        """A row goes to the errors file."""
        self.feeder.write_error(row, failed.code, failed.message, failed.status, failed.request_id, failed.content)
        self.tally.refused(failed.code, failed.attempts, failed.waited_s)
        self.progressed_s = self.wall_s()

    # -- what may end it --------------------------------------------------------------

    def _output_failed(self, error: OSError) -> None:
        if error.errno == errno.EPIPE:
            self.end(Stop(Why.BROKEN_PIPE, "whoever read the rows is gone"))
            self.abort()
            return
        name = self.output.answers.name if self.output.answers.failed is error else self.output.errors.name
        sentence = f"{name} could not be written: {error.strerror}. Make room, then run the same command"
        self.end(Stop(Why.OUTPUT, sentence))

    async def _tick(self) -> None:
        """Once a second: make rows durable, look at the limits."""
        while True:
            await asyncio.sleep(_TICK_S)
            await self.output.sync()
            statistics = self.engine.statistics()
            now_ns = self.monotonic_ns()
            self._look(statistics, now_ns)
            self._watch_wait()
            busy = [key for key in statistics.keys.values() if key.queued or key.in_flight]
            self._watch_outage(bool(busy) and all(key.mode is Mode.OUTAGE for key in busy), now_ns)

    def _look(self, statistics: LimiterStatistics, now_ns: int) -> None:
        self.meter.see(statistics, now_ns=now_ns)
        self.record.see(statistics, self.meter, now_ns=now_ns)
        self.tally.waits.digest()
        self.tally.latencies.digest()

    def _watch_wait(self) -> None:
        """A limit that is used up for hours is no wait for a program: the same command goes on then."""
        idle_s = self.engine.idle_for_s()
        if idle_s >= _LONGEST_WAIT_S:
            sentence = f"no row can go for {duration(idle_s)}: {self.engine.waits_for()}"
            self.end(Stop(Why.LONG_WAIT, sentence))

    def _watch_outage(self, out: bool, now_ns: int) -> None:
        if not out:
            self._outage_since_ns = None
            return
        if self._outage_since_ns is None:
            self._outage_since_ns = now_ns
        bound_s = self.bounds.max_outage_s
        if bound_s is not None and now_ns - self._outage_since_ns >= to_ns(bound_s):
            self.end(Stop(Why.MAX_OUTAGE, f"the server has not answered for {bound_s:g} s (--max-outage)"))

    @property
    def outage_s(self) -> float | None:
        """How long the server has been away, or None."""
        since_ns = self._outage_since_ns
        return None if since_ns is None else to_s(self.monotonic_ns() - since_ns)


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel *tasks* and wait until they are over, however they ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
