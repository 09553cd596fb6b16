from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ratelimit_client import (
    Client,
    Closed,
    ConfigurationError,
    Cost,
    IncompleteResponse,
    Limiter,
    ModelNotFound,
    Reading,
    RetryPolicy,
    per_minute,
)
from ratelimit_client.testing import serve_model
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.adapters.aiohttp.running import CHAT, KEY, in_virtual_time, ledger_is_even


def test_a_reply_shows_everything():
    """
    Data, bytes and text; who answered and how long it took; what is left; how it was won.
    """

    async def story() -> None:
        async with serve_model(per_minute(requests=100), latency=2.0) as url, Client(url, api_key=KEY) as client:
            reply = await client.post("/chat/completions", json=CHAT)

        assert reply.status == 200
        assert reply.data["choices"][0]["message"]["role"] == "assistant"
        assert reply.json() is reply.data
        assert json.loads(reply.text) == json.loads(reply.content) == reply.data
        assert reply.headers["OPENAI-VERSION"] == reply.version == "2020-10-01"
        assert reply.request_id is not None
        assert reply.request_id.startswith("req_")
        assert (reply.organization, reply.project) == ("org-model-server", "proj_model_server")
        assert reply.processing_ms == 2000
        assert reply.rate_limits == {"requests": Reading(limit=100, remaining=99, reset_s=0.6, window_s=60)}
        assert reply.usage == reply.data["usage"]
        assert (reply.attempts, reply.queue_s) == (1, 0)
        assert repr(reply.request_id) in repr(reply)
        assert ledger_is_even(client)

    in_virtual_time(story)


def test_what_is_no_json_is_bytes():
    """
    Audio is content; text decodes by its charset; json() of either is a typed error.
    """

    async def story() -> None:
        audio = answer(b"ID3\xff", kind="audio/mpeg")
        text = answer("Grüße".encode("latin-1"), kind='text/plain; charset="latin-1"')
        odd = answer(b"ok", kind="text/plain; charset=no-such")
        number = answer(b"5", kind="text/plain")
        async with RawServer([audio], [text], [odd], [number]) as server, Client(server.url, api_key=KEY) as client:
            reply = await client.post("/v1/audio/speech", json={"input": "hello"})
            assert (reply.data, reply.content) == (None, b"ID3\xff")
            assert reply.usage is None
            with pytest.raises(IncompleteResponse, match="is no JSON") as caught:
                reply.json()
            assert caught.value.__context__ is None

            assert (await client.get("/v1/files/f/content")).text == "Grüße"
            assert (await client.get("/v1/files/f/content")).text == "ok"
            assert (await client.get("/v1/files/f/content")).json() == 5

    in_virtual_time(story)


def test_answers_without_a_body():
    """
    204 and the answer to HEAD are whole without one.
    """

    async def story() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        empty = b"HTTP/1.1 204 No Content\r\n\r\n"
        async with RawServer([head], [empty]) as server, Client(server.url, api_key=KEY) as client:
            assert (await client.request("HEAD", "/v1/models")).data is None
            assert (await client.request("DELETE", "/v1/files/f")).content == b""

    in_virtual_time(story)


def test_gzip_is_asked_for_and_undone():
    """
    gzip and nothing else, because nothing else can be checked.
    """

    async def story() -> None:
        zipped = answer(gzip.compress(b'{"a":1}'), content_encoding="gzip")
        async with RawServer([zipped]) as server, Client(server.url, api_key=KEY) as client:
            reply = await client.post("/v1/x", json={})
        assert reply.data == {"a": 1}
        assert server.requests[0].headers["accept-encoding"] == "gzip"

    in_virtual_time(story)


def test_what_is_sent():
    """
    Key, organization and project; the user's headers; a name for the call and one for the attempt; the body as given.
    """

    async def story() -> None:
        options: dict[str, Any] = {
            "organization": "org-1",
            "project": "proj_1",
            "headers": {"X-Team": "a", "X-Both": "1"},
        }
        async with RawServer([answer()]) as server, Client(server.url, api_key=KEY, **options) as client:
            await client.post("/v1/x", json={"a": "é"}, headers={"x-both": "2"}, params={"deep": True})
            await client.get("/v1/x")
            await client.post("/v1/x", data=b'{"a": 1}', headers={"content-type": "application/json"})
            await client.post("/v1/x", files={"file": ("a.txt", io.BytesIO(b"hi"))}, idempotency_key="mine")

        first, second, third, fourth = server.requests
        assert first.line == "POST /v1/x?deep=true HTTP/1.1"
        assert json.loads(first.body) == {"a": "é"}
        assert first.headers["authorization"] == f"Bearer {KEY}"
        assert first.headers["content-type"] == "application/json"
        assert (first.headers["openai-organization"], first.headers["openai-project"]) == ("org-1", "proj_1")
        assert (first.headers["x-team"], first.headers["x-both"]) == ("a", "2")
        assert first.headers["user-agent"].startswith("ratelimit-client/")
        assert first.headers["x-client-request-id"] == first.headers["idempotency-key"] + "-1"
        assert "cookie" not in first.headers

        assert "idempotency-key" not in second.headers
        assert second.headers["x-client-request-id"] != first.headers["x-client-request-id"]
        assert (third.body, third.headers["content-type"]) == (b'{"a": 1}', "application/json")
        assert fourth.headers["idempotency-key"] == "mine"
        assert fourth.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert b'filename="a.txt"' in fourth.body

    in_virtual_time(story)


def test_no_cookie_is_kept():
    """
    What a server wants to be remembered by is forgotten.
    """

    async def story() -> None:
        async with RawServer([answer(set_cookie="a=b")]) as server, Client(server.url, api_key=KEY) as client:
            await client.get("/v1/x")
            await client.get("/v1/x")
        assert "cookie" not in server.requests[1].headers

    in_virtual_time(story)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"json": {"model": "gpt-4o"}}, "gpt-4o"),
        ({"json": b'{"model": "gpt-4o"}'}, "gpt-4o"),
        ({"json": b"not json"}, "default"),
        ({"json": {"model": ""}}, "default"),
        ({"json": {"model": 5}}, "default"),
        ({"json": [1]}, "default"),
        ({"data": b'{"model": "gpt-4o"}'}, "default"),
        ({"json": {"model": "gpt-4o"}, "key": "mine"}, "mine"),
        ({"data": {"model": "whisper-1"}, "files": {"file": b"sound"}}, "whisper-1"),
        ({"data": {"model": "whisper-1"}}, "whisper-1"),
        ({"data": {"model": ["whisper-1", "whisper-2"]}, "files": {"file": b"sound"}}, "default"),
        ({"data": {"model": "whisper-1"}, "files": {"model": b"weights"}}, "default"),
        ({"data": {"model": ""}, "files": {"file": b"sound"}}, "default"),
        ({"data": {"model": "whisper-1"}, "files": {"file": b"sound"}, "tokens": 5}, "whisper-1"),
        ({"data": {"model": "whisper-1"}, "files": {"file": b"sound"}, "key": "mine"}, "mine"),
        ({"files": {"file": b"sound"}}, "default"),
        ({}, "default"),
    ],
)
def test_the_budget_of_a_call(arguments: dict[str, Any], key: str):
    """
    The model of a JSON body, or of a form if it names exactly one, unless the caller names a key.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server, Client(server.url, api_key=KEY) as client:
            await client.post("/v1/x", **arguments)
            assert [name for name, state in client.limiter.statistics().keys.items() if state.granted] == [key]

    in_virtual_time(story)


def test_the_cost_of_a_call():
    """
    As stated; otherwise estimated from the body; without any reading, what the answer says it used is what it cost.
    """

    async def story() -> None:
        quotas = per_minute(requests=1000, tokens=100_000)
        usage = answer(b'{"usage":{"total_tokens":77}}')
        odd = answer(b'{"usage":{"total_tokens":1000000000000000000}}')
        options: dict[str, Any] = {"quotas": quotas, "api_key": KEY}
        async with RawServer([answer()], [answer()], [odd], [usage]) as server, Client(server.url, **options) as client:

            def spent() -> int:
                return 100_000 - client.limiter.statistics().keys["m"].buckets["tokens"].level

            body = {"model": "m", "messages": [{"role": "user", "content": "x" * 4000}]}
            await client.post("/v1/x", json=body, tokens=500)
            stated = spent()
            await client.post("/v1/x", json=body)
            estimated = spent() - stated
            await client.post("/v1/x", json=body, cost=Cost(requests=1, tokens=2000))
            as_mapping = spent() - stated - estimated
            await client.post("/v1/x", json=body, tokens=5000)

            assert stated == 500
            assert 900 < estimated < 1100
            assert as_mapping == 2000
            assert spent() - stated - estimated - as_mapping == 77

    in_virtual_time(story)


def test_a_form_and_a_counter_estimate_too():
    """
    Pictures to be made count as pictures, also when a form asks for them; texts count as the counter says.
    """

    async def story() -> None:
        options: dict[str, Any] = {"quotas": per_minute(tokens=100_000, images=10), "api_key": KEY}
        counter = {"a long word": 2000, "x" * 400: 100}
        async with (
            RawServer([answer()], [answer()]) as server,
            Client(server.url, **options) as client,
        ):
            client.counter = lambda text, model: counter[text]

            def spent(key: str) -> list[int]:
                buckets = client.limiter.statistics().keys[key].buckets
                return [buckets[unit].limit - buckets[unit].level for unit in ("tokens", "images")]

            files = {"image": ("a.png", b"x" * 100_000)}
            await client.post("/images/edits", data={"prompt": "x" * 400, "n": "3"}, files=files, key="form")
            await client.post("/responses", json={"model": "m", "input": "a long word"})

            assert spent("form") == [108, 3]
            assert spent("m") == [2008, 0]

    in_virtual_time(story)


def test_a_final_no_is_an_error():
    """
    By its meaning, with the server's words, its request id, and no more than an excerpt of its body.
    """

    async def story() -> None:
        async with serve_model(models=["gpt-4o"]) as url, Client(url, api_key=KEY) as client:
            with pytest.raises(ModelNotFound) as caught:
                await client.post("/chat/completions", json=CHAT | {"model": "gpt-nope"})

            error = caught.value
            assert (error.status, error.reason, error.attempts) == (404, "model_not_found", 1)
            assert error.request_id is not None
            assert error.request_id in str(error)
            assert "gpt-nope" in error.body_excerpt
            assert error.signals is not None
            assert error.__cause__ is error.__context__ is None
            assert ledger_is_even(client)

    in_virtual_time(story)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"path": "//evil/x"}, "no path of an endpoint"),
        ({"path": "/v1/x", "method": "GE T"}, "no method"),
        ({"path": "/v1/x", "headers": {"Authorization": "x"}}, "cannot be set"),
        ({"path": "/v1/x", "headers": {"X-A": "a\nb"}}, "cannot be sent"),
        ({"path": "/v1/x", "idempotency_key": "a\nb"}, "cannot be sent"),
        ({"path": "/v1/x", "json": {1, 2}}, "cannot be written"),
        ({"path": "/v1/x", "json": {}, "data": b""}, "whole body"),
    ],
)
def test_what_cannot_be_sent(arguments: dict[str, Any], why: str):
    """
    A sentence, before anything is queued.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server, Client(server.url, api_key=KEY) as client:
            with pytest.raises(ConfigurationError, match=why):
                await client.request(**{"method": "POST", **arguments})
            assert client.limiter.statistics().keys == {}
            assert server.requests == []

    in_virtual_time(story)


def test_map_gives_one_result_for_each_row():
    """
    Arguments or batch lines, from any iterable; a bad row is its own error; in order when asked.
    """

    async def rows() -> AsyncIterator[dict[str, Any]]:
        yield {"path": "/chat/completions", "json": CHAT}
        yield {"custom_id": "b", "method": "POST", "url": "/v1/chat/completions", "body": CHAT, "metadata": {}}
        yield {"custom_id": "c", "url": "/v1/../admin", "body": CHAT}
        yield {"custom_id": "d", "url": "https://evil.example/v1/x", "body": CHAT}
        yield {"path": "/chat/completions", "json": CHAT | {"model": "nope"}}
        yield {"nonsense": 1}

    async def story() -> None:
        async with serve_model(models=["gpt-4o"]) as url, Client(url, api_key=KEY) as client:
            async with client.map(rows(), ordered=True) as results:
                found = [result async for result in results]
            assert [result.index for result in found] == list(range(6))
            assert found[0].unwrap().status == found[1].unwrap().status == 200
            assert [type(result.error) for result in found[2:5]] == [
                ConfigurationError,
                ConfigurationError,
                ModelNotFound,
            ]
            assert isinstance(found[5].error, ConfigurationError)

            async with client.map([{"path": "//x"}], on_error="raise") as failing:
                with pytest.raises(ConfigurationError):
                    async for _ in failing:
                        pass
            assert url.tally.calls == 3

    in_virtual_time(story)


def test_map_fills_the_budget():
    """
    Forty calls at 600 a minute with a burst of 600 take one answer's time; each is sent once.
    """

    async def story() -> None:
        async with serve_model(per_minute(requests=600), latency=1.0) as url:
            client = Client(url, api_key=KEY, quotas=per_minute(requests=600))
            began = asyncio.get_running_loop().time()
            async with client, client.map({"path": "/chat/completions", "json": CHAT} for _ in range(40)) as results:
                assert [result.error async for result in results] == [None] * 40
            assert asyncio.get_running_loop().time() - began < 5
            assert url.tally.calls == 40

    in_virtual_time(story)


def test_where_settings_come_from(monkeypatch: pytest.MonkeyPatch):
    """
    The environment, unless an argument says otherwise.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server:
            monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
            monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/api/v1")
            monkeypatch.setenv("OPENAI_ORG_ID", "org-env")
            monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-env")
            async with Client() as client:
                await client.get("/v1/models")
            async with Client(server.url, api_key="", organization="", project="proj-mine") as client:
                await client.get("/v1/models")

        first, second = server.requests
        assert first.line.startswith("GET /api/v1/models ")
        assert first.headers["authorization"] == f"Bearer {KEY}"
        assert (first.headers["openai-organization"], first.headers["openai-project"]) == ("org-env", "proj-env")
        assert second.line.startswith("GET /v1/models ")
        assert "authorization" not in second.headers
        assert "openai-organization" not in second.headers
        assert second.headers["openai-project"] == "proj-mine"

    in_virtual_time(story)


def test_what_cannot_work_is_said_at_once(monkeypatch: pytest.MonkeyPatch):
    """
    OpenAI without a key, plain http, a limiter and quotas at once: an error before the first call.
    """
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        Client()
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        Client("https://api.openai.com/v1", api_key=" ")
    with pytest.raises(ConfigurationError, match="plain http"):
        Client("http://api.example.com/v1", api_key=KEY)
    with pytest.raises(ConfigurationError, match="takes its quotas"):
        Client(api_key=KEY, limiter=Limiter(), quotas=per_minute(requests=1))
    assert "api.openai.com/v1" in repr(Client(api_key=KEY))
    assert KEY not in repr(Client(api_key=KEY))


@pytest.mark.parametrize(
    ("url", "how", "name"),
    [
        ("https://api.openai.com/v1", {}, "openai"),
        ("https://openrouter.ai/api/v1", {}, "openrouter"),
        ("https://eu-1.openai.azure.com/openai/v1", {}, "azure"),
        ("https://openrouter.ai/api/v1", {"dialect": "generic"}, "generic"),
        ("http://127.0.0.1:8000/v1", {}, None),
    ],
)
def test_the_address_says_whose_api_it_is(url: str, how: dict[str, str], name: str | None) -> None:
    """From the first answer on, unless a dialect was named; at an unknown address the answers have to tell."""
    dialect = Client(url, api_key=KEY, **how).limiter._dialect  # type: ignore[arg-type]

    assert (None if dialect is None else dialect.name) == name


def test_two_clients_share_a_limiter():
    """
    The budget is one; closing a client leaves the limiter to the other; its retry policy is its own.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=10))
        async with serve_model(per_minute(requests=100)) as url:
            async with Client(url, api_key=KEY, limiter=limiter, retry=RetryPolicy.none()) as one:
                await one.post("/chat/completions", json=CHAT)
            async with Client(url, api_key=KEY, limiter=limiter) as two:
                await two.post("/chat/completions", json=CHAT)
            with pytest.raises(Closed, match="nothing was sent"):
                await one.post("/chat/completions", json=CHAT)
            assert limiter.statistics().keys["gpt-4o"].granted == 2
            assert url.tally.calls == 2

    in_virtual_time(story)
