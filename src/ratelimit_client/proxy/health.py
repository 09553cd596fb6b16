"""
How a proxy is.

Law of this file: numbers and names of models, and nothing of who asked or of what.
"""

from __future__ import annotations

import json
from typing import Any, Final

from .. import __version__
from ..adapters.aiohttp.forwarder import Forwarder
from ..core.statistics import KeyStatistics

_MOST_KEYS: Final = 100


def health_of(forwarder: Forwarder, held: int) -> tuple[int, bytes]:
    """
    Status and JSON body for ``GET /healthz``: 200, or 503 when it takes no calls any more.

    Args:
        held: bytes of the requests that are inside.
    """
    statistics = forwarder.limiter.statistics()
    calls: dict[str, int] = {}
    for (_, outcome), count in forwarder.tally.outcomes.items():
        calls[outcome] = calls.get(outcome, 0) + count
    facts = {
        "status": "draining" if forwarder.is_shut else "ok",
        "version": __version__,
        "upstream": forwarder.upstream,
        "queued": statistics.queued,
        "in_flight": statistics.in_flight,
        "held_bytes": held,
        "calls": calls,
        "keys": {str(name): _of_key(key) for name, key in list(statistics.keys.items())[:_MOST_KEYS]},
    }
    return 503 if forwarder.is_shut else 200, json.dumps(facts).encode() + b"\n"


def _of_key(key: KeyStatistics) -> dict[str, Any]:
    buckets = {
        name: {"limit": bucket.limit, "level": bucket.level, "window_s": bucket.window_s, "source": bucket.source}
        for name, bucket in key.buckets.items()
    }
    return {
        "mode": str(key.mode),
        "queued": key.queued,
        "oldest_wait_s": round(key.oldest_wait_s, 3),
        "in_flight": key.in_flight,
        "granted": key.granted,
        "refused": key.refused,
        "limits": buckets,
    }
