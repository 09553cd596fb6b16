"""A stream ends once, whoever ends it, at whatever instant, and from wherever."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from ratelimit_client import (
    Client,
    ConfigurationError,
    DeadlineExceeded,
    StreamTruncated,
    Timeout,
    per_day,
)
from ratelimit_client.adapters.aiohttp.stream import Stream
from tests.adapters.aiohttp.rawserver import END, Move, RawServer, chunked
from tests.adapters.aiohttp.running import KEY, in_virtual_time, ledger_is_even, served
from tests.adapters.aiohttp.streaming import DONE, EVENTS, WHOLE, ask, at_rest, chunk, data, events, take, text_of

SILENT = [events(chunk("one"), end=b""), Move.SILENCE]
WITHOUT_END = [events(chunk("one"), DONE, end=b""), Move.SILENCE]


# -- by two at once ----------------------------------------------------------------------------


def test_a_stream_has_one_consumer() -> None:
    """A second one who asks while the first waits is refused, and breaks nothing."""

    async def story() -> None:
        slow = [chunked(chunk("one"), kind=EVENTS), 5.0, WHOLE[WHOLE.index(b"\r\n\r\n") + 4 :]]
        async with served(slow) as (server, client):
            async with ask(client) as stream:
                await anext(stream)
                taken: list[Any] = []
                first = asyncio.ensure_future(take(stream, taken))
                await asyncio.sleep(1)
                with pytest.raises(RuntimeError, match="another task waits"):
                    await anext(stream)
                await first
            assert text_of(taken) == "one two"
            assert client.tally.outcomes == {("gpt-4o", "success"): 1}
            await at_rest(server, client, kept=1)

    in_virtual_time(story)


@pytest.mark.parametrize("left", [False, True])
def test_who_waits_learns_that_another_closed_it(left: bool) -> None:
    """It is counted once, and the one who waited takes it for no success."""

    async def story() -> None:
        async with served(SILENT) as (server, client):
            async with ask(client) as stream:
                waiting = asyncio.ensure_future(take(stream, []))
                await asyncio.sleep(1)
                if left:
                    await stream.__aexit__(None, None, None)
                else:
                    stream.close()
                assert ledger_is_even(client), "at once, and not when the other has woken"
                with pytest.raises(StreamTruncated, match=r"it was closed .* 1 events"):
                    await waiting
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)
            assert client.tally.outcomes == {("gpt-4o", "cancelled"): 1}
            await at_rest(server, client)

    in_virtual_time(story)


def test_closed_while_the_rest_is_read() -> None:
    """The last event was taken and the server does not end its answer: a success, and one."""

    async def story() -> None:
        async with served(WITHOUT_END) as (server, client):
            async with ask(client) as stream:
                taken: list[Any] = []
                reading = asyncio.ensure_future(take(stream, taken))
                await asyncio.sleep(0.1)
                assert text_of(taken) == "one"
                assert ledger_is_even(client)
                stream.close()
                await reading
            assert client.tally.outcomes == {("gpt-4o", "success"): 1}
            await at_rest(server, client)

    in_virtual_time(story)


@pytest.mark.parametrize("total", [0.1, 0.2, 0.25])
def test_too_late_while_the_rest_is_read(total: float) -> None:
    """What was whole in time stays a success, also for who asks once more."""

    async def story() -> None:
        async with served(WITHOUT_END) as (server, client):
            async with ask(client, deadline_total=total) as stream:
                await take(stream, [])
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)
            assert client.tally.outcomes == {("gpt-4o", "success"): 1}
            await at_rest(server, client)

    in_virtual_time(story)


def test_cancelled_while_the_rest_is_read() -> None:
    """All of it was delivered, so nothing is held, and it is over."""

    async def story() -> None:
        async with served(WITHOUT_END) as (server, client):
            async with ask(client) as stream:
                await anext(stream)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await anext(stream)
                assert ledger_is_even(client)
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)
            assert client.tally.outcomes.total() == 1
            await at_rest(server, client)

    in_virtual_time(story)


def test_too_late_in_the_instant_of_an_event() -> None:
    """Whoever waits is told at once, and the place does not wait for him to come back."""

    async def story() -> None:
        on_time = [events(chunk("one"), end=b""), 4.0, events(chunk("two"), end=b"").partition(b"\r\n\r\n")[2]]
        async with served([*on_time, Move.SILENCE]) as (server, client):
            for total in (3.999, 4.0, 4.001):
                seen: list[Any] = []
                async with ask(client, deadline_total=total) as stream:
                    with pytest.raises(DeadlineExceeded) as caught:
                        while True:
                            seen.append(await anext(stream))
                            if len(seen) == 2:
                                await asyncio.sleep(1)
                                assert ledger_is_even(client)
                    assert caught.value.delivered == stream.delivered == len(seen)
            await at_rest(server, client)

    in_virtual_time(story)


# -- by nobody ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _unraised() -> Iterator[list[BaseException | None]]:
    """What is raised where nobody can be told."""
    raised: list[BaseException | None] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda what: raised.append(what.exc_value)
    try:
        yield raised
    finally:
        sys.unraisablehook = before


async def _begun(client: Client) -> Stream:
    stream = ask(client)
    await stream.__aenter__()
    await anext(stream)
    return stream


def test_dropped_where_warnings_are_errors() -> None:
    """The warning comes last: what it breaks is only itself."""

    async def story() -> None:
        async with served(SILENT) as (server, client):
            stream = await _begun(client)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with _unraised() as raised:
                    del stream
            assert [type(each) for each in raised] == [ResourceWarning]
            await asyncio.sleep(0)
            await at_rest(server, client)

    in_virtual_time(story)


def test_dropped_in_another_thread() -> None:
    """The collector runs where it likes; what the stream held is freed on its own loop."""

    async def story() -> None:
        async with served(SILENT) as (server, client):
            box = [await _begun(client)]
            with pytest.warns(ResourceWarning, match="was dropped"):
                thread = threading.Thread(target=box.clear)
                thread.start()
                thread.join()
            await asyncio.sleep(0)
            await at_rest(server, client)

    in_virtual_time(story)


def test_how_long_a_dropped_one_took_is_counted() -> None:
    """And what it used, if the last event had said it."""

    async def story() -> None:
        async with served(SILENT) as (_, client):
            stream = await _begun(client)
            await asyncio.sleep(7)
            with pytest.warns(ResourceWarning):
                del stream
            await asyncio.sleep(0)
            assert client.tally.total_s == pytest.approx(7, abs=0.1)

    in_virtual_time(story)


def test_dropped_after_the_loop_has_ended() -> None:
    """A client that goes on to another loop is not waited for by a stream of the first."""

    async def begin() -> tuple[Client, list[Stream]]:
        async with RawServer(SILENT) as server:
            client = Client(server.url, api_key=KEY, quotas=per_day(requests=100))
            return client, [await _begun(client)]

    async def end() -> None:
        async with asyncio.timeout(5):
            await client.drain()
        await client.close()

    client, box = asyncio.run(begin())
    with pytest.warns(ResourceWarning, match="was dropped"):
        box.clear()
        gc.collect()
    asyncio.run(end())
    assert ledger_is_even(client)
    assert client.tally.outcomes == {("gpt-4o", "cancelled"): 1}


@pytest.mark.parametrize("comments", [False, True])
def test_who_asks_again_and_again_waits_for_a_silent_server_all_the_same(comments: bool) -> None:
    """The waits that were given up count together; what comes meanwhile counts as ever."""
    ping = b"".join(chunked(data({"type": "ping"}), kind=EVENTS).partition(b"\r\n\r\n")[2:])
    dribble = [b"3\r\n:c\n\r\n", 0.7] * 100 if comments else []

    async def story() -> None:
        alive = [events(chunk("one"), end=b""), *[15.0, ping] * 4, *dribble, Move.SILENCE]
        async with served(alive, timeout=Timeout(idle_s=20)) as (server, client):
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with ask(client) as stream:
                await anext(stream)
                with pytest.raises(StreamTruncated, match="it stopped") as caught:
                    while True:
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(3):
                                await anext(stream)
            assert caught.value.kind == "timeout"
            assert 80 <= loop.time() - began <= 86
            await at_rest(server, client)

    in_virtual_time(story)


# -- by a clock --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_the_time_of_a_consumer_is_a_time(seconds: float) -> None:
    """Nobody can take an event in no time."""

    async def story() -> None:
        async with served([WHOLE]) as (_, client):
            with pytest.raises(ConfigurationError, match="idle_consumer_s"):
                ask(client, idle_consumer_s=seconds)
            with pytest.raises(ConfigurationError, match="deadline_total"):
                ask(client, deadline_total=float("nan"))
            async with ask(client, idle_consumer_s=float("inf")) as stream:
                await asyncio.sleep(10_000)
                await take(stream, [])

    in_virtual_time(story)


def test_looking_at_the_consumer_leaves_nothing() -> None:
    """One timer, however often it has looked."""

    async def story() -> None:
        steps = [step for _ in range(300) for step in (1.0, b"".join(chunked(chunk("x")).partition(b"\r\n\r\n")[2:]))]
        done = b"e\r\n" + DONE + b"\r\n" + END
        whole = [chunked(chunk("one"), kind=EVENTS), *steps, done]
        async with served(whole) as (_, client), ask(client, idle_consumer_s=0.5) as stream:
            held = stream._held
            assert held is not None
            async for _ in stream:
                assert len(held.timers) == 1
            assert not held.timers

    in_virtual_time(story)
