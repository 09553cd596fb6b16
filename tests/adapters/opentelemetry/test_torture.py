"""Cancelled anywhere and in every way, a traced call leaves no span open, and its caller's span is the current one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry import trace

from ratelimit_client import Client, per_day
from ratelimit_client.adapters.opentelemetry import watch
from ratelimit_client.testing import Route
from tests.adapters.aiohttp.rawserver import END, RawServer, Step, answer, chunked
from tests.adapters.aiohttp.running import CHAT, QUICK
from tests.adapters.aiohttp.streaming import DONE, EVENTS, chunk
from tests.adapters.opentelemetry.recording import Recording
from tests.canary import FIXED_KEYS
from tests.runtime.torture import at_rest
from tests.torture.plans import SEEDS, torture
from tests.torture.trial import Scene, Stage

REFUSED = answer(b"{}", status="429 Too Many Requests", retry_after_ms="50")
SLOW: list[Step] = [0.1, chunked(chunk("one"), kind=EVENTS), 0.1, b"%x\r\n%s\r\n" % (len(DONE), DONE), END]


async def post(client: Client) -> None:
    await client.post("/chat/completions", json=CHAT)


async def stream(client: Client) -> None:
    async with client.stream("/chat/completions", json=CHAT) as taken:
        async for _ in taken:
            pass


def traced(way: Callable[[Client], Awaitable[None]], *conversations: list[Step]) -> Scene:
    """A scene: *way* behind another call, below a span of the program."""

    async def scene(stage: Stage) -> None:
        seen = Recording()
        stage.loop.net.route = lambda *_: Route.slow(0.01)
        options: dict[str, Any] = {"quotas": per_day(requests=1000), "max_in_flight": 1, "retry": QUICK}
        async with (
            RawServer([0.05, answer(b"{}")], *conversations, [answer(b"{}")]) as server,
            Client(server.url, api_key=FIXED_KEYS[0], **options) as client,
        ):
            watch(client, **seen.providers)
            ahead = asyncio.create_task(post(client))
            await asyncio.sleep(0.001)

            async def victim() -> None:
                with seen.tracer.start_as_current_span("program"):
                    before = trace.get_current_span()
                    try:
                        await way(client)
                    finally:
                        assert trace.get_current_span() is before

            await stage.torture(victim())
            await ahead
            at_rest(client.limiter)
        await asyncio.sleep(0.1)  # what was sent last is on its way
        assert seen.begun.count == len(seen.ended) > 0
        below = {span.name for span in seen.spans() if span.parent is None}
        assert below == {"program", "chat gpt-4o"}, "the call ahead is nobody's, and the victim's is the program's"

    scene.__name__ = f"{way.__name__}-{len(conversations)}"
    return scene


@pytest.mark.parametrize(
    "scene",
    [traced(post), traced(post, [REFUSED], [REFUSED], [answer(b"{}")]), traced(stream, SLOW)],
    ids=lambda scene: scene.__name__,
)
def test_nothing_is_left_open(scene: Scene) -> None:
    """Asleep, woken, twice, in a scope of asyncio's: whatever begins ends."""
    for seed in range(SEEDS):
        report = torture(scene, seed)
        assert report.runs > 2 * report.places > 0
