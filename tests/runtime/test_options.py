"""What a block says of the calls in it, and of no others."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from ratelimit_client import Cost, Limiter
from ratelimit_client.runtime.options import NOTHING, CallOptions, options_of


def test_a_block_says_it_of_the_calls_inside() -> None:
    """
    Inside it holds; before and after, and after an error, nothing is said.
    """
    limiter = Limiter()

    assert options_of(limiter) is NOTHING
    with pytest.raises(KeyError), limiter.call_options(deadline=30, priority=-1, tenant="ada", key="mine", tokens=90):
        assert options_of(limiter) == CallOptions(
            key="mine", cost=Cost(tokens=90), priority=-1, tenant="ada", deadline=30
        )
        raise KeyError
    assert options_of(limiter) is NOTHING


def test_an_inner_block_changes_what_it_names() -> None:
    """
    The rest is as the outer one said, and comes back with its end.
    """
    limiter = Limiter()

    with limiter.call_options(deadline=30, priority=2):
        with limiter.call_options(priority=0):
            assert options_of(limiter) == CallOptions(deadline=30, priority=0)
        assert options_of(limiter) == CallOptions(deadline=30, priority=2)


def test_each_limiter_is_spoken_of_alone() -> None:
    """
    Blocks of two limiters stand inside each other and do not mix.
    """
    one, other = Limiter(), Limiter()

    with one.call_options(tenant="a"), other.call_options(tenant="b"), one.call_options(deadline=1):
        assert options_of(one) == CallOptions(tenant="a", deadline=1)
        assert options_of(other) == CallOptions(tenant="b")


def test_a_block_can_be_entered_again() -> None:
    """
    Kept and used twice, also one inside the other.
    """
    limiter = Limiter()
    block = limiter.call_options(priority=1)

    with block, block:
        assert options_of(limiter).priority == 1
    with block:
        assert options_of(limiter).priority == 1
    assert options_of(limiter) is NOTHING
    assert "priority=1" in repr(block)


def test_it_holds_in_tasks_that_are_begun_inside() -> None:
    """
    Whatever their creator does afterwards; a task from before the block hears nothing.
    """
    limiter = Limiter()

    async def look(gate: asyncio.Event) -> CallOptions:
        await gate.wait()
        return options_of(limiter)

    async def main() -> list[CallOptions]:
        gate = asyncio.Event()
        before = asyncio.create_task(look(gate))
        with limiter.call_options(tenant="inside"):
            inside = asyncio.create_task(look(gate))
            with limiter.call_options(tenant="deeper"):
                deeper = asyncio.create_task(look(gate))
        gate.set()
        return await asyncio.gather(before, inside, deeper)

    assert [said.tenant for said in asyncio.run(main())] == [None, "inside", "deeper"]


def test_another_thread_hears_nothing() -> None:
    """
    Unless it was handed the context, as to_thread does.
    """
    limiter = Limiter()
    heard: list[CallOptions] = []

    def look() -> None:
        heard.append(options_of(limiter))

    async def main() -> None:
        with limiter.call_options(tenant="inside"):
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
            await asyncio.to_thread(look)

    asyncio.run(main())
    assert [said.tenant for said in heard] == [None, "inside"]


@pytest.mark.parametrize("wrong", [{"priority": 3}, {"cost": {"requests": -1}}, {"tokens": 1, "cost": {"tokens": 1}}])
def test_what_cannot_be_is_told_at_once(wrong: dict[str, Any]) -> None:
    """
    Before any call.
    """
    with pytest.raises(ValueError):
        Limiter().call_options(**wrong)
