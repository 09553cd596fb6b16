"""
Waiting that may be given up.

Law of this file: a TimeoutError is ours only when our time was up; any other is of what was waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


async def in_time(waiting: Awaitable[object], timeout_s: float | None) -> bool:
    """
    Wait for *waiting*. Cancelled or out of time, it is cancelled.

    Args:
        timeout_s: seconds; None: as long as it takes.

    Returns:
        True when it has ended, False after *timeout_s*.
    """
    try:
        async with asyncio.timeout(timeout_s) as limit:
            await waiting
    except TimeoutError:
        if not limit.expired():
            raise
        return False
    return True
