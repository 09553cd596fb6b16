"""A loop on a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from ratelimit_client import Limiter
from ratelimit_client.runtime.background import BackgroundLoop, background
from tests.interrupting import interrupted_once
from tests.programs import ROOT
from tests.runtime.torture import at_rest

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="nobody")


@pytest.fixture
def loop() -> Iterator[BackgroundLoop]:
    made = BackgroundLoop("a-test")
    yield made
    made.close()


async def where() -> tuple[str, str]:
    return threading.current_thread().name, NAME.get()


def test_a_coroutine_runs_there_and_its_result_comes_back(loop: BackgroundLoop) -> None:
    """
    On the one thread, in the context of its caller; the loop begins with the first call.
    """
    assert "idle" in repr(loop)
    NAME.set("somebody")
    assert loop.run(where()) == ("a-test", "somebody")
    assert "running" in repr(loop)


def test_an_error_comes_back(loop: BackgroundLoop) -> None:
    """
    As it was raised.
    """

    async def fail() -> None:
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        loop.run(fail())


def test_the_loop_does_not_wait_for_itself(loop: BackgroundLoop) -> None:
    """
    Called from a coroutine on it, it says what to do instead.
    """

    async def inside() -> None:
        loop.run(where())

    with pytest.raises(RuntimeError, match="await the coroutine"):
        loop.run(inside())


def test_all_threads_share_one_limiter(loop: BackgroundLoop) -> None:
    """
    Their calls meet on one loop, so a limiter serves them all, one at a time where it says so.
    """
    limiter = Limiter(max_in_flight=1)
    most: list[int] = []

    async def call() -> None:
        async with limiter.permit():
            most.append(limiter.in_flight)
            await asyncio.sleep(0)

    threads = [threading.Thread(target=lambda: loop.run(call())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    at_rest(limiter)


def test_an_interrupted_caller_calls_off_what_it_waits_for(loop: BackgroundLoop) -> None:
    """
    Ctrl-C while a call waits in the queue: it leaves the queue.
    """
    limiter = Limiter(max_in_flight=1)
    waiting = threading.Event()

    async def take() -> object:
        return await limiter.permit()

    async def wait() -> None:
        asyncio.get_running_loop().call_soon(waiting.set)
        async with limiter.permit():
            pass

    async def counts() -> tuple[int, int]:
        for _ in range(3):  # a cancellation takes its turns, too
            await asyncio.sleep(0)
        return limiter.queued, limiter.in_flight

    taken = loop.run(take())
    with interrupted_once(waiting.wait), pytest.raises(KeyboardInterrupt):
        loop.run(wait())
    assert loop.run(counts()) == (0, 1)
    del taken


def test_closed_it_ends_what_runs_and_begins_anew(loop: BackgroundLoop) -> None:
    """
    What ran is cancelled, the thread is gone, and the next call finds a loop again.
    """

    async def forever() -> None:
        await asyncio.Event().wait()

    running = loop.submit(forever())
    loop.run(where())
    loop.close()
    assert running.cancelled()
    assert "a-test" not in {thread.name for thread in threading.enumerate()}
    assert loop.run(where())[0] == "a-test"


FORKS = """
import asyncio, os, sys
from ratelimit_client import Limiter
from ratelimit_client.runtime.background import background

limiter = Limiter(max_in_flight=1)

async def call():
    async with limiter.permit():
        await asyncio.sleep(0.01)
        return "done"

print(background().run(call()), flush=True)
held = background().submit(asyncio.sleep(60))
child = os.fork()
print(background().run(call()), flush=True)
if child == 0:
    sys.exit(0)
_, status = os.waitpid(child, 0)
print(background().run(call()), status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_parent_and_child_each_have_one() -> None:
    """
    The child makes its own, the parent's goes on, and the program ends by itself with a call still under way.
    """
    # 3.12 and later warn of every fork beside a thread: this is about what becomes of it.
    options = ["-W", "error", "-W", "ignore::DeprecationWarning"]
    ended = subprocess.run(
        [sys.executable, *options, "-c", FORKS], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(ended.stdout.split("\n")) == ["", "done", "done", "done", "done 0"]


def test_there_is_one_in_a_process() -> None:
    """
    Whoever asks gets the same.
    """
    assert background() is background()
