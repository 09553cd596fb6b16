"""What listeners are told, and what becomes of too many of them."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from ratelimit_client import Limiter
from ratelimit_client.adapters.prometheus import Collector
from ratelimit_client.adapters.prometheus.live import MOST_LISTENERS, Listener, Live
from ratelimit_client.testing import run_virtual


def live_of(collector: Collector | None = None, **how: Any) -> Live:
    """One that is open, on virtual time, on which looking costs nothing."""
    live = Live(lambda: collector, wall_s=asyncio.get_running_loop().time, now_s=lambda: 0.0, **how)
    live.open()
    return live


def told(event: bytes) -> Any:
    """The state in an event."""
    (line,) = (line for line in event.split(b"\n") if line.startswith(b"data: {\"v"))
    return json.loads(line.removeprefix(b"data: "))


class Counting(Collector):
    """It counts how often its limiters are looked at, and how often the whole state is made."""

    made = looks = 0

    @property
    def limiters(self) -> list[Limiter]:
        self.looks += 1
        return super().limiters

    def jobs(self) -> list[dict[str, Any]]:
        self.made += 1
        return super().jobs()


def test_a_listener_hears_the_state_each_second():
    """
    The first event has all of the history, later ones the newest of it; all have the numbers of the moment.
    """

    async def story() -> None:
        limiter = Limiter(name="mine")
        collector = Collector(None)
        collector.watch(limiter)
        live = live_of(collector)
        live.open()
        await asyncio.sleep(60)
        with live.listening() as listener:
            first = await anext(listener)
            assert first.startswith(b"retry: ")
            assert len(told(first)["history"]["at_s"]) == 61
            async with limiter.permit("m"):
                second = told(await anext(listener))
            assert len(second["history"]["at_s"]) == 16
            (key,) = second["clients"][0]["keys"]
            assert (key["model"], key["in_flight"], key["history"]["admitted"][-1]) == ("m", 1, 1)
        live.close()

    run_virtual(story)


def test_nobody_listens():
    """
    Then no state is made: all that a second costs is a look at the counts.
    """

    async def story() -> None:
        collector = Counting(None)
        live = live_of(collector)
        live.open()
        await asyncio.sleep(100)
        assert collector.looks >= 100
        assert collector.made == 0
        with live.listening():
            pass
        made = collector.made
        await asyncio.sleep(100)
        assert collector.made == made
        live.close()
        looks = collector.looks
        await asyncio.sleep(10)
        assert collector.looks == looks

    run_virtual(story)


def test_who_is_slow_misses_what_came_in_between():
    """
    He gets the newest, and no queue grows behind him.
    """

    async def story() -> None:
        live = live_of()
        with live.listening() as listener:
            await anext(listener)
            await asyncio.sleep(30.5)
            event = await anext(listener)
            assert told(event)["now_s"] >= asyncio.get_running_loop().time() - 1
            assert event.count(b"data: ") == 1
        live.close()

    run_virtual(story)


def test_one_too_many():
    """
    The one that has listened longest is told to go, after what it has not heard yet; the others hear on.
    """

    async def story() -> None:
        live = live_of()
        opened = [live.listening() for _ in range(MOST_LISTENERS + 1)]
        listeners = [each.__enter__() for each in opened]
        assert live.listeners == MOST_LISTENERS
        heard = [event async for event in listeners[0]]
        assert len(heard) == 1
        assert heard[0].endswith(b"event: displaced\ndata: {}\n\n")
        await anext(listeners[1])
        assert told(await anext(listeners[1]))
        for each in opened:
            each.__exit__(None, None, None)
        assert live.listeners == 0
        live.close()

    run_virtual(story)


def test_the_end_is_told():
    """
    With the last state, however far a listener has read; closing once more changes nothing.
    """

    async def story() -> None:
        live = live_of()
        with live.listening() as read, live.listening() as unread:
            await anext(read)
            live.close()
            live.close()
            for listener in (read, unread):
                (last,) = [event async for event in listener]
                assert last.endswith(b"event: end\ndata: {}\n\n")
                assert told(last)["clients"] == []

    run_virtual(story)


def test_one_who_comes_after_the_end():
    """
    He is told how it ended; nothing is sampled because of him.
    """

    async def story() -> None:
        collector = Counting(None)
        live = live_of(collector)
        live.close()
        with live.listening() as listener:
            (last,) = [event async for event in listener]
        assert last.endswith(b"event: end\ndata: {}\n\n")
        looks = collector.looks
        await asyncio.sleep(10)
        assert (collector.looks, live.listeners) == (looks, 0)

    run_virtual(story)


def test_an_end_that_says_nothing():
    """
    Whoever left is not told that he did.
    """

    async def story() -> None:
        listener = Listener(b"first")
        assert await anext(listener) == b"first"
        waits = asyncio.create_task(_all(listener))
        await asyncio.sleep(1)
        listener.end()
        assert await waits == []

    run_virtual(story)


async def _all(listener: Listener) -> list[bytes]:
    return [event async for event in listener]


@pytest.mark.parametrize(("rests", "looks"), [(True, 0), (False, 10)])
def test_a_server_that_does_not_say_when_it_ends(rests: bool, looks: int):
    """
    When nobody has looked for ten minutes nothing is sampled, until somebody looks again.
    """

    async def story() -> None:
        collector = Counting(None)
        live = live_of(collector, rests=rests)
        live.state()
        await asyncio.sleep(602.5)
        before = collector.looks
        await asyncio.sleep(10)
        assert collector.looks - before == looks
        live.state()
        before = collector.looks
        await asyncio.sleep(10)
        assert collector.looks - before == 10
        live.close()

    run_virtual(story)


def test_while_one_listens_it_does_not_rest():
    """
    However long that is.
    """

    async def story() -> None:
        live = live_of(rests=True)
        with live.listening() as listener:
            await anext(listener)
            for _ in range(2000):
                await anext(listener)
        live.close()

    run_virtual(story)


@pytest.mark.parametrize(("cost_s", "looks"), [(0.0, 100), (0.02, 50), (3600.0, 10)])
def test_looking_takes_a_hundredth_of_the_time(cost_s: float, looks: int):
    """
    Where it takes long it is done more seldom, yet each ten seconds; a clock that jumps stops nothing.
    """

    async def story() -> None:
        times = itertools.count()
        collector = Counting(None)
        live = Live(lambda: collector, now_s=lambda: cost_s * next(times))
        live.open()
        await asyncio.sleep(99.5)
        assert collector.looks == looks
        live.close()

    run_virtual(story)


def test_asked_often_it_tells_what_it_made_last():
    """
    A thousand questions at once are answered with a few states, and a twentieth of the time.
    """

    async def story() -> None:
        collector = Counting(None)
        limiters = [Limiter(name=f"mine-{number}") for number in range(50)]
        for limiter in limiters:
            collector.watch(limiter)
            for key in range(20):
                async with limiter.permit(f"m-{key}"):
                    pass
        live = Live(lambda: collector)
        live.open()
        for _ in range(1000):
            live.state()
        assert collector.made < 500
        live.close()

    run_virtual(story)


def test_what_cannot_be_told(caplog: pytest.LogCaptureFixture):
    """
    A job that tells of itself without an end: the page is told of nothing, the log once, and the seconds go on.
    """
    endless: dict[str, Any] = {}
    endless["more"] = endless

    async def story() -> None:
        collector = Collector(None)
        collector.progress("o", lambda: endless)
        live = live_of(collector)
        with live.listening() as listener:
            for _ in range(3):
                assert told(await anext(listener))["jobs"] == []
            collector.progress("o", lambda: {"odd": [1, float("nan"), 10**400, object]})
            assert told(await anext(listener))["jobs"][0]["progress"]["odd"][:2] == [1, None]
        live.close()

    run_virtual(story)
    assert [record.levelname for record in caplog.records if record.name == "ratelimit_client"] == ["WARNING"]


def test_another_loop():
    """
    Asked on the loop that came after the one it sampled on, it samples on that.
    """
    live = Live(lambda: None, now_s=lambda: 0.0, rests=True)

    async def story() -> None:
        live.state()
        with live.listening() as listener:
            await anext(listener)
            assert told(await anext(listener))

    run_virtual(story)
    run_virtual(story)
