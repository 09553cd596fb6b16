"""The errors as the contract draws them: one tree, picklable, without the key and without a library's types."""

from __future__ import annotations

import asyncio
import copy
import pickle
import traceback
from typing import Any

import pytest

import ratelimit_client
from ratelimit_client import (
    AuthenticationFailed,
    Client,
    CostExceedsQuota,
    DeadlineExceeded,
    Limiter,
    RateLimitClientError,
    RetryPolicy,
    WouldBlock,
    per_minute,
)
from ratelimit_client.testing import Connect, Route, serve_model
from tests.acceptance.library import CHAT, KEY, tell
from tests.adapters.aiohttp.rawserver import Move, RawServer, answer

TREE = {
    "RateLimitClientError": "Exception",
    "InvalidQuota": "RateLimitClientError ValueError",
    "ConfigurationError": "RateLimitClientError",
    "CostExceedsQuota": "RateLimitClientError",
    "WrongLoop": "RateLimitClientError",
    "StoreUnavailable": "RateLimitClientError",
    "NotAdmitted": "RateLimitClientError",
    "QueueFull": "NotAdmitted",
    "WouldBlock": "NotAdmitted",
    "Closed": "NotAdmitted",
    "DeadlineUnreachable": "NotAdmitted TimeoutError",
    "DeadlineExpiredInQueue": "NotAdmitted TimeoutError",
    "DeadlineExceeded": "RateLimitClientError TimeoutError",
    "ResponseError": "RateLimitClientError",
    "Throttled": "ResponseError",
    "Overloaded": "ResponseError",
    "QuotaExhausted": "ResponseError",
    "RequestTooLarge": "ResponseError",
    "AuthenticationFailed": "ResponseError",
    "ModelNotFound": "ResponseError",
    "TransportError": "RateLimitClientError",
    "IncompleteResponse": "RateLimitClientError",
    "StreamError": "RateLimitClientError",
    "StreamTruncated": "StreamError",
}


def test_the_tree() -> None:
    """
    Every error of the contract, under the parents it names, and no other error among the public names.
    """
    public = [getattr(ratelimit_client, name) for name in ratelimit_client.__all__]
    errors = [each for each in public if isinstance(each, type) and issubclass(each, BaseException)]

    assert {each.__name__: " ".join(base.__name__ for base in each.__bases__) for each in errors} == TREE
    for each in errors:
        homes = {base.__module__.partition(".")[0] for base in each.__mro__}
        assert homes == {"ratelimit_client", "builtins"}


@pytest.mark.parametrize("name", sorted(TREE))
def test_each_is_pickled_and_copied_with_its_fields(name: str) -> None:
    """
    Message and fields come back equal, from a pickle and from a deep copy.
    """
    kind: Any = getattr(ratelimit_client, name)
    error = kind("what happened", attempts=3, request_id="req_1", ready_in_s=1.5)
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(twin) is kind
        assert str(twin) == "what happened"
        assert (twin.attempts, twin.request_id, twin.ready_in_s) == (3, "req_1", 1.5)


def everything_in(error: BaseException) -> str:
    """All that a logger, a debugger with locals or a pickle would show of it."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    fields = repr({name: repr(value) for name, value in vars(error).items()})
    return "".join(report.format()) + repr(error) + fields


def scenarios() -> dict[str, Any]:
    """Real failures of a client that holds a key: how each server behaves."""
    return {
        "unauthorized": [answer(b'{"error": {"code": "invalid_api_key"}}', status="401 No")],
        "refused": [answer(b"{}", status="429 No", retry_after="1000")],
        "broken": [answer(b"<html>", status="500 No", kind="text/html")],
        "redirect": [answer(b"", status="302 Found", location="https://evil.example/" + "x" * 100)],
        "reset": [Move.RESET],
        "closed": [Move.CLOSE],
        "garbage": [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Move.CLOSE],
        "half": [answer(b'{"a"', length=99), Move.CLOSE],
        "no json": [answer(b"{nope")],
        "silent": [Move.SILENCE],
    }


@pytest.mark.parametrize("name", list(scenarios()))
def test_no_error_shows_the_key_or_holds_a_foreign_type(name: str) -> None:
    """
    Whatever goes wrong: one of ours, picklable, and its text, fields, causes and locals do not hold the key.
    """

    async def story() -> None:
        async with (
            RawServer(scenarios()[name]) as server,
            Client(server.url, api_key=KEY, organization="org-1", retry=RetryPolicy.none()) as client,
        ):
            with pytest.raises(RateLimitClientError) as caught:
                await client.post("/v1/chat/completions", json=CHAT, deadline=5)
            # The frames of this test hold the server, which holds what was sent.
            caught.value.__traceback__ = None
            shown = everything_in(caught.value) + repr(client) + repr(client.limiter)
        assert KEY not in shown
        assert KEY[3:] not in shown
        assert KEY.encode() not in pickle.dumps(caught.value)
        chain: BaseException | None = caught.value
        while chain is not None:
            assert not type(chain).__module__.startswith(("aiohttp", "httpx"))
            chain = chain.__cause__ or chain.__context__

    tell(story)


def test_cancellation_is_never_wrapped() -> None:
    """
    In the queue, while connecting, while waiting for the answer, while reading it: CancelledError, as it is.
    """

    async def story() -> None:
        loop: Any = asyncio.get_running_loop()
        half: list[Any] = [answer(b"x" * 100)[:-50], Move.SILENCE]
        for conversation in ([Move.SILENCE], half):
            async with RawServer(conversation) as server, Client(server.url, api_key=KEY) as client:
                await cancelled(client)
        async with RawServer([answer()]) as server:
            async with Client(server.url, api_key=KEY, quotas="1/day") as client:
                await client.get("/x")
                await cancelled(client)
            loop.net.route = lambda host, port, number: Route(connect=Connect.BLACK_HOLE)
            async with Client(server.url, api_key=KEY) as client:
                await cancelled(client)

    async def cancelled(client: Client) -> None:
        task = asyncio.create_task(client.get("/x"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert type(caught.value) is asyncio.CancelledError
        assert caught.value.__cause__ is None

    tell(story)


def test_errors_carry_evidence() -> None:
    """
    Fields for machines; for people what happened, the number, whose limit, what was done and what to do.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=1, tokens=200_000))
        with pytest.raises(CostExceedsQuota) as large:
            limiter.permit_nowait(tokens=250_000)
        for part in ("250,000", "200,000", "60 s", "split"):
            assert part in str(large.value)
        limiter.permit_nowait().finish()
        with pytest.raises(WouldBlock, match="nothing was sent") as later:
            limiter.permit_nowait()
        assert later.value.ready_in_s == pytest.approx(60, abs=1)

        async with serve_model(api_keys={KEY}) as url, Client(url, api_key="sk-wrong-12345678") as client:
            with pytest.raises(AuthenticationFailed, match="check the API key") as refused:
                await client.post("/chat/completions", json=CHAT)
            assert "sk-wrong-1234" not in str(refused.value) + refused.value.body_excerpt

    tell(story)


def test_a_pickled_error_of_a_real_call_comes_back_whole() -> None:
    """
    Signals, attempts, request id: all of it crosses a process.
    """

    async def story() -> BaseException:
        async with serve_model(latency=10) as url, Client(url, api_key=KEY) as client:
            with pytest.raises(DeadlineExceeded) as caught:
                await client.post("/chat/completions", json=CHAT, deadline=1)
            await asyncio.sleep(10)
        return caught.value

    error = tell(story)
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), vars(twin)) == (str(error), vars(error))
