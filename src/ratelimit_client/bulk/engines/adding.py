"""
What several limiters of one job know, as if they were one.

Law of this file: what happened is added (calls, refusals, retries), what waits and what
is out is added, and of a limit there is one. Where each worker has a part of it, the
parts are added as well; where all see the whole, it is the whole, and the level is the
lowest that anybody believes in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from ...core.statistics import BucketStatistics, KeyStatistics, LimiterStatistics, Mode

_TYPED: Final = "config"
# Of several modes the first that anybody is in; away is only what all find away.
_TELLING: Final = (Mode.SLOW_DOWN, Mode.LEARNT_RATE, Mode.SHARING, Mode.RAMP, Mode.STEADY, Mode.OUTAGE)


def added(looks: Sequence[LimiterStatistics], *, in_parts: bool) -> LimiterStatistics:
    """
    The statistics of all.

    Args:
        in_parts: of a limit that was typed each has its part.
    """
    names = dict.fromkeys(name for look in looks for name in look.keys)
    keys = {name: _key([look.keys[name] for look in looks if name in look.keys], in_parts) for name in names}
    unread: dict[str, int] = {}
    for look in looks:
        for kind, count in look.unread.items():
            unread[kind] = unread.get(kind, 0) + count
    return LimiterStatistics(looks[0].name if looks else "", keys, unread)


def only_counts(look: LimiterStatistics) -> LimiterStatistics:
    """What stays true of a worker that is gone: what it sent."""
    keys = {
        name: attrs.evolve(key, queued=0, oldest_wait_s=0.0, in_flight=0, window=0, buckets={}, mode=Mode.STEADY)
        for name, key in look.keys.items()
    }
    return LimiterStatistics(look.name, keys, look.unread)


def _key(parts: Sequence[KeyStatistics], in_parts: bool) -> KeyStatistics:
    names = dict.fromkeys(name for part in parts for name in part.buckets)
    ratios = [part.estimate_ratio for part in parts if part.estimate_ratio is not None]
    busy = [part for part in parts if part.queued or part.in_flight] or parts
    modes = {part.mode for part in busy}
    return KeyStatistics(
        queued=sum(part.queued for part in parts),
        oldest_wait_s=max(part.oldest_wait_s for part in parts),
        in_flight=sum(part.in_flight for part in parts),
        window=sum(part.window for part in parts),
        buckets={
            name: _bucket([part.buckets[name] for part in parts if name in part.buckets], in_parts) for name in names
        },
        granted=sum(part.granted for part in parts),
        refused=sum(part.refused for part in parts),
        estimate_ratio=sum(ratios) / len(ratios) if ratios else None,
        mode=next(mode for mode in _TELLING if mode in modes),
    )


def _bucket(parts: Sequence[BucketStatistics], in_parts: bool) -> BucketStatistics:
    first = parts[0]
    if in_parts and all(part.source == _TYPED for part in parts):
        limit, level = sum(part.limit for part in parts), sum(part.level for part in parts)
        reserve = sum(part.reserve for part in parts)
    else:
        limit, level = max(part.limit for part in parts), min(part.level for part in parts)
        reserve = max(part.reserve for part in parts)
    return BucketStatistics(
        unit=first.unit,
        window_s=first.window_s,
        limit=limit,
        level=level,
        reserve=reserve,
        server_remaining=_least(part.server_remaining for part in parts),
        source=first.source,
        gate_s=max(part.gate_s for part in parts),
        learnt_burst=_least(part.learnt_burst for part in parts),
        foreign_ratio=max(part.foreign_ratio for part in parts),
        series=next((part.series for part in parts if part.series == "alive"), first.series),
    )


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)
