"""Streams as a server sends them, byte by byte, and what a consumer makes of one."""

from __future__ import annotations

import json
from typing import Any

from ratelimit_client import Client
from ratelimit_client.adapters.aiohttp.stream import Stream
from tests.adapters.aiohttp.rawserver import END, RawServer, chunked
from tests.adapters.aiohttp.running import CHAT, ledger_is_even

EVENTS = "text/event-stream"
DONE = b"data: [DONE]\n\n"


def chunk(text: str | None = None, **fields: Any) -> bytes:
    """One chunk of a chat; with *text* None the one that only says who speaks."""
    delta = {"role": "assistant", "content": ""} if text is None else {"content": text}
    return data({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, **fields}]})


def data(value: Any, event: str = "") -> bytes:
    named = f"event: {event}\n".encode() if event else b""
    return named + b"data: " + json.dumps(value).encode() + b"\n\n"


def events(*pieces: bytes, end: bytes = END) -> bytes:
    """A whole answer: its head, a chunk for each piece, and the end."""
    return chunked(*pieces, kind=EVENTS) + end


WHOLE = events(chunk(), chunk("one "), chunk("two"), chunk("", finish_reason="stop"), DONE)
"""Four events are delivered of it, and they say "one two"."""


def text_of(taken: list[Any]) -> str:
    return "".join(event.data["choices"][0]["delta"].get("content", "") for event in taken if event.data["choices"])


async def take(stream: Stream, taken: list[Any]) -> None:
    """All events, into *taken*."""
    async for event in stream:
        taken.append(event)


async def at_rest(server: RawServer, client: Client, *, kept: int = 0) -> None:
    """No place, no watch, and on the wire no more than *kept* connections for later."""
    assert ledger_is_even(client), client
    assert not client._wire._dog._watched
    assert repr(client._door) == "<Door: 0 inside>"
    pools = client._wire._pools.values()
    assert sum(len(pool._kept) for pool in pools) == kept
    assert sum(len(pool.connector._acquired) for pool in pools) == kept, "a connection that nobody has"


def ask(client: Client, **options: Any) -> Stream:
    return client.stream("/v1/chat/completions", json=CHAT, **options)
