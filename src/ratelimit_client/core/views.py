"""
What the scheduler shows of itself.

Law of this file: it looks and changes nothing but the clock of a level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .bucket import Bucket
from .lines import Line
from .statistics import BandStatistics, BucketStatistics, KeyStatistics, Mode
from .units import to_s

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler


def key_statistics(state: KeyState, *, now_ns: int) -> KeyStatistics:
    """One key as it stands."""
    oldest_ns = min((ticket.queued_since_ns for ticket in state.queue.oldest()), default=now_ns)
    return KeyStatistics(
        queued=state.queue.waiting,
        oldest_wait_s=to_s(now_ns - oldest_ns),
        in_flight=state.window.in_flight,
        window=state.window.size,
        buckets=_buckets(state, now_ns),
        granted=state.granted,
        refused=state.refused,
        estimate_ratio=state.estimator.ratio,
        mode=_mode(state),
        gate_s=0.0 if state.hint is None else to_s(max(0, state.hint.until_ns - now_ns)),
    )


def glance(
    scheduler: Scheduler, shown: Callable[[str], bool], *, now_ns: int
) -> Iterator[tuple[str, KeyStatistics, dict[int, BandStatistics]]]:
    """Each key that is *shown* or has calls waiting or under way, and what waits in it; of many keys most rest."""
    for name, state in list(scheduler.keys.items()):
        if name == state.name and (state.queue.waiting or state.window.in_flight or shown(name)):
            yield name, key_statistics(state, now_ns=now_ns), bands(state, now_ns=now_ns)


def tallies(scheduler: Scheduler, shown: Callable[[str], bool]) -> Iterator[tuple[str, int, int]]:
    """Each key that is *shown*, its calls that were let out, and the answers that said no."""
    for name, state in list(scheduler.keys.items()):
        if name == state.name and shown(name):
            yield name, state.granted, state.refused


def bands(state: KeyState, *, now_ns: int) -> dict[int, BandStatistics]:
    """What waits in one key, by priority; of priorities that something ever waited in, and of 0."""
    queue = state.queue
    calls = {band: queue.calls_in(band) for band in (0, *queue.bands, *queue.rests_in)}
    oldest_ns: dict[int, int] = {}
    for ticket in queue.oldest():
        band = ticket.priority
        oldest_ns[band] = min(oldest_ns.get(band, now_ns), ticket.queued_since_ns)
    return {
        band: BandStatistics(count, queue.queued("tokens", band), to_s(now_ns - oldest_ns.get(band, now_ns)))
        for band, count in calls.items()
    }


def _mode(state: KeyState) -> Mode:
    if state.breaker.open:
        return Mode.OUTAGE
    if state.budget.slowdown.pace is not None:
        return Mode.SLOW_DOWN
    if state.budget.shares:
        return Mode.SHARING
    if state.budget.learner.bucket is not None:
        return Mode.LEARNT_RATE
    return Mode.RAMP if state.window.full else Mode.STEADY


def _buckets(state: KeyState, now_ns: int) -> dict[str, BucketStatistics]:
    found: dict[str, BucketStatistics] = {}
    for name, lines in state.budget.lines.items():
        for line in lines:
            label = name if len(lines) == 1 else f"{name} per {to_s(line.bucket.window_ns):g} s"
            found[label] = _bucket(line, now_ns)
    for learnt in (state.budget.learner.bucket, state.budget.slowdown.pace):
        if learnt is not None:
            found[learnt.name] = _plain(learnt, now_ns)
    for purse in state.budget.purses.values():
        found[purse.name] = _plain(purse, now_ns)
    for bucket in state.budget.shared:
        found[f"shared {bucket.name}"] = _plain(bucket, now_ns)
    return found


def _bucket(line: Line, now_ns: int) -> BucketStatistics:
    burst = line.lessons.slice.capacity if line.lessons.slice is not None else None
    series = "none" if line.series.last_order < 0 else "asleep" if line.series.asleep else "alive"
    foreign = line.series.foreign_ppm(now_ns=now_ns) / 1_000_000
    return _plain(
        line.bucket,
        now_ns,
        server_remaining=line.series.server_remaining,
        learnt_burst=burst,
        foreign_ratio=foreign,
        series=series,
    )


def _plain(
    bucket: Bucket,
    now_ns: int,
    *,
    server_remaining: int | None = None,
    learnt_burst: int | None = None,
    foreign_ratio: float = 0.0,
    series: str = "none",
) -> BucketStatistics:
    return BucketStatistics(
        unit=bucket.name,
        window_s=to_s(bucket.window_ns),
        limit=bucket.limit,
        level=bucket.level(now_ns=now_ns),
        reserve=0.0 if bucket.spends_reserve else bucket.reserve / bucket.window_ns,
        server_remaining=server_remaining,
        source=bucket.source,
        gate_s=to_s(max(0, bucket.gate_ns - now_ns)),
        learnt_burst=learnt_burst,
        foreign_ratio=foreign_ratio,
        series=series,
    )
