"""The client as the contract describes it: what may be typed, what the environment says, whose key goes where."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from ratelimit_client import (
    AuthenticationFailed,
    Client,
    ConfigurationError,
    Limiter,
    ResponseError,
    RetryPolicy,
    Timeout,
    TransportError,
    per_minute,
)
from ratelimit_client.testing import Connect, Route, serve_model
from tests.acceptance.library import CHAT, KEY, NO_ENVIRONMENT, OTHER_KEY, QUICK, at_zero, now_s, tell, tell_and_time
from tests.adapters.aiohttp.rawserver import Move, RawServer, answer


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NO_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def test_what_a_client_may_be_told() -> None:
    """
    One positional argument, the rest by name, with the documented defaults.
    """
    parameters = inspect.signature(Client).parameters

    assert {name: each.default for name, each in parameters.items()} == {
        "base_url": None,
        "api_key": None,
        "organization": None,
        "project": None,
        "limiter": None,
        "quotas": (),
        "shared": (),
        "name": "default",
        "dialect": "auto",
        "max_in_flight": None,
        "retry": RetryPolicy(),
        "timeout": Timeout(connect_s=10, idle_s=600),
        "headers": None,
        "default_query": None,
        "session": None,
        "allow_insecure": False,
    }
    assert [name for name, each in parameters.items() if each.kind is not each.KEYWORD_ONLY] == ["base_url"]


def test_what_a_request_may_be_told() -> None:
    """
    Method and path, then the documented names; get and post take the same.
    """
    parameters = list(inspect.signature(Client.request).parameters)

    assert parameters[1:] == [
        *("method", "path", "json", "data", "files", "params", "headers", "key", "cost", "tokens"),
        *("priority", "tenant", "deadline", "idempotency_key"),
    ]


def test_the_environment_speaks_where_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Key, base URL, organization and project come from OPENAI_*; an argument beats each of them.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server:
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/v1")
            monkeypatch.setenv("OPENAI_ORG_ID", "org-environment")
            monkeypatch.setenv("OPENAI_PROJECT_ID", "proj_environment")
            async with Client() as client:
                await client.post("/chat/completions", json=CHAT)
            async with Client(
                server.url + "/other", api_key=OTHER_KEY, organization="org-typed", project="proj_typed"
            ) as client:
                await client.post("/chat/completions", json=CHAT)
        first, second = server.requests
        assert first.line == "POST /v1/chat/completions HTTP/1.1"
        assert first.headers["authorization"] == f"Bearer {KEY}"
        assert first.headers["openai-organization"] == "org-environment"
        assert first.headers["openai-project"] == "proj_environment"
        assert second.line == "POST /other/chat/completions HTTP/1.1"
        assert second.headers["authorization"] == f"Bearer {OTHER_KEY}"
        assert second.headers["openai-organization"] == "org-typed"
        assert second.headers["openai-project"] == "proj_typed"

    tell(story)


def test_openai_without_a_key_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No key and api.openai.com: nothing is begun, and the sentence says what to set.
    """
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        Client()
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        Client("https://api.openai.com/v1", api_key="  ")

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert KEY not in repr(Client())


def test_elsewhere_no_key_is_no_header() -> None:
    """
    A server that needs no key gets no Authorization.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server, Client(server.url) as client:
            await client.post("/chat/completions", json=CHAT)
        assert "authorization" not in server.requests[0].headers

    tell(story)


def test_the_key_follows_no_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A server that points to another origin gets neither the key nor the prompt sent there: the answer is an error.
    """
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async def story() -> None:
        async with RawServer([answer()]) as stranger:
            away = answer(b"", status="307 Temporary Redirect", Location=stranger.url + "/v1/chat/completions")
            async with RawServer([away]) as server, Client(server.url, retry=QUICK) as client:
                with pytest.raises(ResponseError) as caught:
                    await client.post("/v1/chat/completions", json=CHAT)
                assert caught.value.status == 307
                assert len(server.requests) == 1
            assert stranger.connections == 0

    tell(story)


@pytest.mark.parametrize("path", ["//evil.example/x", "http://evil.example/x", "/v1/../x", "/v1/%2e%2e/x", "/x?y=1"])
def test_a_path_cannot_leave_the_origin(path: str) -> None:
    """
    What names another host, climbs, or hides a query is refused before anything is sent.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server, Client(server.url, api_key=KEY) as client:
            with pytest.raises(ConfigurationError, match="nothing was sent"):
                await client.get(path)
            assert server.connections == 0
            assert at_zero(client)

    tell(story)


@pytest.mark.parametrize(
    "url", ["http://example.com/v1", "http://10.0.0.1/v1", "http://localhost.example.com", "http://169.254.169.254"]
)
def test_plain_http_stays_on_this_machine(url: str) -> None:
    """
    http is for loopback; anything else needs https, or allow_insecure.
    """
    with pytest.raises(ConfigurationError, match="allow_insecure"):
        Client(url, api_key=KEY)

    Client(url, api_key=KEY, allow_insecure=True)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.9.1"])
def test_loopback_may_be_plain(host: str) -> None:
    """
    Every name and number that can only be this machine.
    """
    Client(f"http://{host}/v1", api_key=KEY)


# -- sources of a key --------------------------------------------------------------------------


def typed(keys: Iterator[str]) -> str:
    return next(keys)


def sync(keys: Iterator[str]) -> Callable[[], str]:
    return lambda: next(keys)


def asynchronous(keys: Iterator[str]) -> Callable[[], Awaitable[str]]:
    async def ask() -> str:
        await asyncio.sleep(0.01)
        return next(keys)

    return ask


@pytest.mark.parametrize("source", [typed, sync, asynchronous], ids=lambda source: source.__name__)
def test_a_key_is_text_or_comes_from_a_callable(source: Any) -> None:
    """
    A string, a function or a coroutine function: each call carries what it gave.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server, Client(server.url, api_key=source(iter([KEY]))) as client:
            await client.post("/chat/completions", json=CHAT)
            await client.post("/chat/completions", json=CHAT)
        assert [each.headers["authorization"] for each in server.requests] == [f"Bearer {KEY}"] * 2

    tell(story)


@pytest.mark.parametrize("source", [sync, asynchronous], ids=lambda source: source.__name__)
def test_a_key_from_a_callable_is_kept_for_a_minute(source: Any) -> None:
    """
    Ledger: asked at 0 s, used at 59 s, asked again at 61 s.
    """
    keys = iter(["sk-first-0000", "sk-second-0000", "sk-third-0000"])

    async def story() -> None:
        async with RawServer([answer()]) as server, Client(server.url, api_key=source(keys)) as client:
            for wait_s in (0, 59, 2):
                await asyncio.sleep(wait_s)
                await client.get("/models")
        used = [each.headers["authorization"].removeprefix("Bearer ") for each in server.requests]
        assert used == ["sk-first-0000", "sk-first-0000", "sk-second-0000"]

    tell(story)


def test_many_calls_ask_for_the_key_once() -> None:
    """
    Fifty calls at once ask a slow vault once, and so do fifty that are refused with 401.
    """
    asked: list[float] = []

    async def vault() -> str:
        asked.append(now_s())
        await asyncio.sleep(1)
        return KEY if len(asked) > 1 else OTHER_KEY

    async def story() -> None:
        async with serve_model(api_keys={KEY}) as url, Client(url, api_key=vault) as client:
            replies = await asyncio.gather(*(client.post("/chat/completions", json=CHAT) for _ in range(50)))
            assert {reply.status for reply in replies} == {200}
            assert len(asked) == 2
            assert at_zero(client)

    tell(story)


def test_a_rejected_key_is_asked_for_once_more_and_then_it_is_over() -> None:
    """
    401 with a key from a callable: one more question, one more try, then AuthenticationFailed.
    """
    keys = iter(f"sk-wrong-{number:04}" for number in range(10))

    async def story() -> int:
        async with serve_model(api_keys={KEY}) as url, Client(url, api_key=sync(keys), retry=QUICK) as client:
            with pytest.raises(AuthenticationFailed) as caught:
                await client.post("/chat/completions", json=CHAT)
            assert caught.value.status == 401
            assert "sk-wrong" not in str(caught.value)
            assert at_zero(client)
            return url.tally.calls

    assert tell(story) == 2
    assert next(keys) == "sk-wrong-0002"


def test_a_typed_key_that_is_rejected_is_not_tried_again() -> None:
    """
    Nobody to ask: one call, one error.
    """

    async def story() -> int:
        async with serve_model(api_keys={KEY}) as url, Client(url, api_key=OTHER_KEY, retry=QUICK) as client:
            with pytest.raises(AuthenticationFailed):
                await client.post("/chat/completions", json=CHAT)
            return url.tally.calls

    assert tell(story) == 1


# -- the rest of the constructor ---------------------------------------------------------------


def test_quotas_shared_and_in_flight_reach_the_limiter() -> None:
    """
    A client's own limiter holds what was typed at the client, under its name.
    """
    client = Client(
        "http://127.0.0.1:1",
        api_key=KEY,
        name="mine",
        quotas={"gpt-4o": "60 requests/min", "*": "30 requests/min"},
        shared="70 requests/min",
        max_in_flight=3,
    )
    assert client.limiter.name == "mine"

    async def story() -> None:
        permits = [client.limiter.permit_nowait(key="gpt-4o") for _ in range(3)]
        assert client.limiter.explain(key="gpt-4o").binding == "slots"
        buckets = client.limiter.statistics().keys["gpt-4o"].buckets
        assert {name: bucket.limit for name, bucket in buckets.items()} == {"requests": 60, "shared requests": 70}
        for permit in permits:
            permit.finish()

    tell(story)


def test_a_limiter_of_ones_own_is_used_and_left_open() -> None:
    """
    Two clients on one limiter spend one budget; closing a client does not close it.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=100))
        async with serve_model(per_minute(requests=1000)) as url:
            options: Any = {"api_key": KEY, "limiter": limiter}
            async with Client(url, **options) as one, Client(url, **options) as two:
                await one.post("/chat/completions", json=CHAT)
                await two.post("/chat/completions", json=CHAT)
            assert limiter.statistics().keys["gpt-4o"].granted == 2
            async with limiter.permit(key="gpt-4o"):
                pass
        with pytest.raises(ConfigurationError):
            Client(url, api_key=KEY, limiter=limiter, quotas="5/s")

    tell(story)


def test_headers_and_default_query_go_with_every_request() -> None:
    """
    Standing headers and parameters are sent each time; what a call says replaces them; what is ours cannot be set.
    """

    async def story() -> None:
        async with (
            RawServer([answer()]) as server,
            Client(server.url, headers={"X-Team": "a"}, default_query={"api-version": "2024-10-21"}) as client,
        ):
            await client.get("/models")
            await client.get("/models", params={"limit": 3}, headers={"x-team": "b"})
            await client.get("/models", params={"api-version": "preview"})
        lines = [each.line.split()[1] for each in server.requests]
        assert lines == [
            "/models?api-version=2024-10-21",
            "/models?api-version=2024-10-21&limit=3",
            "/models?api-version=preview",
        ]
        assert [each.headers["x-team"] for each in server.requests] == ["a", "b", "a"]
        for name in ("Authorization", "Host", "Content-Length", "Transfer-Encoding"):
            with pytest.raises(ConfigurationError, match=name):
                Client("http://127.0.0.1:1", headers={name: "x"})

    tell(story)


def test_a_session_of_ones_own_is_used_and_stays_open() -> None:
    """
    Its connections carry the calls; the client closes what is its own and nothing else.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server, aiohttp.ClientSession() as session:
            async with Client(server.url, api_key=KEY, session=session) as client:
                await client.post("/chat/completions", json=CHAT)
            assert not session.closed
            assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
            assert KEY not in repr(session.headers)

    tell(story)


def test_silence_has_a_bound_and_the_whole_has_none() -> None:
    """
    idle_s is without any byte: an answer that comes in pieces for a minute arrives, one that stops for 5 s does not.
    """

    async def story() -> None:
        slowly: list[Any] = [answer(b'{"n":"1234567890"}')[:-12]]
        for byte in answer(b'{"n":"1234567890"}')[-12:]:
            slowly += [4.5, bytes([byte])]
        stuck = [answer(b'{"n":1}')[:-3], Move.SILENCE]
        timeout = Timeout(connect_s=1, idle_s=5)
        async with RawServer(slowly) as server, Client(server.url, timeout=timeout) as client:
            assert (await client.get("/x")).data == {"n": "1234567890"}
        async with RawServer(stuck) as server, Client(server.url, timeout=timeout, retry=RetryPolicy.none()) as client:
            began = now_s()
            with pytest.raises(Exception, match="stopped"):
                await client.get("/x")
            assert 5 <= now_s() - began <= 11

    tell(story)


def test_a_host_that_does_not_answer_the_door_has_its_own_bound() -> None:
    """
    connect_s ends the attempt with a TransportError that says nothing was sent.
    """

    async def story() -> None:
        loop: Any = asyncio.get_running_loop()
        async with RawServer([answer()]) as server:
            loop.net.route = lambda host, port, number: Route(connect=Connect.BLACK_HOLE)
            async with Client(server.url, timeout=Timeout(connect_s=2), retry=RetryPolicy.none()) as client:
                with pytest.raises(TransportError) as caught:
                    await client.get("/x")
                assert caught.value.unsent
                assert at_zero(client)

    _, seconds = tell_and_time(story)
    assert seconds == pytest.approx(2, abs=0.01)
