"""Whatever a server says of its responses, each place is given back once, and the session goes on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from ratelimit_client import Client, StreamError, per_day
from tests.adapters.aiohttp.running import KEY, in_virtual_time, ledger_is_even
from tests.adapters.aiohttp.sockets import Peer, SocketServer, event, goodbye
from tests.adapters.aiohttp.talking import CREATE, MODEL

LAST = goodbye(1000)


def begun(name: str | None = "r") -> bytes:
    return event("response.created", response={} if name is None else {"id": name})


def done(name: str | None = "r", status: str = "completed", **members: Any) -> bytes:
    return event("response.done", response={"status": status, **({} if name is None else {"id": name}), **members})


def error(code: str, about: str | None = None, kind: str = "invalid_request_error") -> bytes:
    return event("error", error={"type": kind, "code": code, "message": "no", "event_id": about})


def story_of(*frames: bytes, asks: int = 1) -> tuple[list[tuple[int, int]], Client]:
    """(responses under way, places held) behind each of these events, after so many were asked for."""

    async def script(peer: Peer) -> None:
        for _ in range(asks):
            await peer.event()
        for one in frames:
            await peer.write(one)
            await asyncio.sleep(0.01)
        await peer.write(LAST)

    async def story() -> tuple[list[tuple[int, int]], Client]:
        found = []
        async with (
            SocketServer(script) as server,
            Client(server.url, api_key=KEY, quotas=per_day(requests=1000)) as client,
        ):
            async with client.realtime(MODEL) as session:
                for number in range(asks):
                    await session.send({**CREATE, "event_id": f"ask{number}"})
                with contextlib.suppress(StreamError):
                    async for _ in session:
                        found.append((session.under_way, client.limiter.in_flight))
            assert ledger_is_even(client)
        return found, client

    return in_virtual_time(story)


@pytest.mark.parametrize(
    ("frames", "places"),
    [
        ([begun(), done()], [1, 0]),
        ([done()], [0]),
        ([done(None)], [0]),
        ([begun(None), done(None)], [1, 0]),
        ([begun(), done(None)], [1, 0]),
        ([begun(), begun(), done(), done()], [1, 1, 0, 0]),
        ([begun("a"), begun("b"), done("b"), done("a")], [1, 2, 1, 0]),
        ([begun("a"), done("other"), done("a")], [1, 1, 0]),
        ([begun(), done(status="failed"), begun("s"), done("s")], [1, 0, 1, 0]),
        ([begun(), event("response.output_item.done"), done(status="incomplete")], [1, 1, 0]),
        ([begun(None), begun(None), done(None), done(None)], [1, 2, 1, 0]),
    ],
)
def test_a_place_is_held_from_the_asking_to_the_last_word(frames: list[bytes], places: list[int]) -> None:
    """With names or without, begun or not, twice, crossed, and some that nobody asked for."""
    found, _ = story_of(*frames)
    assert found == [(place, place) for place in places]


@pytest.mark.parametrize(
    ("frames", "places"),
    [
        ([error("bad", "ask0")], [1]),
        ([error("bad", "ask1"), begun(), done()], [1, 1, 0]),
        ([error("bad", "another")], [2]),
        ([error("bad")], [2]),
        ([error("rate_limit_exceeded", kind="requests")], [1]),
        ([error("rate_limit_exceeded", "ask1", kind="requests"), begun(), done()], [1, 1, 0]),
        ([error("rate_limit_exceeded", "another", kind="requests")], [2]),
    ],
)
def test_an_error_ends_what_it_is_about(frames: list[bytes], places: list[int]) -> None:
    """By the name of the event; without a name the oldest that waits, if it is about limits; else nobody's."""
    found, _ = story_of(*frames, asks=2)
    assert found == [(place, place) for place in places]


def test_a_server_that_begins_for_ever_takes_no_more_than_so_many() -> None:
    """Of memory and of places."""
    found, _ = story_of(*(begun(f"r{number}") for number in range(200)), asks=0)
    under_way, places = max(found)
    assert under_way == 64
    assert 0 < places <= 64


def test_a_refusal_that_is_nobodys_is_heard() -> None:
    """An error about limits behind the end of a response, or before any."""
    refusal = event("error", error={"code": "rate_limit_exceeded", "message": "Please try again in 5s."})
    for frames in ([begun(), done(), refusal], [refusal]):
        asks = 1 if len(frames) > 1 else 0
        _, client = story_of(*frames, asks=asks)
        assert client.limiter.statistics().keys[MODEL].refused == 1


def test_a_session_that_is_closed_for_lack_of_money_teaches() -> None:
    """Right behind the handshake, as OpenAI does it: the next call of the key is not let out at once."""

    async def script(peer: Peer) -> None:
        await peer.write(goodbye(1008, "insufficient_quota"))

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with SocketServer(script) as server, Client(server.url, api_key=KEY) as client:
            async with client.realtime(MODEL) as session:
                with pytest.raises(StreamError) as caught:
                    await anext(session)
                assert caught.value.reason == "quota_exhausted"
            began = loop.time()
            async with client.limiter.permit(MODEL):
                assert loop.time() - began >= 0.9

    in_virtual_time(story)
