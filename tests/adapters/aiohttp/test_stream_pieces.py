"""How the bytes of a stream come, and how much of them is held and done at a time."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
import tracemalloc
import zlib
from typing import Any

import aiohttp
import pytest

from ratelimit_client import Client, RetryPolicy, StreamError, StreamTruncated, Timeout, per_day
from tests.adapters.aiohttp.rawserver import END, Move, RawServer, answer, chunked
from tests.adapters.aiohttp.running import KEY, in_virtual_time, ledger_is_even, on_real_sockets, served
from tests.adapters.aiohttp.streaming import DONE, EVENTS, ask, at_rest, chunk, data, events, take, text_of


def packed(*pieces: bytes) -> bytes:
    return chunked(gzip.compress(b"".join(pieces)), kind=EVENTS, coding="gzip") + END


@pytest.mark.parametrize("move", [Move.CLOSE, Move.RESET])
def test_what_was_whole_before_the_connection_broke_is_whole(move: Move) -> None:
    """The last event is there, and the end of the connection with it: it does not matter which is seen first."""

    async def story() -> None:
        whole = [events(chunk("one"), chunk("two"), end=b""), 0.1, b"e\r\n" + DONE + b"\r\n", move]
        async with served(whole) as (server, client):
            for slow in (0.0, 1.0):
                taken: list[Any] = []
                async with ask(client) as stream:
                    taken.append(await anext(stream))
                    await asyncio.sleep(slow)
                    await take(stream, taken)
                    assert stream.finished
                assert text_of(taken) == "onetwo"
            assert client.tally.outcomes == {("gpt-4o", "success"): 2}
            await at_rest(server, client)

    in_virtual_time(story)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_packed_events_are_unpacked(step: int) -> None:
    """A gateway may pack what was to come as it is; nothing is lost between the pieces."""

    async def story() -> None:
        sent = [chunk(f"{number} ") for number in range(50)]
        zipped = zlib.compressobj(wbits=31)
        wire = [zipped.compress(each) + zipped.flush(zlib.Z_SYNC_FLUSH) for each in [*sent, DONE]] + [zipped.flush()]
        raw = b"".join(wire)
        pieces = [raw[at : at + step] for at in range(0, len(raw), step)]
        async with served([chunked(*pieces, kind=EVENTS, coding="gzip") + END]) as (server, client):
            taken: list[Any] = []
            async with ask(client) as stream:
                await take(stream, taken)
            assert text_of(taken) == "".join(f"{number} " for number in range(50))
            await at_rest(server, client, kept=1)

    in_virtual_time(story)


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_what_is_unpacked_in_steps_is_whole(size: int) -> None:
    """The last event is not forgotten in the unpacker, wherever a step of it ends."""

    async def story() -> None:
        text = chunk("x" * (size - len(chunk("")) - len(DONE)))
        assert len(text + DONE) == size
        async with served([packed(text, DONE)], retry=RetryPolicy.none()) as (server, client):
            taken: list[Any] = []
            async with ask(client) as stream:
                await take(stream, taken)
            assert len(text_of(taken)) == size - len(chunk("")) - len(DONE)
            await at_rest(server, client, kept=1)

    in_virtual_time(story)


@pytest.mark.parametrize("what", [b"data: " + b"x" * 2**28, b"data: 1\n\n" * 2**24], ids=["one line", "many events"])
def test_a_bomb_does_not_go_off(what: bytes) -> None:
    """A few hundred KiB that unpack to a quarter of a GiB take a few MiB at a time, or as much as an event may have."""
    bomb = chunked(gzip.compress(what, 6), kind=EVENTS, coding="gzip") + END
    assert len(bomb) < 2**19

    async def story() -> None:
        async with served([bomb], retry=RetryPolicy.none()) as (server, client):
            tracemalloc.start()
            try:
                with pytest.raises(StreamError) if what[-1:] == b"x" else contextlib.nullcontext():
                    async with client.stream("/v1/anything", json={"model": "gpt-4o"}) as stream:
                        for _ in range(1000):
                            await anext(stream)
                most = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert most < 80 * 2**20, most
            await at_rest(server, client, kept=1)

    in_virtual_time(story)


def test_many_small_events_leave_the_loop_to_others() -> None:
    """Who takes events as fast as he can, of a server that is faster, is not alone in the world."""

    async def story() -> None:
        body = b"data: 1\n\n" * 50_000
        async with served([chunked(body, body, kind=EVENTS) + END]) as (_, client):
            turns, longest = 0, 0.0

            async def look() -> None:
                nonlocal turns, longest
                while True:
                    began = time.perf_counter()
                    await asyncio.sleep(0)
                    longest = max(longest, time.perf_counter() - began)
                    turns += 1

            taken = 0
            async with client.stream("/v1/anything", json={"model": "gpt-4o"}) as stream:
                looking = asyncio.ensure_future(look())
                async for _ in stream:
                    taken += 1
                looking.cancel()
            assert taken == 100_000
            assert turns > 50, turns

    on_real_sockets(story)


def test_before_it_begins_not_everything_is_kept() -> None:
    """A server that only ever says that it is about to begin is handed on when that is much."""
    about = data({"type": "response.in_progress", "response": {"instructions": "x" * 2**20}})

    class Eager(RawServer):
        written = 0

        async def _serve_one(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(chunked(kind=EVENTS))
            while self.written < 200 * 2**20:
                writer.write(b"%x\r\n%s\r\n" % (len(about), about))
                self.written += len(about)
                await writer.drain()
            return False

    async def story() -> None:
        async with Eager() as server, Client(server.url, api_key=KEY, retry=RetryPolicy.none()) as client:
            async with client.stream("/v1/responses", json={"model": "m"}) as stream:
                assert server.written < 100 * 2**20
                assert (await anext(stream)).name == "response.in_progress"
            assert ledger_is_even(client)

    on_real_sockets(story)


def test_a_length_that_cuts_the_stream_off_spoils_the_connection() -> None:
    """What follows belongs to this answer, and is not to be taken for the next one."""
    body = chunk("one") + chunk("two") + DONE

    async def story() -> None:
        short = answer(body, kind=EVENTS, length=len(chunk("one")))
        async with served([short[: -len(body) + len(chunk("one"))], 1.0, short], [answer()]) as (server, client):
            with pytest.raises(StreamTruncated):
                async with ask(client) as stream:
                    await take(stream, [])
            await at_rest(server, client)

    in_virtual_time(story)


# -- through a session of the user's -----------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
def test_a_reset_is_no_end_of_a_stream_without_length(reset: bool) -> None:
    """Where the end of the bytes is as good as a last event, it has to be an end."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {EVENTS}\r\n\r\n".encode()

    async def story() -> None:
        end = Move.RESET if reset else Move.CLOSE
        async with RawServer([head + b"data: 1\n\n", 0.05, b"data: 2\n\n", 0.05, end]) as server:
            for given in (False, True):
                session = aiohttp.ClientSession() if given else None
                client = Client(server.url, api_key=KEY, quotas=per_day(requests=10), session=session)
                taken: list[Any] = []
                async with client:
                    try:
                        async with client.stream("/v1/anything", json={"model": "gpt-4o"}) as stream:
                            await take(stream, taken)
                    except StreamTruncated:
                        assert reset
                    else:
                        assert not reset
                    assert [event.data for event in taken] == [1, 2]
                    assert ledger_is_even(client)
                if session is not None:
                    await session.close()

    on_real_sockets(story)


def test_a_session_of_the_users_that_falls_silent() -> None:
    """It is silence, as on a connection of ours, and no accident."""

    async def story() -> None:
        async with aiohttp.ClientSession() as session:
            silent = [events(chunk("one"), end=b""), Move.SILENCE]
            async with served(silent, session=session, timeout=Timeout(idle_s=5)) as (_, client):
                with pytest.raises(StreamTruncated, match="it stopped") as caught:
                    async with ask(client) as stream:
                        await take(stream, [])
                assert caught.value.kind == "timeout"
                assert ledger_is_even(client)

    in_virtual_time(story)
