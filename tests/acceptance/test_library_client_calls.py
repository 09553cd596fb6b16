"""One call of the client as the contract describes it: where it goes, what comes back, how it ends."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest

from ratelimit_client import (
    AuthenticationFailed,
    Client,
    Closed,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    IncompleteResponse,
    ModelNotFound,
    Overloaded,
    QuotaExhausted,
    Reading,
    RequestTooLarge,
    ResponseError,
    RetryPolicy,
    Signals,
    Throttled,
    TransportError,
    per_minute,
)
from ratelimit_client.testing import Faults, by_characters, serve_model
from tests.acceptance.library import CHAT, KEY, QUICK, at_zero, now_s, tell, tell_and_time
from tests.adapters.aiohttp.rawserver import Move, RawServer, answer

ONCE = RetryPolicy.none()


@pytest.mark.parametrize(
    ("base", "path", "line"),
    [
        # one that starts with /v1/ names an endpoint
        ("", "/v1/chat/completions", "/v1/chat/completions"),
        ("/", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions", "/v1/chat/completions"),
        ("/api/v1", "/v1/chat/completions", "/api/v1/chat/completions"),
        ("/openai/deployments/gpt", "/v1/chat/completions", "/openai/deployments/gpt/chat/completions"),
        # others are appended
        ("", "/chat/completions", "/chat/completions"),
        ("/v1", "/chat/completions", "/v1/chat/completions"),
        ("/v1", "chat/completions", "/v1/chat/completions"),
        ("/api/v1", "/models", "/api/v1/models"),
        ("/api/v1", "/v12/models", "/api/v1/v12/models"),
        ("/api", "/v1", "/api/v1"),
    ],
)
def test_a_path_joins_the_base(base: str, path: str, line: str) -> None:
    """
    /v1 is dropped when the base has a path of its own, kept when it has none; everything else is appended.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server, Client(server.url + base, api_key=KEY) as client:
            await client.request("GET", path)
        assert server.requests[0].line == f"GET {line} HTTP/1.1"

    tell(story)


def test_a_reply_shows_what_the_contract_lists() -> None:
    """
    data, content, text, json(); status, headers, request_id, organization, project, processing_ms, version;
    rate_limits; attempts, queue_s, usage.
    """

    async def story() -> None:
        limits = per_minute(requests=120, tokens=60_000)
        async with serve_model(limits, latency=1.5) as url, Client(url, api_key=KEY, organization="org-x") as client:
            reply = await client.post("/chat/completions", json=CHAT)

        assert reply.data["object"] == "chat.completion"
        assert json.loads(reply.content) == json.loads(reply.text) == reply.json() == reply.data
        assert isinstance(reply.content, bytes)
        assert isinstance(reply.text, str)
        assert reply.status == 200
        assert reply.headers["X-Request-ID"] == reply.headers["x-request-id"] == reply.request_id
        assert reply.organization == "org-x"
        assert reply.project == "proj_model_server"
        assert reply.processing_ms == 1500
        assert reply.version == "2020-10-01"
        assert reply.rate_limits["requests"] == Reading(limit=120, remaining=119, reset_s=0.5, window_s=60)
        assert reply.rate_limits["tokens"].limit == 60_000
        assert (reply.attempts, reply.queue_s) == (1, 0)
        assert reply.usage["total_tokens"] == reply.data["usage"]["total_tokens"]

    tell(story)


def test_what_is_no_json_has_no_data() -> None:
    """
    Text is text, bytes are bytes, data is None.
    """

    async def story() -> None:
        plain = answer(b"just words", kind="text/plain")
        async with RawServer([plain]) as server, Client(server.url, api_key=KEY) as client:
            reply = await client.get("/x")
        assert (reply.data, reply.content, reply.text) == (None, b"just words", "just words")
        with pytest.raises(IncompleteResponse):
            reply.json()

    tell(story)


def test_attempts_and_time_in_the_queue_are_counted() -> None:
    """
    The second of two calls at 1 a minute waits 60 s; a call after two server errors is the third attempt.
    """

    async def story() -> None:
        async with serve_model(per_minute(requests=1)) as url, Client(url, api_key=KEY, quotas="1/min") as client:
            await client.post("/chat/completions", json=CHAT)
            second = await client.post("/chat/completions", json=CHAT)
            assert second.queue_s == pytest.approx(60, abs=1)
            assert second.attempts == 1

        bad = answer(b"{}", status="500 Internal Server Error")
        async with RawServer([bad], [bad], [answer()]) as server, Client(server.url, retry=QUICK) as client:
            assert (await client.get("/x")).attempts == 3

    tell(story)


# -- the final no ------------------------------------------------------------------------------


def refusal(code: str, message: str = "No.", kind: str = "requests") -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


TOO_LARGE = "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 50000."


QUOTA = "You exceeded your current quota."


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (429, refusal("rate_limit_exceeded"), Throttled, "rate_limited"),
        (503, refusal("overloaded", "The engine is overloaded.", "server_error"), Overloaded, "overloaded"),
        (429, refusal("insufficient_quota", QUOTA, "insufficient_quota"), QuotaExhausted, "quota_exhausted"),
        (429, refusal("rate_limit_exceeded", TOO_LARGE, "tokens"), RequestTooLarge, "too_large"),
        (401, refusal("invalid_api_key", "Incorrect API key"), AuthenticationFailed, "auth"),
        (404, refusal("model_not_found", "The model does not exist"), ModelNotFound, "model_not_found"),
        (400, refusal("invalid_value", kind="invalid_request_error"), ResponseError, "client_error"),
        (500, refusal("server_error", kind="server_error"), ResponseError, "server_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_final_answer_is_a_response_error(
    status: int, body: bytes, kind: type[ResponseError], reason: str
) -> None:
    """
    One subclass for each meaning, with status, reason, request id, an excerpt, attempts, wait and signals.
    """

    async def story() -> None:
        bad = answer(body, status=f"{status} No", X_Request_Id="req_77")
        async with RawServer([bad]) as server, Client(server.url, api_key=KEY, retry=ONCE) as client:
            with pytest.raises(ResponseError) as caught:
                await client.post("/v1/chat/completions", json=CHAT)
            assert at_zero(client)
        error = caught.value
        assert type(error) is kind
        assert error.status == status
        assert error.reason == reason
        assert error.request_id == "req_77"
        assert error.body_excerpt == body.decode()
        assert (error.attempts, error.waited_s) == (1, 0.0)
        assert isinstance(error.signals, Signals)
        assert error.signals.reason == reason
        assert "req_77" in str(error)
        assert KEY not in str(error) + repr(error)

    tell(story)


def test_an_excerpt_is_at_most_a_kibibyte() -> None:
    """
    Of a page of 300 kB an error keeps 1024 characters.
    """

    async def story() -> None:
        bad = answer(b"<p>" + b"x" * 300_000, status="502 Bad Gateway", kind="text/html")
        async with RawServer([bad]) as server, Client(server.url, api_key=KEY, retry=ONCE) as client:
            with pytest.raises(ResponseError) as caught:
                await client.get("/x")
        assert len(caught.value.body_excerpt) == 1024
        assert len(str(caught.value)) < 1000

    tell(story)


def test_no_answer_at_all_is_a_transport_error() -> None:
    """
    A reset before any byte: TransportError with its attempts, and not "unsent", because the request was written.
    """

    async def story() -> None:
        policy = RetryPolicy(max_attempts=3, backoff=QUICK.backoff, budget=1.0)
        async with RawServer([Move.RESET]) as server, Client(server.url, api_key=KEY, retry=policy) as client:
            with pytest.raises(TransportError) as caught:
                await client.post("/v1/chat/completions", json=CHAT)
            assert caught.value.attempts == len(server.requests) == 3
            assert not caught.value.unsent
            assert at_zero(client)

    tell(story)


def test_a_success_that_is_not_whole_is_no_success() -> None:
    """
    Half a body is tried again; when it stays half, it ends as IncompleteResponse with what there was.
    """

    async def story() -> None:
        half: list[Any] = [answer(b'{"a": 1', length=100), Move.CLOSE]
        async with RawServer(half, [answer(b'{"a": 1}')]) as server, Client(server.url, retry=QUICK) as client:
            reply = await client.get("/x")
            assert (reply.data, reply.attempts) == ({"a": 1}, 2)
        async with RawServer(half) as server, Client(server.url, retry=ONCE) as client:
            with pytest.raises(IncompleteResponse) as caught:
                await client.get("/x")
        assert (caught.value.status, caught.value.body_excerpt) == (200, '{"a": 1')

    tell(story)


# -- what a call says --------------------------------------------------------------------------


def test_the_default_key_is_the_model() -> None:
    """
    Two models have two budgets; a call that names a key uses that; one without a model has the default one.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server, Client(server.url, api_key=KEY, quotas="5/min") as client:
            await client.post("/x", json={"model": "a"})
            await client.post("/x", json={"model": "b"})
            await client.post("/x", json={"model": "b"}, key="mine")
            await client.post("/x", json={"messages": []})
            await client.get("/x")
            keys = client.limiter.statistics().keys
        assert {name: each.granted for name, each in keys.items()} == {"a": 1, "b": 1, "mine": 1, "default": 2}

    tell(story)


def test_cost_and_tokens_are_what_it_is_charged() -> None:
    """
    A stated cost leaves the bucket; without one it is estimated from the body.
    """

    async def story() -> None:
        quotas = per_minute(requests=100, tokens=100_000, images=50)
        async with RawServer([answer(b"{}")]) as server, Client(server.url, api_key=KEY, quotas=quotas) as client:
            await client.post("/x", json={"model": "a"}, tokens=30_000)
            await client.post("/x", json={"model": "b"}, cost={"images": 7, "requests": 2})
            await client.post("/x", json={"model": "c", "messages": [{"role": "user", "content": "word " * 8000}]})
            keys = client.limiter.statistics().keys
            levels = {key: {name: b.level for name, b in each.buckets.items()} for key, each in keys.items()}
        assert levels["a"] == {"requests": 99, "tokens": 70_000, "images": 50}
        assert levels["b"] == {"requests": 98, "tokens": 100_000, "images": 43}
        assert 80_000 < levels["c"]["tokens"] < 95_000

    tell(story)


def test_one_idempotency_key_for_all_attempts_and_a_name_for_each() -> None:
    """
    The key is kept over retries, given or made up; X-Client-Request-Id is new each time.
    """

    async def story() -> None:
        bad = answer(b"{}", status="500 Internal Server Error")
        async with RawServer([bad], [bad], [answer()]) as server, Client(server.url, retry=QUICK) as client:
            await client.post("/x", json={}, idempotency_key="order-7")
            await client.post("/x", json={})
        sent = [each.headers["idempotency-key"] for each in server.requests]
        assert sent[:3] == ["order-7"] * 3
        assert sent[3] != "order-7"
        assert len({each.headers["x-client-request-id"] for each in server.requests}) == 4

    tell(story)


def test_bodies_of_every_kind() -> None:
    """
    json as values or bytes, data as bytes or fields, files as multipart: each arrives as such.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server, Client(server.url, api_key=KEY) as client:
            await client.post("/x", json={"a": "é"})
            await client.post("/x", json=b'{"a":1}')
            await client.post("/x", data=b"raw", headers={"Content-Type": "application/x-thing"})
            await client.post("/x", data={"a": "1 2"})
            await client.post("/x", files={"file": ("a.txt", io.BytesIO(b"hello"))}, data={"purpose": "batch"})
            await client.get("/x", params={"q": "a&b", "n": 2})
        bodies = [(each.headers.get("content-type", ""), each.body) for each in server.requests]
        assert json.loads(bodies[0][1]) == {"a": "é"}
        assert bodies[1] == ("application/json", b'{"a":1}')
        assert bodies[2] == ("application/x-thing", b"raw")
        assert bodies[3] == ("application/x-www-form-urlencoded", b"a=1+2")
        assert bodies[4][0].startswith("multipart/form-data")
        assert b'filename="a.txt"' in bodies[4][1]
        assert b"hello" in bodies[4][1]
        assert b"batch" in bodies[4][1]
        assert server.requests[5].line == "GET /x?q=a%26b&n=2 HTTP/1.1"

    tell(story)


# -- deadline, drain, close --------------------------------------------------------------------


def test_a_deadline_is_for_the_whole_call() -> None:
    """
    Passed in the queue: not sent. Passed in flight: cancelled, with attempts and the last request id.
    """

    async def story() -> None:
        async with serve_model(per_minute(requests=600), latency=10) as url, Client(url, api_key=KEY) as client:
            began = now_s()
            with pytest.raises(DeadlineExceeded) as late:
                await client.post("/chat/completions", json=CHAT, deadline=3)
            assert now_s() - began == pytest.approx(3)
            assert (late.value.attempts, late.value.request_id) == (1, None)
            with pytest.raises(DeadlineExpiredInQueue):
                await client.post("/chat/completions", json=CHAT, deadline=0)
            assert url.tally.calls == 1
            assert at_zero(client)
            await asyncio.sleep(10)  # the server does not notice that nobody listens any more

        faults = Faults(server_error=1.0)
        async with serve_model(faults=faults, latency=1) as url, Client(url, api_key=KEY, retry=QUICK) as client:
            with pytest.raises(DeadlineExceeded) as late:
                await client.post("/chat/completions", json=CHAT, deadline=2.5)
            assert late.value.attempts == 3
            assert late.value.request_id is not None
            assert late.value.request_id.startswith("req_")
            await asyncio.sleep(10)

    tell(story)


def test_drain_lets_nobody_in_and_waits_for_those_inside() -> None:
    """
    Ten calls under way end well, the eleventh is Closed, and drain returns when they have ended.
    """

    async def story() -> None:
        async with serve_model(per_minute(requests=600), latency=5) as url, Client(url, api_key=KEY) as client:
            calls = [asyncio.create_task(client.post("/chat/completions", json=CHAT)) for _ in range(10)]
            await asyncio.sleep(1)
            assert await client.drain(timeout_s=1) is False
            with pytest.raises(Closed):
                await client.post("/chat/completions", json=CHAT)
            assert await client.drain() is True
            assert [(await call).status for call in calls] == [200] * 10
            assert url.tally.calls == 10
            assert at_zero(client)

    tell(story)


def test_close_fails_what_is_queued() -> None:
    """
    Those in the queue end with Closed; closing twice is closing once.
    """

    async def story() -> None:
        client = Client("http://127.0.0.1:1", api_key=KEY, quotas="1/min")
        async with client.limiter.permit():
            pass
        waiting = asyncio.create_task(client.get("/x"))
        await asyncio.sleep(1)
        await client.close()
        await client.close()
        with pytest.raises(Closed):
            await waiting
        with pytest.raises(Closed):
            await client.get("/x")
        assert at_zero(client)

    tell(story)


def test_leaving_the_block_drains() -> None:
    """
    What is under way at the end of `async with` is waited for.
    """

    async def story() -> None:
        async with serve_model(per_minute(requests=600), latency=4) as url:
            async with Client(url, api_key=KEY) as client:
                calls = [asyncio.create_task(client.post("/chat/completions", json=CHAT)) for _ in range(5)]
                await asyncio.sleep(0)
            assert all(call.done() for call in calls)
            assert url.tally.lost({"x"}) == {"x"}
            assert sum(url.tally.answered.values()) == 5

    _, seconds = tell_and_time(story)
    assert seconds == pytest.approx(4, abs=1)


def test_a_budget_nobody_typed_is_filled_without_a_refusal() -> None:
    """
    600 calls at 600 a minute and by tokens: all answered, none twice, at most one in a hundred refused.
    """

    async def story() -> None:
        limits = per_minute(requests=600, tokens=20_000)
        async with serve_model(limits, latency=0.5, charge=by_characters) as url, Client(url, api_key=KEY) as client:
            rows = [{**CHAT, "user": f"r{n}", "messages": [{"role": "user", "content": "w " * n}]} for n in range(600)]
            replies = await asyncio.gather(*(client.post("/chat/completions", json=row) for row in rows))
            assert {reply.status for reply in replies} == {200}
            tally = url.tally
            assert tally.refusals <= 6
            assert tally.repeated == 0
            assert not tally.lost(f"r{n}" for n in range(600))
            assert at_zero(client)
            # Each reply is the answer to its own row.
            for n, reply in enumerate(replies):
                assert f"Answer to r{n}:" in reply.text

    tell(story)
