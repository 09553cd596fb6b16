"""A call of httpx, alone and under the limiter; the server is an object."""

from __future__ import annotations

from typing import Any

import httpx

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx import limited_transport
from ratelimit_client.testing.clock import ManualClock

from . import texts

_URL = "http://api.test/v1/chat/completions"


class AtOnce(httpx.AsyncBaseTransport):
    """Answers every request the same, but for what remains, 100 ms later by *clock*."""

    def __init__(self, clock: ManualClock) -> None:
        self.calls = 0
        self._clock = clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        self._clock.advance(0.1)
        said = {**texts.answer_headers(self.calls), "content-length": str(len(texts.ANSWER))}
        return httpx.Response(200, headers=said, content=texts.ANSWER)


async def _posts(transport: Any, rounds: int) -> None:
    async with httpx.AsyncClient(transport=transport) as client:
        for _ in range(rounds):
            (await client.post(_URL, json=texts.QUESTION)).json()


async def alone(rounds: int) -> None:
    """What httpx takes."""
    await _posts(AtOnce(ManualClock()), rounds)


async def limited(rounds: int) -> None:
    """The same with the limiter's transport around it."""
    clock = ManualClock()
    limiter = Limiter(dialect="openai", clock=clock, dice=lambda: 0.5)
    await _posts(limited_transport(httpx)(limiter, AtOnce(clock)), rounds)
