"""A limiter serves one loop at a time, and says so when it is asked for two."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from ratelimit_client import Limiter, WrongLoop, per_hour
from tests.runtime.torture import at_rest, level


async def hold(limiter: Limiter, seconds: float) -> None:
    async with limiter.permit():
        await asyncio.sleep(seconds)


def test_at_rest_it_moves_to_the_next_loop_and_keeps_what_it_learnt() -> None:
    """asyncio.run twice with one limiter: the level goes on where it was."""
    limiter = Limiter(per_hour(requests=60))

    for left in (59, 58, 57):
        asyncio.run(hold(limiter, 0))
        assert level(limiter) == left
        at_rest(limiter)


def test_busy_on_one_loop_it_refuses_another_and_says_what_to_do() -> None:
    """Used from a second thread while calls are out: WrongLoop, with the recipe; afterwards all is well."""
    limiter = Limiter(per_hour(requests=60))

    async def main() -> None:
        async with limiter.permit():
            with pytest.raises(WrongLoop, match=r"run_coroutine_threadsafe.*coroutine, loop"):
                await asyncio.to_thread(asyncio.run, hold(limiter, 0))
            with pytest.raises(WrongLoop):
                await asyncio.to_thread(limiter.close)
            with pytest.raises(WrongLoop):
                await asyncio.to_thread(limiter.set_quotas, per_hour(requests=5))
            assert (await asyncio.to_thread(limiter.statistics)).in_flight == 1, "reading is free for all"
        await asyncio.to_thread(asyncio.run, hold(limiter, 0))

    asyncio.run(main())
    assert level(limiter) == 58
    at_rest(limiter)


def test_the_recipe_of_the_error_works() -> None:
    """run_coroutine_threadsafe hands a call to the loop that owns the limiter."""
    limiter = Limiter(per_hour(requests=60))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with limiter.permit():
            future = await asyncio.to_thread(asyncio.run_coroutine_threadsafe, hold(limiter, 0), loop)
            await asyncio.wrap_future(future)

    asyncio.run(main())
    assert level(limiter) == 58


def test_what_a_dead_loop_left_behind_does_not_stand_in_the_way() -> None:
    """A loop closed over its tasks leaves one call out and one queued; a new loop works on."""
    limiter = Limiter(per_hour(requests=60), max_in_flight=1)
    dead = asyncio.new_event_loop()
    tasks = [dead.create_task(hold(limiter, 1000)) for _ in range(2)]
    dead.run_until_complete(asyncio.sleep(0.01))
    assert (limiter.in_flight, limiter.queued) == (1, 1)
    dead.set_exception_handler(lambda loop, context: None)  # "Task was destroyed but it is pending"
    dead.close()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task, tasks, dead
    gc.collect()

    asyncio.run(asyncio.wait_for(hold(limiter, 0), 5))
    at_rest(limiter)


def test_the_queue_of_a_dead_loop_is_passed_over() -> None:
    """A call whose loop was closed under it cannot be woken: its turn goes to the next."""
    limiter = Limiter(per_hour(requests=60), max_in_flight=1)
    dead = asyncio.new_event_loop()
    permit = dead.run_until_complete(_take(limiter))
    task = dead.create_task(hold(limiter, 1000))
    dead.run_until_complete(asyncio.sleep(0.01))
    assert (limiter.in_flight, limiter.queued) == (1, 1)
    dead.close()

    async def main() -> None:
        await asyncio.sleep(0)
        mine = asyncio.ensure_future(hold(limiter, 0))
        await asyncio.sleep(0)
        permit.finish()
        await asyncio.wait_for(mine, 5)

    asyncio.run(main())
    at_rest(limiter)
    task._log_destroy_pending = False  # type: ignore[attr-defined]


async def _take(limiter: Limiter) -> Any:
    return await limiter.permit()


def test_a_dropped_permit_comes_back_from_any_thread() -> None:
    """A handle collected on another thread is released on the loop it belongs to."""
    limiter = Limiter(per_hour(requests=60), max_in_flight=1)

    async def main() -> None:
        holder = [await limiter.permit()]
        thread = threading.Thread(target=holder.clear)
        thread.start()
        thread.join()
        await asyncio.wait_for(hold(limiter, 0), 5)

    asyncio.run(main())
    at_rest(limiter)


_FORK = """
import asyncio, os, sys
from ratelimit_client import Limiter, per_hour

limiter = Limiter(per_hour(requests=60), max_in_flight=1)

async def hold(seconds=0.0):
    async with limiter.permit():
        await asyncio.sleep(seconds)

async def parent():
    busy = [asyncio.ensure_future(hold(0.3)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert (limiter.in_flight, limiter.queued) == (1, 2), limiter
    pid = os.fork()
    if pid == 0:
        try:
            assert (limiter.in_flight, limiter.queued) == (0, 0), limiter
            code = 0
        except BaseException:
            code = 1
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the child starts at rest"
    await asyncio.gather(*busy)
    assert (limiter.in_flight, limiter.queued) == (0, 0)
    assert limiter.statistics().keys["default"].granted == 3

asyncio.run(parent())

pid = os.fork()
if pid == 0:
    try:
        assert not limiter.statistics().keys, limiter
        asyncio.run(hold())
        assert limiter.statistics().keys["default"].granted == 1
        code = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        code = 1
    os._exit(code)
_, status = os.waitpid(pid, 0)
assert status == 0, "the child can use it"
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_the_child_starts_at_rest() -> None:
    """Neither the parent's calls nor its loop exist for the child, and the parent notices nothing."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", _FORK], capture_output=True, text=True, timeout=60)

    assert (done.stdout.strip(), done.stderr) == ("fine", "")
