"""How long a request of a session holds its place: until the body of its answer has ended, whichever way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from ratelimit_client import Limiter, per_day
from ratelimit_client.adapters.aiohttp import middleware
from tests.adapters.aiohttp.limited import DAILY, FINE, REFUSED, Limited, limited, limiter_of, read
from tests.adapters.aiohttp.rawserver import END, Move, Step, answer, chunked
from tests.adapters.aiohttp.running import CHAT, in_virtual_time, on_real_sockets
from tests.adapters.aiohttp.sockets import Peer, SocketServer, goodbye
from tests.runtime.torture import at_rest, level


async def iterate(at: Limited) -> None:
    async with at.session.post(at.url, json=CHAT) as response:
        async for _ in response.content.iter_any():
            assert at.limiter.in_flight == 1 or response.content.is_eof()


async def leave(at: Limited) -> None:
    async with at.session.post(at.url, json=CHAT) as response:
        await response.content.readany()


async def release(at: Limited) -> None:
    response = await at.session.post(at.url, json=CHAT)
    assert at.limiter.in_flight == 1
    response.release()


async def close(at: Limited) -> None:
    response = await at.session.post(at.url, json=CHAT)
    assert at.limiter.in_flight == 1
    response.close()


async def fail(at: Limited) -> None:
    with pytest.raises(KeyError):
        async with at.session.post(at.url, json=CHAT):
            raise KeyError


async def cancel(at: Limited) -> None:
    task = asyncio.create_task(read(at))
    await asyncio.sleep(1.5)
    assert at.limiter.in_flight == 1
    task.cancel()
    await asyncio.wait([task])


async def raise_for_it(at: Limited) -> None:
    def refuse(_: aiohttp.ClientResponse) -> Awaitable[None]:
        raise KeyError

    with pytest.raises(KeyError):
        await at.session.post(at.url, json=CHAT, raise_for_status=refuse)


SLOWLY: list[Step] = [0.5, chunked(b'{"a":'), 2.0, b"2\r\n1}\r\n", 0.5, END]


@pytest.mark.parametrize("way", [read, iterate, leave, release, close, fail, cancel, raise_for_it])
@pytest.mark.parametrize("before", [[], [REFUSED]], ids=["at once", "second attempt"])
def test_a_place_is_held_until_the_body_has_ended(
    way: Callable[[Limited], Awaitable[None]], before: list[Step]
) -> None:
    """Read, released, closed or cancelled: not before it, and no longer; and it is charged once."""

    async def story() -> None:
        conversations = [before, SLOWLY] if before else [SLOWLY]
        async with limited(*conversations) as at:
            await way(at)
            assert at.limiter.in_flight == 0
            assert at.spent <= len(conversations) + bool(before)

    in_virtual_time(story)


def test_the_next_goes_when_the_body_before_has_ended() -> None:
    """With one place the second request leaves as the first body ends, and not when its head came."""

    async def story() -> None:
        async with limited(SLOWLY, [FINE], limiter=limiter_of(max_in_flight=1)) as at:
            first = asyncio.create_task(read(at))
            second = asyncio.create_task(read(at))
            await asyncio.sleep(2.9)
            assert len(at.server.requests) == 1
            await asyncio.gather(first, second)
            assert (len(at.server.requests), at.server.connections) == (2, 1)

    in_virtual_time(story)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("HEAD", answer(b"", length=50)),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("GET", answer(b"")),
    ],
)
def test_an_answer_without_a_body_holds_nothing(method: str, said: bytes) -> None:
    """Its place is free with its head, and the connection is used again."""

    async def story() -> None:
        async with limited([said]) as at:
            for _ in range(2):
                response = await at.session.request(method, at.url)
                assert at.limiter.in_flight == 0
                response.release()
            assert at.server.connections == 1

    in_virtual_time(story)


@pytest.mark.parametrize("cut", [Move.CLOSE, Move.RESET])
def test_a_body_that_is_cut_off_frees_the_place_and_is_told_by_aiohttp(cut: Move) -> None:
    """It has begun, so nothing is sent again."""

    async def story() -> None:
        async with limited([answer(b"{", length=9), 0.5, cut]) as at:
            with pytest.raises(aiohttp.ClientPayloadError):
                await read(at)
            assert (at.limiter.in_flight, len(at.server.requests)) == (0, 1)

    in_virtual_time(story)


def test_bodies_that_are_cut_off_are_backed_away_from_and_bodies_that_were_left_are_not() -> None:
    """A server that breaks answers off has too much to do; a reader who has enough says nothing about it."""

    async def windows(*conversations: list[Step], way: Callable[[Limited], Awaitable[None]]) -> tuple[Any, Any]:
        async with limited(*conversations, limiter=limiter_of(max_in_flight=8)) as at:
            await asyncio.gather(*(read(at) for _ in range(8)))
            before = at.limiter.statistics().keys["gpt-4o"].window
            await asyncio.gather(*(way(at) for _ in range(6)), return_exceptions=True)
            return before, at.limiter.statistics().keys["gpt-4o"].window

    async def story() -> None:
        whole: list[list[Step]] = [[0.1, FINE]] * 8
        before, after = await windows(*whole, [answer(b"{", length=9), 0.5, Move.RESET], way=read)
        assert after < before
        before, after = await windows(*whole, [answer(b"{", length=9), Move.SILENCE], way=leave)
        assert after >= before

    in_virtual_time(story)


def test_what_an_answer_says_that_it_used_is_settled() -> None:
    """Where it still lies in the body's end; of one that is left early the estimate stands."""
    used = b'{"usage":{"total_tokens":7}}'

    async def story() -> None:
        for conversation, way, left in (
            ([answer(used)], read, 93),
            ([chunked(used), 1.0, END], read_at_the_end, 93),
            ([answer(used[:-1], length=len(used)), 1.0, b"}"], leave, 50),
        ):
            limiter = Limiter(per_day(tokens=100))
            async with limited(conversation, limiter=limiter) as at:
                with limiter.call_options(tokens=50):
                    await way(at)
                assert level(limiter, "tokens", "gpt-4o") == left

    in_virtual_time(story)


async def read_at_the_end(at: Limited) -> None:
    async with at.session.post(at.url, json=CHAT) as response:
        await asyncio.sleep(2)
        await response.read()


def test_a_dropped_response_is_over_when_its_connection_is() -> None:
    """aiohttp keeps it and its connection until the server ends it or is silent for too long."""

    async def story() -> None:
        stuck: list[Step] = [answer(b"{", length=9), 30.0, Move.CLOSE]
        async with limited(stuck) as at:
            await at.session.post(at.url, json=CHAT)
            await asyncio.sleep(20)
            assert at.limiter.in_flight == len(at.session.connector._acquired) == 1  # type: ignore[union-attr]
            await asyncio.sleep(20)
            assert at.limiter.in_flight == 0
            await at.session.post(at.url, json=CHAT, timeout=aiohttp.ClientTimeout(total=None, sock_read=5))
            await asyncio.sleep(6)
            assert at.limiter.in_flight == 0

    in_virtual_time(story)


@pytest.mark.parametrize("end", ["server", "reset", "session"])
def test_a_response_that_is_kept_and_not_read_is_over_when_its_connection_is(end: str) -> None:
    """Whoever ends it: the place is free though nobody reads on, and who does is told by aiohttp."""

    async def story() -> None:
        cut: list[Step] = [chunked(b"{"), 1.0, Move.RESET if end == "reset" else Move.CLOSE]
        for first in ([], [FINE]):
            async with limited(*(first and [first]), [chunked(b"{"), Move.SILENCE] if end == "session" else cut) as at:
                if first:  # on a connection that is kept
                    await read(at)
                response = await at.session.post(at.url, json=CHAT)
                assert at.limiter.in_flight == 1
                if end == "session":
                    await at.session.close()
                await asyncio.sleep(2)
                assert at.limiter.in_flight == 0
                with pytest.raises((aiohttp.ClientError, RuntimeError)):
                    await response.read()
                response.close()

    in_virtual_time(story)


def test_a_websocket_is_counted_as_the_call_that_opened_it() -> None:
    """Its place is free with the handshake, however long it stays open."""

    async def wait(peer: Peer) -> None:
        await peer.read()
        await peer.write(goodbye(1000))

    async def story() -> None:
        limiter = limiter_of()
        async with (
            SocketServer(wait) as server,
            aiohttp.ClientSession(middlewares=(middleware(limiter),)) as session,
            session.ws_connect(server.url),
        ):
            at_rest(limiter)
            assert level(limiter, key="127.0.0.1") == DAILY - 1

    on_real_sockets(story)
