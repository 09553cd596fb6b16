"""What a session under the limiter cannot have, said before it hurts: total timeouts, and bodies for one sending."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ratelimit_client import (
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    Limiter,
    RateLimitClientError,
    RetryPolicy,
    per_hour,
    per_minute,
)
from ratelimit_client.adapters.aiohttp import middleware
from tests.adapters.aiohttp.limited import BUSY, FINE, Noting, limited, limiter_of, read
from tests.adapters.aiohttp.rawserver import Move, RawServer, Step, answer
from tests.adapters.aiohttp.running import CHAT, in_virtual_time, virtual_loop
from tests.runtime.torture import at_rest

Total = aiohttp.ClientTimeout
ADVICE = "Set ClientTimeout(total=None, sock_connect=..., sock_read=...)"


def passing_on(request: aiohttp.ClientRequest, handler: Any) -> Any:
    """Another middleware further in."""
    return handler(request)


class Hidden:
    """A handler whose variables nobody sees."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    async def __call__(self, request: aiohttp.ClientRequest) -> Any:
        return await self._handler(request)


# -- the total timeout ----------------------------------------------------------------------


@pytest.mark.parametrize("after", [(), (passing_on,), (passing_on, passing_on)], ids=len)
@pytest.mark.parametrize("where", ["session", "request"])
def test_a_wait_that_the_total_timeout_would_not_outlast_is_told_at_once(after: Any, where: str) -> None:
    """Nothing is waited for and nothing is charged; the sentence names the timeout, its length and what to set."""

    async def story() -> None:
        limiter = Limiter(per_hour(requests=1))
        session = Total(total=None if where == "request" else 300)
        request = {"timeout": Total(total=300)} if where == "request" else {}
        async with limited([FINE], limiter=limiter, after=after, timeout=session) as at:
            await read(at)
            began = virtual_loop().time()
            with pytest.raises(DeadlineUnreachable) as caught:
                await read(at, **request)
            assert virtual_loop().time() - began < 0.01
            for part in ("ClientTimeout(total=...)", "(300 s)", ADVICE):
                assert part in str(caught.value)
            assert len(at.server.requests) == 1

    in_virtual_time(story)


@pytest.mark.parametrize("own", [None, 7200, 0])
def test_a_request_may_set_a_timeout_of_its_own(own: float | None) -> None:
    """It counts, and not the session's: here it leaves room for the hour."""

    async def story() -> None:
        async with limited([FINE], limiter=Limiter(per_hour(requests=1)), timeout=Total(total=300)) as at:
            await read(at)
            assert await read(at, timeout=Total(total=own)) == 200

    in_virtual_time(story)


def test_a_deadline_that_was_said_is_told_as_such() -> None:
    """The shorter one counts, and is named."""

    async def story() -> None:
        async with limited([FINE], limiter=Limiter(per_hour(requests=1)), timeout=Total(total=300)) as at:
            await read(at)
            for deadline, named in ((30, False), (3000, True)):
                with at.limiter.call_options(deadline=deadline), pytest.raises(DeadlineUnreachable) as caught:
                    await read(at)
                assert (ADVICE in str(caught.value)) is named

    in_virtual_time(story)


@pytest.mark.parametrize("total", [3, 30.5])
def test_a_timeout_that_strikes_in_the_queue_is_an_error_of_this_library(total: float) -> None:
    """Nobody could know how long the other would take. The task is as if it had never been cancelled."""

    async def story() -> None:
        async with limited([60.0, FINE], limiter=limiter_of(max_in_flight=1)) as at:
            first = asyncio.create_task(read(at))
            await asyncio.sleep(1)
            task = asyncio.current_task()
            assert task is not None
            with pytest.raises(DeadlineExpiredInQueue) as caught:
                await read(at, timeout=Total(total=total))
            assert task.cancelling() == 0
            assert f"({total:g} s)" in str(caught.value)
            assert ADVICE in str(caught.value)
            assert total - 0.1 < caught.value.waited_s < total + 1
            assert caught.value.__context__ is None
            async with asyncio.timeout(1000):
                await first
            assert (len(at.server.requests), at.spent) == (1, 1)

    in_virtual_time(story)


def test_a_timeout_that_strikes_between_two_attempts_says_how_often_it_was_sent() -> None:
    """The second waits for a place that others have taken."""

    async def story() -> None:
        limiter = limiter_of(max_in_flight=1)
        async with limited([BUSY], [60.0, FINE], limiter=limiter, timeout=Total(total=None)) as at:
            late = asyncio.create_task(read(at, timeout=Total(total=4)))
            await asyncio.sleep(0)
            with limiter.call_options(priority=-2):
                first = asyncio.create_task(read(at))
            with pytest.raises(DeadlineExceeded) as caught:
                await late
            assert caught.value.attempts == 1
            assert "after 1 try" in str(caught.value)
            await first

    in_virtual_time(story)


def test_a_wait_that_the_server_asks_for_is_not_begun_in_vain() -> None:
    """Of a refusal whose hint goes beyond the total timeout the refusal is what is handed on."""

    async def story() -> None:
        late = answer(b"{}", status="429 X", retry_after="60")
        async with limited([late], timeout=Total(total=20)) as at:
            began = virtual_loop().time()
            assert await read(at) == 429
            assert virtual_loop().time() - began < 1

    in_virtual_time(story)


@pytest.mark.parametrize("total", [2.5, 8])
@pytest.mark.parametrize("said", [[], [answer(b"{", status="503 X", length=9)]], ids=["no head", "half an error"])
def test_a_timeout_in_flight_is_aiohttps_own(total: float, said: list[Step]) -> None:
    """As without the limiter; and nothing is sent again when the time is over."""

    async def story() -> None:
        async with limited([*said, Move.SILENCE], timeout=Total(total=total)) as at:
            with pytest.raises(TimeoutError) as caught:
                await read(at)
            assert not isinstance(caught.value, RateLimitClientError)
            await asyncio.sleep(30)
            assert (len(at.server.requests), at.limiter.in_flight) == (1, 0)

    in_virtual_time(story)


@pytest.mark.parametrize(("total", "deadline"), [(50, None), (None, 50), (3600, 50)])
def test_time_runs_over_redirects(total: float | None, deadline: float | None) -> None:
    """What the first hop has used is not there for the second, whether the session or a block has said how much."""
    hop = b"HTTP/1.1 307 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"

    async def story() -> None:
        limiter = Limiter(per_minute(requests=60))
        async with limited([20.0, hop], [FINE], limiter=limiter, timeout=Total(total=total)) as at:
            with limiter.call_options(cost={"requests": 60}, deadline=deadline), pytest.raises(DeadlineUnreachable):
                await read(at)
            assert len(at.server.requests) == 1

    in_virtual_time(story)


@pytest.mark.parametrize("total", [3, 30.5])
def test_a_timeout_that_cannot_be_seen_ends_the_wait_all_the_same(total: float) -> None:
    """Its length is not named, and nothing is foretold; the error is this library's, and says what to set."""

    async def story() -> None:
        limiter = limiter_of(max_in_flight=1)
        inner = middleware(limiter)

        def outer(request: aiohttp.ClientRequest, handler: Any) -> Any:
            return inner(request, Hidden(handler))

        async with (
            RawServer([60.0, FINE]) as server,
            aiohttp.ClientSession(middlewares=(outer,), timeout=Total(total=total)) as session,
        ):
            ends = await asyncio.gather(
                *(session.post(server.url, json=CHAT) for _ in range(2)), return_exceptions=True
            )
            assert [type(end) for end in ends] == [TimeoutError, DeadlineExpiredInQueue]
            assert ADVICE in str(ends[1])
            assert len(server.requests) == 1
            at_rest(limiter)

    in_virtual_time(story)


@pytest.mark.parametrize("struck", ["asleep", "both"])
def test_a_cancellation_beside_the_timeout_is_a_cancellation(struck: str) -> None:
    """Whoever cancels the task at the instant at which its time is over has cancelled it."""

    async def story() -> None:
        async with limited([60.0, FINE], limiter=limiter_of(max_in_flight=1)) as at:
            first = asyncio.create_task(read(at))
            await asyncio.sleep(1)
            late = asyncio.create_task(read(at, timeout=Total(total=3)))
            await asyncio.sleep(0)
            virtual_loop().call_later(3 if struck == "both" else 2, late.cancel)
            await asyncio.wait([late])
            assert late.cancelled()
            await first

    in_virtual_time(story)


# -- bodies ---------------------------------------------------------------------------------


async def pieces() -> AsyncIterator[bytes]:
    for piece in (b"one ", b"two ", b"three"):
        yield piece
        await asyncio.sleep(0.01)


def form(**files: Any) -> aiohttp.FormData:
    made = aiohttp.FormData({"model": "whisper-1", "language": "en"}, default_to_multipart=True)
    for name, content in files.items():
        made.add_field(name, content, filename="a.wav")
    return made


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (pieces, b"one two three"),
        (lambda: io.BytesIO(b"from memory"), b"from memory"),
        (lambda: open(__file__, "rb"), Path(__file__).read_bytes()),  # noqa: SIM115 - aiohttp closes it
        (lambda: form(file=io.BytesIO(b"sound")), b"sound"),
    ],
    ids=["generator", "memory", "file", "form"],
)
def test_a_body_that_can_be_sent_once_is_sent_once_and_whole(body: Callable[[], Any], whole: bytes) -> None:
    """The refusal is handed on, as it is without a limiter; nobody is sent an empty body."""

    async def story() -> None:
        limiter = limiter_of()
        async with Noting.of(503, 200) as server, limited(limiter=limiter) as at:
            async with at.session.post(server.url, data=body()) as response:
                assert (response.status, (await response.json())["read"] >= len(whole)) == (503, True)
            assert len(server.bodies) == 1
            assert whole in server.bodies[0]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (lambda: {"json": CHAT}, "gpt-4o"),
        (lambda: {"data": b"\x00\x01" * 5000}, "127.0.0.1"),
        (lambda: {"data": bytearray(b"bytes")}, "127.0.0.1"),
        (lambda: {"data": {"a": "form"}}, "127.0.0.1"),
        (lambda: {"data": form(file=b"sound")}, "whisper-1"),
        (lambda: {"json": CHAT, "expect100": True}, "gpt-4o"),
        (lambda: {"json": CHAT, "compress": "gzip"}, "gpt-4o"),
        (lambda: {"json": CHAT, "chunked": True}, "gpt-4o"),
    ],
    ids=["json", "bytes", "bytearray", "form", "parts", "expect", "packed", "chunked"],
)
def test_a_body_that_is_all_there_is_sent_again_whole(body: Callable[[], dict[str, Any]], key: str) -> None:
    """As often as it takes, the same each time."""

    async def story() -> None:
        limiter = limiter_of()
        async with Noting.of(503, 503, 200) as server, limited(limiter=limiter) as at:
            async with at.session.post(server.url, **body()) as response:
                assert response.status == 200
            assert len(set(server.bodies)) == 1
            assert len(server.bodies) == 3
            assert list(limiter.statistics().keys) == [key]

    asyncio.run(story())


def test_a_body_that_was_not_begun_can_be_sent_still() -> None:
    """No connection came about, so the generator is untouched."""
    tries = 0

    async def refuse(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ConnectionRefusedError
        response: aiohttp.ClientResponse = await handler(request)
        return response

    async def story() -> None:
        async with Noting.of(200) as server, limited(after=(refuse,)) as at:
            async with at.session.post(server.url, data=pieces()) as response:
                assert response.status == 200
            assert server.bodies == [b"one two three"]

    asyncio.run(story())


def test_a_connection_that_breaks_under_such_a_body_is_told() -> None:
    """It was begun: aiohttp's error is handed on."""

    async def story() -> None:
        async with limited([Move.CLOSE]) as at:
            with pytest.raises(aiohttp.ClientError):
                await at.session.post(at.url, data=pieces())
            assert len(at.server.requests) == 1

    in_virtual_time(story)


@pytest.mark.parametrize("retry", [RetryPolicy.none(), RetryPolicy()], ids=["once", "again"])
def test_a_session_that_is_closed_under_it_is_told(retry: RetryPolicy) -> None:
    """In the queue as in flight, and nothing is left, whatever else the policy would try."""

    async def story() -> None:
        limiter = limiter_of(max_in_flight=1, retry=retry)
        async with RawServer([5.0, FINE]) as server, limited(limiter=limiter) as at:
            calls = [asyncio.create_task(at.session.post(server.url, json=CHAT)) for _ in range(2)]
            await asyncio.sleep(1)
            await at.session.close()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(end, aiohttp.ClientError | RuntimeError) for end in ends), ends
            at_rest(limiter)

    in_virtual_time(story)


def test_a_session_that_is_closed_between_two_attempts_is_told() -> None:
    """As aiohttp says it to whoever begins then; the attempt that is not made costs nothing."""

    async def story() -> None:
        async with RawServer([answer(status="503 X", retry_after="5")]) as server, limited() as at:
            call = asyncio.create_task(at.session.post(server.url, json=CHAT))
            await asyncio.sleep(1)
            await at.session.close()
            with pytest.raises(RuntimeError, match="Session is closed"):
                await call
            assert (len(server.requests), at.spent) == (1, 1)

    in_virtual_time(story)
