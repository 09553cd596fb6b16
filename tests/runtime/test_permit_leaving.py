"""Odd ways to leave a permit, each of which gives its place back once."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest

from ratelimit_client import Limiter, QueueFull
from ratelimit_client.core.concurrency import Ending
from tests.runtime.test_permit import endings
from tests.runtime.torture import at_rest, virtual


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("deadline", [None, 100.0])
def test_finished_inside_the_block_it_is_released_once(deadline: float | None, fails: bool) -> None:
    """finish() and then the end of ``async with``: one place is free again, not two."""

    async def main() -> None:
        limiter = Limiter(max_in_flight=2)
        told = endings(limiter)
        async with limiter.permit():
            with contextlib.suppress(ValueError):
                async with limiter.permit(deadline=deadline) as permit:
                    permit.finish()
                    assert limiter.in_flight == 1
                    if fails:
                        raise ValueError
            assert limiter.in_flight == 1
            assert told == [Ending.SUCCEEDED]
        at_rest(limiter)

    virtual(main)


@pytest.mark.parametrize("headers", ["abc", 5, ["x-a", "x-b"]])
def test_an_exception_with_odd_headers_is_only_an_exception(headers: object) -> None:
    """What the body raises goes through as it is, whatever its attributes are, and the place is free again."""
    odd = type("Odd", (Exception,), {"status": 500, "headers": headers})

    async def main() -> None:
        limiter = Limiter()
        with pytest.raises(odd):
            async with limiter.permit():
                raise odd
        at_rest(limiter)

    virtual(main)


def test_it_can_be_shown_at_any_time() -> None:
    """Also one that the queue had no room for."""

    async def main() -> None:
        limiter = Limiter(max_in_flight=1, max_queue=0)
        async with limiter.permit():
            refused = limiter.permit()
            with pytest.raises(QueueFull):
                await refused
            assert repr(refused) == "<Permit that was not admitted>"

    virtual(main)


def test_a_permit_that_was_dropped_inside_cancels_nobody_later() -> None:
    """Its task has gone on to other things; a deadline that is nobody's any more does not end those."""

    async def main() -> None:
        limiter = Limiter()
        with pytest.warns(ResourceWarning, match="was never left"):
            await limiter.permit(deadline=1.0).__aenter__()
            gc.collect()
        await asyncio.sleep(2.0)
        at_rest(limiter)

    virtual(main)
