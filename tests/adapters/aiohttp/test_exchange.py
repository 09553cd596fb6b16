from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ratelimit_client import (
    AuthenticationFailed,
    Client,
    ConfigurationError,
    DeadlineExpiredInQueue,
    IncompleteResponse,
    QuotaExhausted,
    ResponseError,
    RetryPolicy,
    TransportError,
    per_minute,
)
from ratelimit_client.core.failure import FailureKind
from ratelimit_client.testing import serve_model
from tests.adapters.aiohttp.rawserver import Move, RawServer, answer, chunked
from tests.adapters.aiohttp.running import (
    CHAT,
    KEY,
    OTHER_KEY,
    granted,
    in_virtual_time,
    ledger_is_even,
    on_real_sockets,
    served,
    virtual_loop,
)

UNAUTHORIZED = answer(b'{"error":{"code":"invalid_api_key"}}', status="401 Unauthorized")


@pytest.mark.parametrize(
    "fault",
    [
        [Move.RESET],
        [Move.CLOSE],
        [answer(b"{}", status="500 X")],
        [answer(b"{}", status="503 X", retry_after="1")],
        [answer(b"{}", status="429 X", retry_after="1")],
        [answer(b'{"a":', length=99), Move.CLOSE],
        [answer(b'{"a":')],
        [chunked(b'{"a":'), 0.02, b"zz\r\n"],
        [answer(b"<html>", kind="text/html")],
    ],
)
def test_what_may_pass_is_tried_again(fault: list[Any]):
    """
    Under one idempotency key, each attempt under a name of its own, each admitted by the limiter.
    """

    async def story() -> None:
        async with served(fault, [answer(b'{"a":1}')]) as (server, client):
            reply = await client.post("/v1/x", json={"b": 2})
            assert reply.data == {"a": 1}
            assert granted(client) == len(server.requests) == 2
            assert ledger_is_even(client)

        first, second = (request.headers for request in server.requests)
        assert first["idempotency-key"] == second["idempotency-key"]
        assert first["x-client-request-id"] != second["x-client-request-id"]
        assert server.requests[0].body == server.requests[1].body == b'{"b":2}'

    in_virtual_time(story)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_aiohttp_repeats_nothing_by_itself(method: str):
    """
    A connection that breaks under an idempotent method is no reason to send it unadmitted.
    """

    async def story() -> None:
        async with served([Move.CLOSE], [answer()], retry=RetryPolicy.none()) as (server, client):
            with pytest.raises(TransportError):
                await client.request(method, "/v1/x")
            assert granted(client) == len(server.requests) == 1

    on_real_sockets(story)


def test_a_kept_connection_that_the_server_had_closed():
    """
    The request that ran into it goes again at once, on a connection of its own, and is admitted again.
    """

    async def story() -> None:
        conversations = ([answer(b'{"n":1}')], [Move.CLOSE], [answer(b'{"n":2}')])
        async with served(*conversations, retry=RetryPolicy(max_attempts=2, budget=0.0)) as (server, client):
            await client.post("/v1/x", json={})
            began = asyncio.get_running_loop().time()
            reply = await client.post("/v1/x", json={})

            assert reply.data == {"n": 2}
            assert asyncio.get_running_loop().time() == began
            assert [request.connection for request in server.requests] == [0, 0, 1]
            assert granted(client) == 3
            assert server.requests[2].headers["connection"] == "close"

    in_virtual_time(story)


def test_a_new_connection_that_breaks_is_another_matter():
    """
    Without a kept connection to blame, the retry waits and draws on the budget.
    """

    async def story() -> None:
        async with served([Move.CLOSE], [answer()], retry=RetryPolicy(budget=0.0)) as (server, client):
            with pytest.raises(TransportError, match="X-Client-Request-Id: rlc-"):
                await client.post("/v1/x", json={})
            assert len(server.requests) == 1

    in_virtual_time(story)


def test_an_answer_nobody_asked_for_is_nobodys():
    """
    A second answer on a kept connection is not handed to the next call; the connection is dropped.
    """

    async def story() -> None:
        two = [answer(b'{"n":1}'), 0.05, answer(b'{"n":"smuggled"}')]
        async with served(two, [answer(b'{"n":2}')]) as (server, client):
            assert (await client.post("/v1/x", json={})).data == {"n": 1}
            await asyncio.sleep(0.2)
            assert (await client.post("/v1/x", json={})).data == {"n": 2}
            assert server.connections == 2

    for run in (on_real_sockets, in_virtual_time):
        run(story)


def test_a_body_above_the_cap_is_not_asked_for_again():
    """
    Another attempt would bring it again, and be charged again.
    """

    async def story() -> None:
        async with served([answer(b'{"a":"' + b"x" * 1000 + b'"}')]) as (server, client):
            client._sender.most_bytes = 1000
            with pytest.raises(IncompleteResponse, match="larger than 1000 bytes") as caught:
                await client.post("/v1/x", json={})
            assert caught.value.kind is FailureKind.OTHER
            assert caught.value.attempts == len(server.requests) == 1

    in_virtual_time(story)


def test_billing_is_not_retried():
    """
    An exhausted quota ends the call, although it is a 429.
    """

    async def story() -> None:
        async with serve_model(quota_after=0) as url, Client(url, api_key=KEY) as client:
            with pytest.raises(QuotaExhausted) as caught:
                await client.post("/chat/completions", json=CHAT)
            assert (caught.value.attempts, url.tally.calls) == (1, 1)

    in_virtual_time(story)


def test_redirects_are_not_followed():
    """
    Neither key nor prompt goes anywhere else; the error names the host and nothing of the address behind it.
    """

    async def story() -> None:
        async with RawServer([answer(b'{"n":9}')]) as elsewhere:
            location = elsewhere.url.replace("127.0.0.1", "localhost") + "/v1/x?token=abc"
            async with served([answer(status="307 X", location=location, x_request_id="req_1")]) as (server, client):
                with pytest.raises(ResponseError, match="'localhost'") as caught:
                    await client.post("/v1/x", json={})
                assert len(server.requests) == 1
            assert elsewhere.requests == []
        assert (caught.value.status, caught.value.request_id) == (307, "req_1")
        assert "token" not in str(caught.value)

    on_real_sockets(story)


def test_a_refused_key_is_renewed_once():
    """
    A vault that has a new key: the call goes again with it, at once, and counts as one attempt.
    """

    async def story() -> None:
        keys = iter([KEY, OTHER_KEY])
        async with served([UNAUTHORIZED], [answer()], api_key=lambda: next(keys)) as (server, client):
            reply = await client.post("/v1/x", json={})
            assert reply.attempts == 1
        sent = [request.headers["authorization"] for request in server.requests]
        assert sent == [f"Bearer {KEY}", f"Bearer {OTHER_KEY}"]

    in_virtual_time(story)


def test_a_vault_that_repeats_itself():
    """
    The refused key again: no second call, and no question for each of ten calls.
    """

    async def story() -> None:
        asked = []
        async with served([UNAUTHORIZED], api_key=lambda: asked.append(1) or KEY) as (server, client):
            results = await asyncio.gather(*(client.post("/v1/x", json={}) for _ in range(10)), return_exceptions=True)
            assert {type(result) for result in results} == {AuthenticationFailed}
            assert len(server.requests) == 10
            assert len(asked) == 2
            assert ledger_is_even(client)

    in_virtual_time(story)


def test_a_second_401_is_the_end():
    """
    A new key that is refused too is not asked about again by that call.
    """

    async def story() -> None:
        keys = iter([KEY, OTHER_KEY, KEY + "-the-third"])
        async with served([UNAUTHORIZED], api_key=lambda: next(keys)) as (server, client):
            with pytest.raises(AuthenticationFailed):
                await client.post("/v1/x", json={})
            assert len(server.requests) == 2

    in_virtual_time(story)


def test_a_typed_key_that_is_refused():
    """
    There is nobody to ask: one call, one error.
    """

    async def story() -> None:
        async with served([UNAUTHORIZED]) as (server, client):
            with pytest.raises(AuthenticationFailed):
                await client.post("/v1/x", json={})
            assert len(server.requests) == 1

    in_virtual_time(story)


def test_a_key_that_grew_old_in_the_queue():
    """
    At its turn the key is a minute old: the turn is given back, the key renewed, and the call sent once, with that.
    """

    async def story() -> None:
        keys = iter([KEY, OTHER_KEY])
        options = {"api_key": lambda: next(keys), "quotas": per_minute(requests=1)}
        async with served([answer()], **options) as (server, client):
            began = asyncio.get_running_loop().time()
            await client.post("/v1/x", json={})
            reply = await client.post("/v1/x", json={})

            assert 60 <= reply.queue_s <= 61
            assert asyncio.get_running_loop().time() - began <= 61
            sent = [request.headers["authorization"] for request in server.requests]
            assert sent == [f"Bearer {KEY}", f"Bearer {OTHER_KEY}"]
            assert reply.attempts == 1

    in_virtual_time(story)


def test_a_vault_that_fails_or_dawdles():
    """
    Nothing is queued or sent; the deadline of the call holds for the vault, too.
    """

    async def story() -> None:
        def broken() -> str:
            raise OSError(KEY)

        async with served([answer()], api_key=broken) as (server, client):
            with pytest.raises(ConfigurationError, match="raised OSError"):
                await client.post("/v1/x", json={})
            assert server.requests == []

        async def dawdling() -> str:
            await asyncio.sleep(20)
            return KEY

        async with served([answer()], api_key=dawdling) as (server, client):
            with pytest.raises(DeadlineExpiredInQueue, match="waiting for the API key"):
                await client.post("/v1/x", json={}, deadline=5.0)
            assert virtual_loop().elapsed_s == pytest.approx(5.0, abs=0.01)
            assert (await client.post("/v1/x", json={}, deadline=30.0)).status == 200

    in_virtual_time(story)
