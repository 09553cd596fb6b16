"""Streams cut anywhere, and a consumer who is slower than the server."""

from __future__ import annotations

import asyncio
from typing import Any

from ratelimit_client import Client, RetryPolicy, StreamTruncated, TransportError
from tests.adapters.aiohttp.rawserver import Move, RawServer, chunked
from tests.adapters.aiohttp.running import in_virtual_time, ledger_is_even, on_real_sockets, served
from tests.adapters.aiohttp.streaming import DONE, EVENTS, WHOLE, ask, at_rest, chunk, take, text_of
from tests.sizes import SCALE


def test_it_does_not_matter_how_the_bytes_are_cut() -> None:
    """Two segments, cut anywhere: the same events."""

    async def story() -> None:
        cuts = range(1, len(WHOLE), 1 if SCALE > 1 else 7)
        async with served(*[[WHOLE[:at], 0.001, WHOLE[at:]] for at in cuts]) as (server, client):
            for at in cuts:
                taken: list[Any] = []
                async with ask(client) as stream:
                    await take(stream, taken)
                assert (at, text_of(taken), stream.attempts) == (at, "one two", 1)
            await at_rest(server, client, kept=1)

    in_virtual_time(story)


def test_what_is_cut_off_anywhere_is_never_a_success() -> None:
    """Unless it is the framing alone that misses its end: the last event has said that this was all."""

    async def story() -> None:
        done = WHOLE.index(DONE) + len(DONE)
        cuts = range(1, len(WHOLE), 1 if SCALE > 1 else 7)
        conversations = [each for at in cuts for each in ([WHOLE[:at], 0.001, Move.CLOSE], [WHOLE])]
        async with served(*conversations, retry=RetryPolicy.none()) as (server, client):
            for at in cuts:
                taken: list[Any] = []
                try:
                    async with ask(client) as stream:
                        await take(stream, taken)
                except (StreamTruncated, TransportError):
                    assert at < done
                else:
                    assert at >= done
                    assert text_of(taken) == "one two"
                async with ask(client) as stream:  # a success, for ten failures in a row are an outage
                    await take(stream, [])
                await at_rest(server, client, kept=1)

    in_virtual_time(story)


def test_a_consumer_who_is_slow_makes_the_server_slow() -> None:
    """What nobody takes stays with the server, but for what the kernel and one buffer hold."""
    event = chunk("x" * 1000)

    class Eager(RawServer):
        written = 0

        async def _serve_one(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(chunked(kind=EVENTS))
            while self.written < 64 * 2**20:
                writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                self.written += len(event)
                await writer.drain()
            return False

    async def story() -> None:
        async with Eager() as server, Client(server.url, api_key="") as client:
            async with ask(client) as stream:
                await anext(stream)
                before = -1
                while before != server.written:
                    before = server.written
                    await asyncio.sleep(0.2)
                assert server.written < 16 * 2**20
                for _ in range(server.written // len(event) + 1000):
                    await anext(stream)
                assert server.written > before, "and goes on when he does"
            assert ledger_is_even(client)

    on_real_sockets(story)
