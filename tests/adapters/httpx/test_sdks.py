"""Under the SDKs themselves, against the model server, over real sockets."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest

from ratelimit_client import (
    Backoff,
    Closed,
    ConfigurationError,
    DeadlineExceeded,
    Limiter,
    RateLimitClientError,
    RetryPolicy,
    per_minute,
)
from ratelimit_client.adapters.httpx import anthropic as under_anthropic
from ratelimit_client.adapters.httpx import openai as under_openai
from ratelimit_client.core.events import Event, Kind
from ratelimit_client.testing import Faults, ModelServer, ModelURL, serve_model
from tests import canary
from tests.runtime.torture import at_rest

CALL: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
QUICK = RetryPolicy(backoff=Backoff(base_s=0.01, cap_s=0.01, floor_s=0.01))


@asynccontextmanager
async def sdk(limiter: Limiter, url: str, **options: Any) -> AsyncIterator[Any]:
    """The OpenAI SDK as its users make it, but for the client underneath."""
    http = under_openai.http_client(limiter, **options)
    async with openai.AsyncOpenAI(api_key=canary.KEY, base_url=str(url), http_client=http) as client:
        yield client


def run(
    limiter: Limiter, use: Callable[[Any, ModelURL], Any], server: ModelServer | None = None, **options: Any
) -> ModelURL:
    """Serve, make a client, use it, and look that nothing is left in the limiter's books."""

    async def main() -> ModelURL:
        async with serve_model(server or ModelServer(per_minute(requests=600), latency=0.0)) as url:
            async with sdk(limiter, url, **options) as client:
                await use(client, url)
            gc.collect()
            await asyncio.sleep(0)
            at_rest(limiter)
            return url

    return asyncio.run(main())


def test_an_answer_is_the_sdks_own() -> None:
    """
    Parsed, raw, with its request ID: as without us, and the limiter has learnt its limits.
    """
    limiter = Limiter()

    async def use(client: Any, url: ModelURL) -> None:
        answer = await client.chat.completions.create(**CALL)
        assert answer.choices[0].message.content
        assert answer._request_id.startswith("req_")
        raw = await client.chat.completions.with_raw_response.create(**CALL)
        assert raw.headers["x-request-id"].startswith("req_")
        assert raw.parse().usage.total_tokens > 0
        async with client.chat.completions.with_streaming_response.create(**CALL) as streamed:
            assert b"choices" in await streamed.read()
        assert limiter.statistics().keys["gpt-4o"].buckets["requests"].limit == 600

    assert run(limiter, use).tally.calls == 3


def test_a_failure_is_made_up_for_and_the_sdk_hears_nothing_of_it() -> None:
    """
    A third of the calls fails at first: all are answered, each by one answer.
    """
    limiter = Limiter(retry=QUICK)
    server = ModelServer(per_minute(requests=600), latency=0.0, faults=Faults(overloaded=0.3), seed=3)

    async def use(client: Any, url: ModelURL) -> None:
        answers = await asyncio.gather(*(client.chat.completions.create(**CALL, user=str(n)) for n in range(12)))
        assert len({answer.id for answer in answers}) == 12

    tally = run(limiter, use, server).tally
    assert tally.answered == {str(n): 1 for n in range(12)}
    assert tally.calls > 12


@pytest.mark.parametrize(
    ("retry", "calls"), [(RetryPolicy(max_refusals=0, max_attempts=2, budget=0.0), 1), (RetryPolicy.none(), 3)]
)
def test_the_sdk_retries_only_where_we_do_not(retry: RetryPolicy, calls: int) -> None:
    """
    With ours on, one refusal that is final is one call; with ours off, the SDK makes its own three.
    """
    limiter = Limiter(retry=retry)
    server = ModelServer(per_minute(requests=600), latency=0.0, faults=Faults(server_error=1.0))

    async def use(client: Any, url: ModelURL) -> None:
        quick = client.with_options(max_retries=2)
        with pytest.raises(openai.InternalServerError) as caught:
            await quick.chat.completions.create(**CALL)
        assert caught.value.request_id is not None
        assert caught.value.body

    url = run(limiter, use, server)
    assert url.tally.calls == calls


async def read_whole(stream: Any) -> None:
    assert [chunk async for chunk in stream][-1].choices == []


async def left_early(stream: Any) -> None:
    async for _ in stream:
        break
    await stream.close()


async def dropped(stream: Any) -> None:
    async for _ in stream:
        break


@pytest.mark.parametrize("end", [read_whole, left_early, dropped], ids=lambda end: end.__name__)
def test_a_stream_holds_its_place_to_its_end(end: Callable[[Any], Any]) -> None:
    """
    Read to its end, closed or forgotten: afterwards nothing is held, and a whole one has told what it used.
    """
    seen: list[Event] = []
    limiter = Limiter(on_event=seen.append)

    async def use(client: Any, url: ModelURL) -> None:
        stream = await client.chat.completions.create(**CALL, stream=True, stream_options={"include_usage": True})
        assert limiter.in_flight == 1
        await end(stream)
        del stream
        for turn in range(30):
            if turn % 10 == 0:
                gc.collect()
            await asyncio.sleep(0)
        assert limiter.in_flight == 0

    run(limiter, use)
    told = any(event.kind is Kind.SETTLED for event in seen)
    assert told or end is not read_whole


def test_a_quota_that_is_used_up_is_told_once() -> None:
    """
    The SDK would try two times more: it is told that there is no use.
    """
    limiter = Limiter(retry=QUICK)

    async def use(client: Any, url: ModelURL) -> None:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(**CALL)
        assert caught.value.code == "insufficient_quota"

    url = run(limiter, use, ModelServer(per_minute(requests=600), latency=0.0, quota_after=0))
    assert url.tally.calls == 1


def test_what_was_not_sent_is_our_error_and_the_sdks() -> None:
    """
    Both ``except`` clauses find it, it comes at once, and where it travels it is ours alone.
    """
    limiter = Limiter()

    async def use(client: Any, url: ModelURL) -> None:
        limiter.close()
        with pytest.raises(Closed) as caught:
            await client.chat.completions.create(**CALL)
        error = caught.value
        assert isinstance(error, openai.OpenAIError)
        assert not isinstance(error, openai.APIConnectionError)
        assert type(pickle.loads(pickle.dumps(error))) is Closed
        assert type(copy.copy(error)) is Closed
        canary.clean(repr(error) + str(error), "an error")

    assert run(limiter, use).tally.calls == 0


def test_a_deadline_is_per_call() -> None:
    """
    The one that takes too long ends at its time; the next has a time of its own.
    """
    limiter = Limiter()

    async def use(client: Any, url: ModelURL) -> None:
        with limiter.call_options(deadline=0.1):
            with pytest.raises(DeadlineExceeded) as caught:
                await client.chat.completions.create(**CALL)
            assert isinstance(caught.value, openai.OpenAIError)
            assert isinstance(caught.value, TimeoutError)

    run(limiter, use, ModelServer(per_minute(requests=600), latency=5.0))


def test_a_connection_that_cannot_be_made_is_the_sdks_error_and_final() -> None:
    """
    Tried as often as our policy says and no more; then it is what the SDK's users know.
    """
    limiter = Limiter(retry=QUICK)
    tried: list[str] = []

    async def main() -> None:
        async with sdk(limiter, "http://127.0.0.1:9/v1") as client:

            async def seen(name: str, info: Any) -> None:
                if name == "connection.connect_tcp.started":
                    tried.append(name)

            http = client._client

            async def listen(request: Any) -> None:
                request.extensions = {**request.extensions, "trace": seen}

            http.event_hooks["request"] = [listen]
            with pytest.raises(openai.APIConnectionError):
                await client.chat.completions.create(**CALL)

    asyncio.run(main())
    assert len(tried) == QUICK.max_attempts
    at_rest(limiter)


def test_anthropic_is_served_by_the_same_code() -> None:
    """
    Its errors are made as the server's, and those of ours are its own as well.
    """
    limiter = Limiter(dialect="anthropic")

    async def main() -> None:
        async with serve_model(per_minute(requests=600), latency=0.0) as url:
            http = under_anthropic.http_client(limiter)
            async with anthropic.AsyncAnthropic(api_key=canary.KEY, base_url=str(url), http_client=http) as client:
                with pytest.raises(anthropic.NotFoundError):
                    await client.messages.create(model="claude", max_tokens=10, messages=CALL["messages"])
                limiter.close()
                with pytest.raises(Closed) as caught:
                    await client.messages.create(model="claude", max_tokens=10, messages=CALL["messages"])
                assert isinstance(caught.value, anthropic.AnthropicError)
            assert url.tally.calls <= 1

    asyncio.run(main())
    at_rest(limiter)


# -- what stays of the SDK's client ---------------------------------------------------------------


def test_the_sdks_proxies_pool_and_timeouts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The client is the SDK's default, proxies of the environment included, and its pool is as wide as the limiter.
    """
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:3128")
    plain = openai.DefaultAsyncHttpxClient()
    ours = under_openai.http_client(Limiter(max_in_flight=1500))

    assert type(ours) is type(plain)
    assert ours.timeout == plain.timeout
    assert [str(pattern.pattern) for pattern in ours._mounts] == [str(pattern.pattern) for pattern in plain._mounts]
    wrapped = [ours._transport, *filter(None, ours._mounts.values())]
    assert len(wrapped) > 1
    assert {transport.inner._pool._max_connections for transport in wrapped} == {1500}
    assert under_openai.http_client(Limiter(max_in_flight=8))._transport.inner._pool._max_connections == 1000


def test_a_client_of_ones_own_stays_what_it_is() -> None:
    """
    It is wrapped and returned; a pool that is too narrow for the limiter is said and left alone.
    """
    narrow = openai.DefaultAsyncHttpxClient(limits=openai.DEFAULT_CONNECTION_LIMITS.__class__(max_connections=10))

    with pytest.warns(RuntimeWarning, match="holds 10 connections and the limiter lets 64"):
        assert under_openai.http_client(Limiter(max_in_flight=64), base=narrow) is narrow
    assert narrow._transport.inner._pool._max_connections == 10


def test_a_client_is_wrapped_once_and_for_one_kind_of_caller() -> None:
    """
    Twice, or of the wrong kind, is a mistake that is named.
    """
    limiter = Limiter()

    with pytest.raises(ConfigurationError, match="under a limiter already"):
        under_openai.http_client(limiter, base=under_openai.http_client(limiter))
    with pytest.raises(ConfigurationError, match="base is for threads: use sync_http_client"):
        under_openai.http_client(limiter, base=openai.DefaultHttpxClient())
    with pytest.raises(ConfigurationError, match="neither a Client nor an AsyncClient"):
        under_openai.http_client(limiter, base=object())


def test_each_error_of_ours_can_be_the_sdks() -> None:
    """
    Whatever this library raises can be an OpenAIError as well, with its fields.
    """

    def below(kind: type[RateLimitClientError]) -> list[type[RateLimitClientError]]:
        return [kind, *(each for one in kind.__subclasses__() if "_plain" not in vars(one) for each in below(one))]

    for kind in below(RateLimitClientError):
        error = kind("what happened", attempts=3)
        told = under_openai._sdk(openai).own(error)
        assert isinstance(told, kind)
        assert isinstance(told, openai.OpenAIError)
        assert str(told) == "what happened"
        assert vars(told) == {"attempts": 3}
