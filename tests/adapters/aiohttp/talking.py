"""What stories about realtime sessions say and wait for."""

from __future__ import annotations

import asyncio
from typing import Any

from ratelimit_client import Client, per_day

MODEL = "gpt-realtime"
CREATE = {"type": "response.create"}
WIDE = per_day(requests=1000)


def hello(chars: int = 12) -> dict[str, Any]:
    content = [{"type": "input_text", "text": "x" * chars}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


async def until(session: Any, name: str) -> dict[str, Any]:
    """The next event of that name."""
    async for event in session:
        if event["type"] == name:
            return dict(event)
    raise AssertionError(f"{name} did not come")


async def respond(session: Any, **wishes: Any) -> dict[str, Any]:
    """Ask for a response and return its last word."""
    await session.send(CREATE, **wishes)
    return dict((await until(session, "response.done"))["response"])


def elapsed() -> float:
    """Virtual seconds since the story began."""
    return asyncio.get_running_loop().time() - 1000.0


def level(client: Client, unit: str = "requests") -> int:
    return client.limiter.statistics().keys[MODEL].buckets[unit].level
