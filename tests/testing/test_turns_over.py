"""What a turn of a virtual loop leaves behind."""

from __future__ import annotations

import asyncio
import gc
import weakref

from ratelimit_client.testing import run_virtual


def test_a_task_that_was_cancelled_is_held_by_nobody() -> None:
    """
    Once it is dropped it is gone, without a collector, as on asyncio's own loop.
    """

    async def story() -> bool:
        task = asyncio.create_task(asyncio.wait_for(asyncio.sleep(5), 10))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        known = weakref.ref(task)
        del task
        await asyncio.sleep(1)
        return known() is None

    gc.disable()
    try:
        assert run_virtual(story)[0]
    finally:
        gc.enable()
