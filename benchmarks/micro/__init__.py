"""
What a call costs the process itself, without any HTTP, beside others that bound what goes out.

    python -m benchmarks.micro

Absolute times are of one machine; the floor and the peers stand beside in the same run.
"""

from __future__ import annotations

from typing import Any

from .calls import calls
from .lagging import lags
from .peers import NOT_INSTALLED, python, roomy, versions
from .waiting import cancels, grants, lying


def micro() -> dict[str, Any]:
    """All of it: a table, and the figures by name that the page has always had."""
    theirs = python()
    uncontended = roomy(theirs)
    rows = calls(uncontended)
    joins, cancelled, flat = cancels(theirs)
    still, of_still = lying(theirs)
    return {
        "permit_3_buckets_us": next(row["ours"]["median"] for row in rows if row["name"] == "permit_3_buckets"),
        "aiolimiter_us": _median(uncontended["aiolimiter"]),
        "semaphore_us": _median(uncontended["asyncio.Semaphore"]),
        **flat,
        **of_still,
        "table": [*rows, *joins, *grants(theirs), *cancelled, *still, *lags()],
        "versions": versions() if theirs else dict.fromkeys(versions(), NOT_INSTALLED),
    }


def _median(found: Any) -> Any:
    return found["median"] if isinstance(found, dict) else found
