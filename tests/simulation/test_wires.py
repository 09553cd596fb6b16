"""
Each trouble of the simulator's network on real sockets, too: a client comes to the same end.

The two ends of a connection are held against each other in ``tests/testing/test_transports.py``;
here it is the whole client, with its connections, its parser and its watchdog.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ratelimit_client import Client, IncompleteResponse, RetryPolicy, Timeout, TransportError, per_minute
from ratelimit_client.testing import Connect, Route, VirtualLoop, Wire, run_virtual, serve_model
from tests.simulation.proxy import proxy

KEY = "sk-canary-0123456789abcdef"
ANSWER = "Answer to row: 5 characters were read."
# An answer of the model server is some 700 bytes long, its head some 480; a request some 420, its head some 330.
IN_HEAD, IN_BODY = 200, 650

ROUTES: dict[str, Route] = {
    "sound": Route(),
    "far": Route.slow(0.05),
    "jitter": Route(down=Wire(jitter_s=0.05, max_chunk=100)),
    "thin down": Route(down=Wire(bytes_per_s=5000)),
    "thin up": Route(up=Wire(bytes_per_s=3000)),
    "crumbs down": Route(down=Wire(max_chunk=1)),
    "crumbs up": Route(up=Wire(max_chunk=1)),
    "pieces both ways": Route(up=Wire(max_chunk=7), down=Wire(max_chunk=7)),
    "refused": Route(connect=Connect.REFUSE),
    "swallowed": Route(connect=Connect.BLACK_HOLE),
    "reset before a byte": Route(down=Wire(reset_after=0)),
    "reset at the first byte": Route(down=Wire(reset_after=1)),
    "reset in the head": Route(down=Wire(reset_after=IN_HEAD)),
    "reset in the body": Route(down=Wire(reset_after=IN_BODY)),
    "reset in crumbs": Route(down=Wire(reset_after=IN_BODY, max_chunk=10)),
    "reset on the way up": Route(up=Wire(reset_after=0)),
    "reset in the request": Route(up=Wire(reset_after=100)),
    "end before a byte": Route(down=Wire(fin_after=0)),
    "end at the first byte": Route(down=Wire(fin_after=1)),
    "end in the head": Route(down=Wire(fin_after=IN_HEAD)),
    "end in the body": Route(down=Wire(fin_after=IN_BODY)),
    "end in crumbs": Route(down=Wire(fin_after=IN_BODY, max_chunk=10)),
    "end of the request's head": Route(up=Wire(fin_after=100)),
    "end of the request's body": Route(up=Wire(fin_after=400)),
    "silence before a byte": Route(down=Wire(stall_after=0)),
    "silence in the head": Route(down=Wire(stall_after=IN_HEAD)),
    "silence in the body": Route(down=Wire(stall_after=IN_BODY)),
    "silence on the way up": Route(up=Wire(stall_after=100)),
}
AGAIN: dict[str, Route] = {
    "sound": Route(),
    "reset in the second head": Route(down=Wire(reset_after=1000)),
    "end in the second body": Route(down=Wire(fin_after=1400)),
    "silence in the second head": Route(down=Wire(stall_after=1000)),
}
"""The second of two calls on one connection."""

Main = Callable[[str], Coroutine[Any, Any, list[Any]]]


def outcome(end: Any) -> Any:
    """What a caller can tell of it, without words."""
    if isinstance(end, TransportError):
        return "TransportError", str(end.kind), end.unsent, end.stale
    if isinstance(end, IncompleteResponse):
        return "IncompleteResponse", str(end.kind), end.status
    return end if isinstance(end, str) else type(end).__name__


async def ask(url: str, times: int = 1) -> list[Any]:
    """So many calls, one after the other, each tried once."""
    chat = {"model": "gpt-4o", "user": "row", "messages": [{"role": "user", "content": "hello"}]}
    ends: list[Any] = []
    async with Client(url, api_key=KEY, retry=RetryPolicy.none(), timeout=Timeout(connect_s=1.0, idle_s=1.0)) as client:
        for _ in range(times):
            try:
                reply = await client.post("/chat/completions", json=chat)
                ends.append(reply.data["choices"][0]["message"]["content"])
            except Exception as error:  # noqa: BLE001 - to be compared
                ends.append(error)
    return [outcome(end) for end in ends]


async def really(route: Route, times: int) -> list[Any]:
    """Over the proxy."""
    async with (
        serve_model(per_minute(requests=10_000)) as url,
        proxy(route, "127.0.0.1", int(url.rpartition(":")[2].partition("/")[0])) as port,
    ):
        return await ask(f"http://127.0.0.1:{port}/v1", times)


async def virtually(route: Route, times: int) -> list[Any]:
    """Over the wires of the simulator."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with serve_model(per_minute(requests=10_000)) as url:
        loop.net.route = lambda host, port, number: route
        return await ask(url.url, times)


@pytest.fixture(scope="module")
def real() -> dict[tuple[str, int], list[Any]]:
    """What becomes of every row of the tables on real sockets, all of them at once."""
    table = {(name, 1): route for name, route in ROUTES.items()} | {(name, 2): route for name, route in AGAIN.items()}

    async def main() -> list[list[Any]]:
        return await asyncio.gather(*(really(route, times) for (_, times), route in table.items()))

    return dict(zip(table, asyncio.run(main()), strict=True))


@pytest.mark.parametrize("name", ROUTES)
def test_one_call_ends_as_it_does_on_real_sockets(name: str, real: dict[tuple[str, int], list[Any]]) -> None:
    """An answer, or the same error of the same kind that says the same of what was sent."""
    assert run_virtual(lambda: virtually(ROUTES[name], 1))[0] == real[name, 1]


@pytest.mark.parametrize("name", AGAIN)
def test_a_call_on_a_kept_connection_ends_as_it_does_on_real_sockets(
    name: str, real: dict[tuple[str, int], list[Any]]
) -> None:
    """The first is answered, and the second meets the trouble on the connection of the first."""
    virtual = run_virtual(lambda: virtually(AGAIN[name], 2))[0]
    assert virtual[0] == ANSWER
    assert virtual == real[name, 2]


def test_the_table_has_every_kind_of_end(real: dict[tuple[str, int], list[Any]]) -> None:
    """Answers, connections refused, swallowed, reset and closed, silence, and bodies that were cut."""
    kinds = {str(ends[-1]) for ends in real.values()}
    assert ANSWER in kinds
    assert len(kinds) >= 5
