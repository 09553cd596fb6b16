"""
How a limiter looks to a person: one line.

    <Limiter openai: 482/500 requests, 31k/200k tokens, 12 queued, 8 in flight, next in 0.4 s>

Law of this file: facts come in, text goes out. Of several keys the busiest is
shown, because a line is no table; ``limiter.statistics()`` has them all.
"""

from __future__ import annotations

from ...core.statistics import BucketStatistics, KeyStatistics, LimiterStatistics

_SHOWN_BUCKETS = 4


def describe(statistics: LimiterStatistics, *, next_in_s: float | None, state: str = "") -> str:
    """The line; *next_in_s* is when somebody may go next, *state* a word such as "closed"."""
    parts = []
    key = _busiest(statistics)
    if key is not None:
        parts += [_bucket(bucket) for bucket in list(key.buckets.values())[:_SHOWN_BUCKETS]]
    if len(statistics.keys) > 1:
        parts.append(f"{len(statistics.keys)} keys")
    parts.append(f"{statistics.queued} queued")
    parts.append(f"{statistics.in_flight} in flight")
    if next_in_s is not None:
        parts.append(f"next in {next_in_s:.1f} s")
    if state:
        parts.append(state)
    return f"<Limiter {statistics.name}: {', '.join(parts)}>"


def _busiest(statistics: LimiterStatistics) -> KeyStatistics | None:
    return max(statistics.keys.values(), key=lambda key: (key.queued, key.in_flight, key.granted), default=None)


def _bucket(bucket: BucketStatistics) -> str:
    return f"{short(bucket.level)}/{short(bucket.limit)} {bucket.unit}"


def short(number: int) -> str:
    """A number for a glance: 950, 31k, 1.5M."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(number) >= 10 * size or (abs(number) >= size and number % (size // 10) == 0):
            return f"{number / size:.3g}{letter}" if abs(number) < 100 * size else f"{number // size}{letter}"
    return str(number)
