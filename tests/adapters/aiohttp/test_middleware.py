"""A session of one's own under the limiter: what comes out, how long a place is held, and what is sent how often."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from yarl import URL

from ratelimit_client import (
    Backoff,
    Closed,
    CostExceedsQuota,
    DeadlineExpiredInQueue,
    Limiter,
    QueueFull,
    RetryPolicy,
    Throttled,
    per_hour,
)
from ratelimit_client.adapters.aiohttp.senders import scope_of
from ratelimit_client.runtime.senders import Senders
from tests import canary
from tests.adapters.aiohttp.limited import BUSY, DAILY, FINE, REFUSED, limited, limiter_of, read
from tests.adapters.aiohttp.rawserver import END, Move, RawServer, Step, answer, chunked
from tests.adapters.aiohttp.running import CHAT, in_virtual_time, on_real_sockets
from tests.reaching import inside, texts
from tests.runtime.torture import level

NO_QUOTA = answer(
    b'{"error":{"code":"insufficient_quota","message":"You exceeded your current quota"}}', status="429 X"
)
TWICE = RetryPolicy(backoff=Backoff(base_s=0.01, cap_s=0.01), budget=1.0, max_refusals=1)
LARGE_ERROR = answer(b"x" * 200_000, status="400 X", kind="text/plain")


# -- what comes out -----------------------------------------------------------------------


@pytest.mark.parametrize("run", [in_virtual_time, on_real_sockets])
def test_what_is_refused_is_sent_again(run: Callable[..., Any]) -> None:
    """The same bytes go again on the kept connection, and the session sees the last answer alone."""

    async def story() -> None:
        async with limited([REFUSED], [BUSY], [FINE], limiter=limiter_of()) as at:
            async with at.session.post(at.url, json=CHAT) as response:
                assert (response.status, await response.json()) == (200, {"ok": True})
            assert [request.body for request in at.server.requests] == [at.server.requests[0].body] * 3
            assert at.server.connections == 1
            assert at.limiter.statistics().keys["gpt-4o"].granted == 3

    run(story)


@pytest.mark.parametrize(
    ("said", "calls", "status"),
    [
        ([FINE], 1, 200),
        ([REFUSED, FINE], 2, 200),
        ([REFUSED, REFUSED], 2, 429),
        ([BUSY] * 5, 5, 503),
        ([NO_QUOTA], 1, 429),
        ([answer(b"{}", status="400 X")], 1, 400),
        ([answer(b"{}", status="401 X")], 1, 401),
        ([LARGE_ERROR], 1, 400),
        ([chunked(b'{"error":', kind="application/json").replace(b"200 OK", b"404 X") + b"2\r\n1}\r\n" + END], 1, 404),
    ],
)
def test_the_last_answer_is_handed_on_as_it_came(said: list[bytes], calls: int, status: int) -> None:
    """Status, headers and body, read in either way; no error of this library stands in between."""

    async def story(way: Callable[[aiohttp.ClientResponse], Awaitable[bytes]]) -> None:
        async with (
            limited(*([each] for each in said), limiter=limiter_of(retry=TWICE)) as at,
            at.session.post(at.url, json=CHAT) as response,
        ):
            assert (response.status, len(at.server.requests)) == (status, calls)
            body = await way(response)
            length = response.headers.get("Content-Length")
            assert body == (said[-1][-int(length) :] if length else b'{"error":1}')

    for way in (aiohttp.ClientResponse.read, read_content):
        in_virtual_time(functools.partial(story, way))


async def read_content(response: aiohttp.ClientResponse) -> bytes:
    return await response.content.read()


def test_a_slow_error_is_waited_for_a_while() -> None:
    """Its beginning says why; one that does not end is judged by its head, and can be read on."""
    slow: list[Step] = [answer(b'{"error":{"co', status="503 X", length=40), 2.0, b'de":"busy"}}   ' + b" " * 12]
    endless: list[Step] = [answer(b"{", status="400 X", length=40), 20.0, b" " * 39]

    async def story() -> None:
        async with limited(slow, [FINE], endless) as at:
            async with at.session.post(at.url, json=CHAT) as response:
                assert response.status == 200
            async with at.session.post(at.url, json=CHAT) as response:
                assert response.status == 400
                assert len(await response.read()) == 40

    in_virtual_time(story)


def test_an_error_that_never_ends_gives_its_connection_back_before_the_next_attempt() -> None:
    """It is judged by its head; what is left of it is read by nobody."""

    async def story() -> None:
        stuck: list[Step] = [answer(b"{", status="503 X", length=40), Move.SILENCE]
        async with limited(stuck, [0.5, FINE]) as at:
            call = asyncio.create_task(at.session.post(at.url, json=CHAT))
            await asyncio.sleep(10.4)
            assert (at.server.connections, len(at.session.connector._acquired)) == (2, 1)  # type: ignore[union-attr]
            async with await call as response:
                assert response.status == 200

    in_virtual_time(story)


def test_an_error_without_a_body_is_judged_by_its_head() -> None:
    """HEAD has none, whatever its length is said to be."""

    async def story() -> None:
        said = [[answer(b"", status=f"{status} X", length=50)] for status in (503, 404)]
        async with limited(*said) as at, at.session.head(at.url) as response:
            assert (response.status, len(at.server.requests)) == (404, 2)

    in_virtual_time(story)


def test_a_session_that_raises_for_a_status_raises_for_the_last() -> None:
    """What is tried again is none of its business."""

    async def story() -> None:
        async with limited([BUSY], [FINE], [answer(b"{}", status="404 X")], raise_for_status=True) as at:
            async with at.session.post(at.url, json=CHAT) as response:
                assert response.status == 200
            with pytest.raises(aiohttp.ClientResponseError) as caught:
                await at.session.post(at.url, json=CHAT)
            assert caught.value.status == 404

    in_virtual_time(story)


def test_what_was_never_sent_raises_an_error_of_this_library() -> None:
    """A full queue, a deadline in it, a cost that can never be, a limiter that is closed."""

    async def story() -> None:
        async with limited([5.0, FINE], limiter=limiter_of(max_in_flight=1, max_queue=1)) as at:
            first = asyncio.create_task(read(at))
            await asyncio.sleep(1)
            with at.limiter.call_options(deadline=2), pytest.raises(DeadlineExpiredInQueue) as late:
                await at.session.post(at.url, json=CHAT)
            assert "ClientTimeout" not in str(late.value)
            waiting = asyncio.create_task(read(at))
            await asyncio.sleep(0.1)
            with pytest.raises(QueueFull):
                await at.session.post(at.url, json=CHAT)
            with at.limiter.call_options(cost={"requests": DAILY + 1}), pytest.raises(CostExceedsQuota):
                await at.session.post(at.url, json=CHAT)
            await asyncio.gather(first, waiting)
            await at.limiter.close()
            with pytest.raises(Closed):
                await at.session.post(at.url, json=CHAT)
            assert (len(at.server.requests), at.spent) == (2, 2)

    in_virtual_time(story)


def test_a_queue_that_the_server_closed_is_told_as_this_library_tells_it() -> None:
    """Of a call that was not sent there is no answer to hand on."""
    hour = answer(b'{"error":{"code":"rate_limit_exceeded"}}', status="429 X", retry_after="3600")

    async def story() -> None:
        async with limited([hour]) as at:
            async with at.session.post(at.url, json=CHAT) as response:
                assert response.status == 429
            with pytest.raises(Throttled):
                await at.session.post(at.url, json=CHAT)
            assert len(at.server.requests) == 1

    in_virtual_time(story)


def test_an_answer_stays_one_when_the_limiter_is_closed_before_the_next_attempt() -> None:
    """The refusal that was to be tried again is the last there is."""

    async def story() -> None:
        async with limited([answer(b"why", status="429 X", retry_after="60")]) as at:
            call = asyncio.create_task(at.session.post(at.url, json=CHAT))
            await asyncio.sleep(10)
            await at.limiter.close()
            async with await call as response:
                assert (response.status, await response.text()) == (429, "why")

    in_virtual_time(story)


# -- what is sent ---------------------------------------------------------------------------


def test_each_redirect_has_its_own_turn() -> None:
    """A hop is a request: it is metered, and with one place the hops follow each other."""
    hop = b"HTTP/1.1 307 X\r\nLocation: /elsewhere\r\nContent-Length: 100\r\n\r\n" + b"x" * 100

    async def story() -> None:
        async with limited([hop], [hop], [BUSY], [FINE], limiter=limiter_of(max_in_flight=1)) as at:
            async with at.session.post(at.url, json=CHAT) as response:
                assert (response.status, len(response.history)) == (200, 2)
            assert at.limiter.statistics().keys["gpt-4o"].granted == 4

    in_virtual_time(story)


def test_a_refused_connection_costs_nothing() -> None:
    """It is tried again, and then raised as aiohttp raised it."""

    async def story() -> None:
        async with RawServer() as gone:
            url = gone.url
        async with limited() as at:
            with pytest.raises(aiohttp.ClientConnectorError):
                await at.session.post(url, json=CHAT)
            assert (at.limiter.statistics().keys["gpt-4o"].granted, at.spent) == (5, 0)

    in_virtual_time(story)


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
@pytest.mark.parametrize(("policy", "sent"), [(None, 5), (RetryPolicy.none(), 1)])
def test_a_connection_that_breaks_is_tried_again_by_the_policy_alone(
    method: str, policy: RetryPolicy | None, sent: int
) -> None:
    """A session repeats what is idempotent on its own; here it is told again what the policy has come to."""

    async def story() -> None:
        async with limited([Move.CLOSE], retry=policy) as at:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await at.session.request(method, at.url, json=CHAT)
            assert (len(at.server.requests), at.spent) == (sent, sent)

    in_virtual_time(story)


def test_what_comes_after_a_broken_request_is_another_one() -> None:
    """The next request of the same task is sent, and so is a redirect."""
    hop = b"HTTP/1.1 307 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"

    async def story() -> None:
        async with limited([Move.CLOSE], [FINE], [hop], [Move.CLOSE], retry=RetryPolicy.none()) as at:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await at.session.get(at.url)
            async with at.session.get(at.url) as response:
                assert response.status == 200
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await at.session.get(at.url)
            assert len(at.server.requests) == 4

    in_virtual_time(story)


def test_other_middlewares_stand_before_and_after() -> None:
    """The one further out sees the call, the one further in each attempt of it, and may read what comes."""
    seen: list[str] = []

    async def outer(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await handler(request)
        seen.append(f"outer {response.status}")
        return response

    async def inner(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await handler(request)
        seen.append(f"inner {response.status} {await response.text()}")
        return response

    async def story() -> None:
        async with (
            limited([answer(b"no", status="503 X")], [answer(b"yes")], before=(outer,), after=(inner,)) as at,
            at.session.post(at.url, json=CHAT) as response,
        ):
            assert await response.text() == "yes"
        assert seen == ["inner 503 no", "inner 200 yes", "outer 200"]

    in_virtual_time(story)


def test_a_request_that_another_middleware_refuses_costs_nothing() -> None:
    """Nothing of it was written."""

    async def no(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        raise KeyError(request.method)

    async def story() -> None:
        async with limited(after=(no,)) as at:
            with pytest.raises(KeyError):
                await at.session.post(at.url, json=CHAT)
            assert at.spent == 0

    in_virtual_time(story)


# -- cancelled ------------------------------------------------------------------------------


def test_cancelled_in_the_queue_it_leaves_no_trace() -> None:
    """Nothing is charged and nothing is sent."""

    async def story() -> None:
        async with limited([1.0, FINE], limiter=limiter_of(max_in_flight=1)) as at:
            first, second = asyncio.create_task(read(at)), asyncio.create_task(read(at))
            await asyncio.sleep(0.5)
            second.cancel()
            await asyncio.wait([first, second])
            assert second.cancelled()
            assert (at.spent, len(at.server.requests)) == (1, 1)

    in_virtual_time(story)


@pytest.mark.parametrize(
    ("said", "spent"),
    [
        ([Move.SILENCE], 1),
        ([answer(b"{", status="503 X", length=9), Move.SILENCE], 1),
        ([answer(b"{", length=9), Move.SILENCE], 1),
    ],
    ids=["before the head", "in an error", "in the body"],
)
def test_cancelled_in_flight_it_stays_charged(said: list[Step], spent: int) -> None:
    """Its place and its connection are free."""

    async def story() -> None:
        async with limited(said) as at:
            call = asyncio.create_task(read(at))
            await asyncio.sleep(1)
            assert at.limiter.in_flight == 1
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
            assert (at.limiter.in_flight, at.spent) == (0, spent)
            await asyncio.sleep(1)

    in_virtual_time(story)


def test_cancelled_while_connecting_it_costs_nothing() -> None:
    """Not a byte was written."""

    async def stand(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        await asyncio.sleep(10)
        raise AssertionError("it was cancelled")

    async def story() -> None:
        async with limited(after=(stand,)) as at:
            call = asyncio.create_task(read(at))
            await asyncio.sleep(1)
            assert (at.limiter.in_flight, at.spent) == (1, 1)
            call.cancel()
            await asyncio.wait([call])
            assert (at.limiter.in_flight, at.spent) == (0, 0)

    in_virtual_time(story)


# -- whose budget ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "key", "said", "found"),
    [
        ({"json": CHAT}, None, None, "gpt-4o"),
        ({"data": b'{"model":"m"}'}, None, None, "m"),
        ({"data": '{"model":"m"}'}, None, None, "m"),
        ({"data": memoryview(b'{"model":"m"}')}, None, None, "127.0.0.1"),
        ({"data": b"{no json"}, None, None, "127.0.0.1"),
        ({"data": {"model": "m"}}, None, None, "127.0.0.1"),
        ({}, None, None, "127.0.0.1"),
        ({"json": CHAT}, "mine", None, "mine"),
        ({"json": CHAT}, lambda request: request.url.path, None, "/v1/chat/completions"),
        ({"json": CHAT}, lambda _: None, None, "gpt-4o"),
        ({"json": CHAT}, "mine", "said", "said"),
    ],
)
def test_the_key_of_a_request(body: dict[str, Any], key: Any, said: str | None, found: str) -> None:
    """What was said of it; else what the middleware was told; else its model; else the host."""

    async def story() -> None:
        async with limited([FINE], key=key) as at:
            with at.limiter.call_options(key=said):
                async with at.session.post(at.url, **body) as response:
                    assert response.status == 200
            assert list(at.limiter.statistics().keys) == [found]

    in_virtual_time(story)


def test_keys_of_two_accounts_do_not_share_a_budget() -> None:
    """And neither is shown anywhere."""

    async def story() -> None:
        async with limited([FINE]) as at:
            for key in (canary.KEY, canary.OTHER_KEY, canary.KEY):
                async with at.session.post(at.url, json=CHAT, headers={"Authorization": f"Bearer {key}"}) as response:
                    await response.read()
            assert [key.granted for key in at.limiter.statistics().keys.values()] == [2, 1]
            assert not canary.shows(repr(at.session._middlewares))

    in_virtual_time(story)


def test_what_a_call_costs_is_read_off_its_body() -> None:
    """As for a client's own calls; priority and tenant are those of the block."""

    async def story() -> None:
        limiter = Limiter(per_hour(tokens=10_000))
        async with limited([FINE], limiter=limiter) as at:
            for body in ({**CHAT, "max_tokens": 500}, {**CHAT, "max_tokens": 5000}):
                async with at.session.post(at.url, json=body) as response:
                    await response.read()
            assert 4000 < level(limiter, "tokens", "gpt-4o") < 4600

    in_virtual_time(story)


def test_few_senders_are_remembered_and_none_is_shown() -> None:
    """A session with a token for each call keeps a thousand scopes at most; nothing here shows a key."""

    async def story() -> None:
        limiter = limiter_of()
        senders = Senders(limiter)
        async with limited() as at:
            for number in range(1001):
                headers = {"x-api-key": f"{canary.KEY}{number}"}
                request = aiohttp.ClientRequest("GET", URL(at.url), headers=headers, session=at.session)
                scope_of(request, senders)
            assert repr(senders) == "<Senders: 1 scopes>"
            layer = [senders]
            for _ in range(5):
                layer = [found for each in layer for found in inside(each)]
                assert not any(canary.shows(repr(each)) for each in layer)

    in_virtual_time(story)


def test_an_error_of_this_library_shows_no_key() -> None:
    """Nor do the frames of the middleware that it came through, as they print."""

    async def story() -> None:
        async with limited([Move.CLOSE], retry=RetryPolicy.none()) as at:
            sent = {"headers": {"Authorization": f"Bearer {canary.KEY}"}, "json": CHAT}
            with pytest.raises(aiohttp.ClientError) as broken:
                await at.session.post(at.url, **sent)
            await at.limiter.close()
            with pytest.raises(Closed) as closed:
                await at.session.post(at.url, **sent)
            for error in (broken.value, closed.value):
                frames = [text for place, text in texts(error) if "Middleware." in place and "level 0" in place]
                assert frames
                assert not any(canary.shows(text) for text in frames)
            assert not canary.shows(f"{closed.value!r} {vars(closed.value)}")

    in_virtual_time(story)
