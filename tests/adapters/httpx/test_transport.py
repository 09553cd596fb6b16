"""A request through the limiter: sent when it may, again as the policy says, and answered as the server did."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ratelimit_client import (
    Closed,
    ConfigurationError,
    CostExceedsQuota,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    QueueFull,
    RateLimitClientError,
    RetryPolicy,
    Throttled,
    per_hour,
)
from ratelimit_client.adapters import httpx as ours
from ratelimit_client.adapters.httpx import limited_transport
from ratelimit_client.adapters.httpx.exchange import MOST_OF_AN_ERROR
from tests import canary
from tests.adapters.httpx.scripted import (
    BODY,
    MODULES,
    NO_QUOTA,
    QUICK,
    RATE_LIMITED,
    URL,
    Said,
    Scripted,
    client_of,
    limiter_of,
    refusal,
    run,
)
from tests.runtime.torture import level

OVER = "x-should-retry"


def names(module: Any) -> str:
    return module.__name__


both = pytest.mark.parametrize("module", MODULES, ids=names)


@both
@pytest.mark.parametrize(
    ("answers", "calls", "status", "left", "final"),
    [
        ([Said()], 1, 200, 99, None),
        ([refusal(), Said()], 2, 200, 1, None),
        ([Said(503), Said()], 2, 200, 98, None),
        ([refusal(), refusal(), refusal()], 3, 429, 0, "false"),
        ([Said(500)] * 5, 5, 500, 95, "false"),
        ([Said(429, NO_QUOTA)], 1, 429, 99, "false"),
        ([Said(401)], 1, 401, 99, "false"),
        ([Said(400)], 1, 400, 99, "false"),
    ],
)
def test_what_comes_out_is_an_answer(
    module: Any, answers: list[Said], calls: int, status: int, left: int, final: str | None
) -> None:
    """
    A success at once; an error that may pass after as many tries as the policy has; any other at once, and final.
    """
    limiter, server = limiter_of(), Scripted(*answers)

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            answer = await client.post(URL, json=BODY)
            assert (answer.status_code, answer.headers.get(OVER)) == (status, final)
            assert answer.content == answers[-1].raw
            assert level(limiter, key="gpt-4o") <= left

    run(main, limiter)
    assert len(server.requests) == calls
    assert server.bodies == [server.bodies[0]] * calls
    assert all(said.closed for said in answers)


@both
def test_without_retries_of_ours_the_answer_is_the_servers(module: Any) -> None:
    """
    Whoever switches ours off leaves the SDK to its own: nothing is added.
    """
    limiter, server = limiter_of(), Scripted(refusal())

    async def main() -> None:
        async with client_of(module, limiter, server, retry=RetryPolicy.none()) as client:
            answer = await client.post(URL, json=BODY)
            assert (answer.status_code, OVER in answer.headers) == (429, False)

    run(main, limiter)


@both
def test_a_connection_that_fails_is_tried_again_and_then_told_as_it_was(module: Any) -> None:
    """
    The exception is the library's own, the last of several, and costs nothing when nothing was sent.
    """
    limiter = limiter_of()
    failures = [module.ConnectError(f"number {number}") for number in range(5)]
    server = Scripted(*failures)

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            with pytest.raises(module.ConnectError, match="number 4"):
                await client.post(URL, json=BODY)

    run(main, limiter)
    assert len(server.requests) == 5
    assert level(limiter, key="gpt-4o") == 100


@both
def test_what_was_never_sent_raises_an_error_of_this_library(module: Any) -> None:
    """
    A full queue, a deadline in it, a cost that can never be: said in our words, which are no words of httpx.
    """
    limiter = limiter_of(max_in_flight=1, max_queue=1)
    server = Scripted(Said(), Said(), latency_s=10)

    async def late(client: Any) -> RateLimitClientError:
        with limiter.call_options(deadline=2), pytest.raises(DeadlineExpiredInQueue) as caught:
            await client.post(URL, json=BODY)
        return caught.value

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            with limiter.call_options(cost={"requests": 101}), pytest.raises(CostExceedsQuota):
                await client.post(URL, json=BODY)
            first = asyncio.create_task(client.post(URL, json=BODY))
            await asyncio.sleep(0)
            second = asyncio.create_task(late(client))
            await asyncio.sleep(0)
            with pytest.raises(QueueFull):
                await client.post(URL, json=BODY)
            error = await second
            assert not isinstance(error, module.HTTPError)
            assert (await first).status_code == 200
            limiter.close()
            with pytest.raises(Closed):
                await client.post(URL, json=BODY)

    run(main, limiter)
    assert len(server.requests) == 1


@both
def test_a_deadline_ends_a_request_under_way(module: Any) -> None:
    """
    It was sent and no answer began in time.
    """
    limiter, server = limiter_of(), Scripted(Said(), latency_s=10)

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            with limiter.call_options(deadline=2), pytest.raises(DeadlineExceeded):
                await client.post(URL, json=BODY)

    assert run(main, limiter) == 2.0
    assert level(limiter, key="gpt-4o") == 99


@both
def test_a_deadline_that_cannot_be_kept_is_told_at_once(module: Any) -> None:
    """
    Where the limits are known, nobody waits in vain.
    """
    limiter = limiter_of(retry=QUICK)
    limiter.set_quotas(per_hour(requests=1))
    server = Scripted(Said())

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            await client.post(URL, json=BODY)
            with limiter.call_options(deadline=2), pytest.raises(DeadlineUnreachable):
                await client.post(URL, json=BODY)

    assert run(main, limiter) < 1


@both
def test_a_queue_closed_by_another_calls_answer_says_whose_word_it_is(module: Any) -> None:
    """
    One was told to come back tomorrow; the next is told so without having been sent.
    """
    limiter, server = limiter_of(), Scripted(refusal(**{"retry-after": "86400"}))

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            assert (await client.post(URL, json=BODY)).status_code == 429
            with pytest.raises(Throttled) as caught:
                await client.post(URL, json=BODY)
            assert caught.value.attempts == 0

    run(main, limiter)


@both
def test_no_timeout_of_the_client_counts_the_wait(module: Any) -> None:
    """
    A request that waits for 1.5 s passes with a timeout of 0.5 s, and its timeouts are what the client said.
    """
    limiter = limiter_of(max_in_flight=1)
    server = Scripted(Said(), Said(), latency_s=1.5)

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            answers = await asyncio.gather(*(client.post(URL, json=BODY, timeout=0.5) for _ in range(2)))
            assert [answer.status_code for answer in answers] == [200, 200]

    assert run(main, limiter) == 3.0
    assert server.timeouts == [{"connect": 0.5, "read": 0.5, "write": 0.5, "pool": 0.5}] * 2


# -- bodies that can be sent once -----------------------------------------------------------------


async def once() -> AsyncIterator[bytes]:
    yield b"some"
    yield b"thing"


@both
def test_a_body_that_is_gone_is_not_sent_again(module: Any) -> None:
    """
    A generator that was begun is not replayed, and whoever made it may do so: nothing tells him not to.
    """
    limiter, server = limiter_of(), Scripted(refusal(), Said())

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            answer = await client.post(URL, content=once())
            assert (answer.status_code, OVER in answer.headers) == (429, False)

    run(main, limiter)
    assert server.bodies == [b"something"]


@both
def test_a_body_that_nobody_has_begun_is_still_whole(module: Any) -> None:
    """
    A connection that could not be made has not touched it.
    """
    limiter = limiter_of()
    server = Scripted(module.ConnectError("no"), Said())

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            assert (await client.post(URL, content=once())).status_code == 200

    run(main, limiter)
    assert server.bodies == [b"something"]


@both
def test_a_form_names_its_model(module: Any) -> None:
    """
    A transcription is charged to the model that stands in the form.
    """
    limiter, server = limiter_of(), Scripted(Said())

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            await client.post(URL, data={"model": "whisper-1"}, files={"file": ("a.wav", b"RIFF")})

    run(main, limiter)
    assert set(limiter.statistics().keys) == {"whisper-1"}


# -- errors as they came --------------------------------------------------------------------------


@both
def test_an_error_that_was_packed_is_understood_and_stays_packed(module: Any) -> None:
    """
    What the body says decides, and the caller unpacks the same bytes.
    """
    packed = gzip.compress(json.dumps(NO_QUOTA).encode())
    limiter, server = limiter_of(), Scripted(Said(429, packed, {"content-encoding": "gzip"}))

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            assert (await client.post(URL, json=BODY)).json() == NO_QUOTA

    run(main, limiter)
    assert len(server.requests) == 1


@both
@pytest.mark.parametrize("broken", ["cut", "endless", "garbage"])
def test_an_error_whose_body_is_of_no_use_is_its_head(module: Any, broken: str) -> None:
    """
    One that breaks off, never ends or is not what it says it is: the status stands.
    """
    saids = {
        "cut": Said(429, RATE_LIMITED, breaks=module.ReadError("gone")),
        "endless": Said(429, b"x" * (3 * MOST_OF_AN_ERROR), parts=48),
        "garbage": Said(429, b"no gzip at all", {"content-encoding": "gzip"}),
    }
    limiter, server = limiter_of(), Scripted(saids[broken])

    async def main() -> None:
        client = client_of(module, limiter, server, retry=RetryPolicy(max_refusals=0, max_attempts=1))
        async with client, client.stream("POST", URL, json=BODY) as answer:
            assert answer.status_code == 429
            read = b"".join([part async for part in answer.aiter_raw()])
            assert saids[broken].raw.startswith(read)
            assert len(read) <= MOST_OF_AN_ERROR

    run(main, limiter)


@both
def test_a_redirect_is_two_requests(module: Any) -> None:
    """
    The client follows it, above the transport: each hop has its turn and its charge.
    """
    limiter = limiter_of()
    server = Scripted(Said(307, b"", {"location": "/v1/elsewhere"}), Said())

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            assert (await client.post(URL, json=BODY, follow_redirects=True)).status_code == 200

    run(main, limiter)
    assert [request.url.path for request in server.requests] == ["/v1/chat/completions", "/v1/elsewhere"]
    assert level(limiter, key="gpt-4o") == 98


# -- where it is made -----------------------------------------------------------------------------


def test_the_ready_ones_are_for_httpx() -> None:
    """
    Asked for by name, the transport is httpx's; it is made once.
    """
    httpx = MODULES[0]

    assert ours.LimitedTransport is limited_transport(httpx)
    assert issubclass(ours.LimitedTransport, httpx.AsyncBaseTransport)
    assert issubclass(ours.LimitedSyncTransport, httpx.BaseTransport)
    with pytest.raises(AttributeError, match="Limitde"):
        ours.LimitdeTransport


def test_what_is_missing_is_named_with_its_remedy() -> None:
    """
    Without the extra the message is the command that installs it.
    """
    from ratelimit_client.adapters.httpx import extra

    extra._INSTALL["no_such_module"] = "pip install 'it'"
    try:
        with pytest.raises(ConfigurationError, match="pip install 'it'"):
            extra.needed("no_such_module")
    finally:
        del extra._INSTALL["no_such_module"]


@both
def test_no_repr_shows_the_key(module: Any) -> None:
    """
    Neither the transport's, nor the client's, nor the limiter's.
    """
    limiter, server = limiter_of(), Scripted(Said())

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            answer = await client.post(URL, json=BODY)
            transport = client._transport
            shown = [transport, transport._way, transport._way._whose, answer.stream, limiter, limiter._scopes]
            canary.clean(" ".join(map(repr, shown)), "a repr")
            canary.clean(repr(transport._way._whose._senders._scopes), "what stands for credentials")

    run(main, limiter)


@both
@pytest.mark.parametrize("how", ["closed", "late", "throttled", "broken"])
def test_no_error_shows_the_key(module: Any, how: str) -> None:
    """
    Not even to a crash reporter that sends the locals of every frame.
    """
    limiter = limiter_of()
    answers = {
        "closed": Said(),
        "late": Said(),
        "throttled": refusal(**{"retry-after": "86400"}),
        "broken": module.ReadError("gone"),
    }
    server = Scripted(*[answers[how]] * 5, latency_s=3.0)

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            if how == "closed":
                limiter.close()
            if how == "throttled":
                await client.post(URL, json=BODY)
            with limiter.call_options(deadline=1 if how == "late" else None), pytest.raises(Exception) as caught:
                await client.post(URL, json=BODY)
            canary.clean(canary.told(caught.value), "an error")

    run(main, limiter)
