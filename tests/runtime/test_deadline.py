"""A deadline over a body cancels it once, and takes its own cancellation back."""

from __future__ import annotations

import asyncio

import pytest

from ratelimit_client.runtime.deadline import DeadlineGuard
from tests.runtime.torture import virtual


async def watched(seconds: float, work_s: float) -> tuple[bool, bool]:
    """(cancelled, and it was the deadline) for a body of *work_s* under a deadline of *seconds*."""
    guard = DeadlineGuard(asyncio.get_running_loop(), seconds)
    cancelled = False
    try:
        await asyncio.sleep(work_s)
    except asyncio.CancelledError:
        cancelled = True
    return cancelled, guard.disarm()


@pytest.mark.parametrize(
    ("seconds", "work_s", "outcome"),
    [(2, 1, (False, False)), (1, 2, (True, True)), (0, 1, (True, True)), (-5, 1, (True, True))],
)
def test_the_body_is_cancelled_at_the_deadline_and_not_before(
    seconds: float, work_s: float, outcome: tuple[bool, bool]
) -> None:
    """A deadline that is past already is one that is now."""

    async def main() -> None:
        assert await watched(seconds, work_s) == outcome
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    virtual(main)


def test_two_reasons_to_be_cancelled_are_not_one() -> None:
    """With a cancellation from outside as well, it was not (only) the deadline."""

    async def main() -> None:
        task = asyncio.ensure_future(watched(1, 5))
        asyncio.get_running_loop().call_later(1, task.cancel)
        assert await task == (True, False)
        assert task.cancelling() == 1, "the other cancellation is still asked for"

    virtual(main)


def test_there_must_be_a_task_to_cancel() -> None:
    """In a bare callback there is none."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[str] = loop.create_future()

        def callback() -> None:
            with pytest.raises(RuntimeError, match="needs a task") as caught:
                DeadlineGuard(loop, 1)
            outcome.set_result(str(caught.value))

        loop.call_soon(callback)
        assert "coroutine" in await outcome

    virtual(main)


def test_a_watch_that_was_given_up_cancels_nobody() -> None:
    """The body it watched was never ended, and its task does something else."""

    async def main() -> None:
        guard = DeadlineGuard(asyncio.get_running_loop(), 1.0)
        guard.give_up()
        await asyncio.sleep(2.0)
        assert not guard.expired

    virtual(main)
