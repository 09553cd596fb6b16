"""The headers by which a caller steers its call."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from multidict import CIMultiDict

from ratelimit_client import Limiter, per_minute
from ratelimit_client.proxy import Forwarder
from ratelimit_client.proxy.asking import MOST_KEYS, OTHER, Asking
from ratelimit_client.proxy.steering import UNSTEERED, BadSteering, Steering, steering_of
from ratelimit_client.testing import serve_model
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.proxy.talking import BEARER, CHAT, TARGET, Line, Said, proxied, until


def read(**values: str) -> Steering:
    return steering_of(CIMultiDict((f"X-RateLimit-Client-{name}", value) for name, value in values.items()))


def test_what_is_said_is_read():
    """
    All five, whatever the case of their names; nothing where nothing is said.
    """
    said = read(priority="-2", tenant="a b", deadline="2.5", key="gpt-4o", tokens="1500")

    assert said == Steering(priority=-2, tenant="a b", deadline_s=2.5, key="gpt-4o", tokens=1500)
    assert read(priority="+1") == Steering(priority=1)
    assert steering_of(CIMultiDict({"x-ratelimit-limit-requests": "1", "x": "y"})) is UNSTEERED


BAD = {
    "priority": ["", "3", "-3", "1.0", "high", "1e0", "--1"],
    "deadline": ["", "0", "0.0", "-1", "nan", "inf", "1e3", "1_0", "1000000", "١"],
    "tokens": ["", "-1", "1.5", "1e3", "9999999999", "many"],
    "tenant": ["", " ", "a" * 129, "t\xe9nant"],
    "key": ["", "a" * 129, "m\xf6del"],
    "colour": ["blue"],
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_done_is_refused(name: str):
    """
    With the name of the header and what it should look like.
    """
    for value in BAD[name]:
        with pytest.raises(BadSteering, match=f"x-ratelimit-client-{name} is ") as caught:
            read(**{name: value})
        assert caught.value.header == f"x-ratelimit-client-{name}"


def test_what_is_said_twice_is_refused():
    """
    Whoever wrote it meant one of them.
    """
    twice = CIMultiDict([("x-ratelimit-client-priority", "1"), ("X-RateLimit-Client-Priority", "2")])

    with pytest.raises(BadSteering, match="twice"):
        steering_of(twice)


def test_a_bad_header_is_told_in_the_form_of_the_api():
    """
    400, with the header as ``param``; nothing is sent.
    """

    async def story() -> tuple[Said, list[Any]]:
        async with RawServer([answer()]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            said = await line.ask(TARGET, {}, headers=[("x-ratelimit-client-deadline", "soon"), BEARER])
            return said, server.requests

    said, requests = asyncio.run(story())

    assert (said.status, requests) == (400, [])
    assert said.error == {
        "message": "the header x-ratelimit-client-deadline is not a number of seconds above 0, such as 30 or 2.5",
        "type": "invalid_request_error",
        "param": "x-ratelimit-client-deadline",
        "code": "invalid_header",
    }


def test_key_and_tokens_say_what_is_charged():
    """
    The model and an estimate by default; the model in the path where the body names none; what is stated instead.
    """
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\x00\xff\r\n'
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'
    )

    async def story() -> set[str]:
        async with serve_model() as url, proxied(str(url)) as proxy, Line(proxy.url) as line:
            await line.ask(TARGET, CHAT)
            await line.ask(TARGET, CHAT, headers=[("x-ratelimit-client-key", "mine")])
            kind = ("Content-Type", "multipart/form-data; boundary=b")
            await line.ask("/v1/audio/transcriptions", form, headers=[kind])
            await line.ask("/v1/models/gemini-9:generateContent", {"contents": []})
            await line.ask("/v1/files", b"\x00\xff", headers=[("Content-Type", "application/octet-stream")])
            await line.ask(TARGET, {"model": "m" * 1000})
            return set(proxy.forwarder.limiter.statistics().keys)

    assert asyncio.run(story()) == {"gpt-4o", "mine", "whisper-1", "gemini-9", "default"}


def test_names_cost_a_bounded_amount_of_memory():
    """
    After so many different ones the next share one budget; those that are known keep theirs.
    """
    asking = Asking(Forwarder("http://127.0.0.1:9/v1", limiter=Limiter()))
    nothing: Any = CIMultiDict()

    def key(name: str) -> str:
        return asking.call("POST", "/v1/x", nothing, b"", Steering(key=name)).key

    names = [f"model-{number}" for number in range(MOST_KEYS + 10)]
    assert [key(name) for name in names] == names[:MOST_KEYS] + [OTHER] * 10
    assert key("model-0") == "model-0"


def test_tokens_that_could_never_go_are_refused():
    """
    413 with the limit in it; a deadline that cannot be kept is a 429 with the wait; nothing is sent.
    """

    async def story() -> tuple[list[Said], int]:
        limiter = Limiter(per_minute(tokens=1000))
        async with RawServer([answer()]) as server, proxied(server.url, limiter=limiter) as proxy:
            async with Line(proxy.url) as line:
                said = [
                    await line.ask(TARGET, CHAT, headers={"x-ratelimit-client-tokens": tokens, **more})
                    for tokens, more in (
                        ("2000", {}),
                        ("990", {}),
                        ("500", {"x-ratelimit-client-deadline": "5"}),
                    )
                ]
            return said, len(server.requests)

    (large, fits, late), sent = asyncio.run(story())

    assert sent == 1
    assert (large.status, large.error["code"]) == (413, "cost_exceeds_quota")
    assert "1,000" in large.error["message"]
    assert fits.status == 200
    assert (late.status, late.error["code"], late.error["type"]) == (429, "deadline_unreachable", "rate_limit_error")
    assert 10 < int(late.header("retry-after") or 0) < 40
    assert late.header("x-should-retry") == "false"


def test_the_better_band_goes_first():
    """
    One place; those that wait go by priority, and not by when they came.
    """

    async def story() -> list[str]:
        limiter, all_wait = Limiter(max_in_flight=1), asyncio.Event()
        async with RawServer([all_wait, answer()], [answer()]) as server, proxied(server.url, limiter=limiter) as proxy:
            async with Line(proxy.url) as first, Line(proxy.url) as late, Line(proxy.url) as soon:
                first.say("/v1/x", {"number": 0})
                await until(lambda: server.requests)
                late.say("/v1/x", {"number": 1}, headers={"x-ratelimit-client-priority": "2"})
                await until(lambda: limiter.queued == 1)
                soon.say("/v1/x", {"number": 2}, headers={"x-ratelimit-client-priority": "-2"})
                await until(lambda: limiter.queued == 2)
                all_wait.set()
                answers = [await line.hear() for line in (first, late, soon)]
            assert all(int(said.header("x-ratelimit-client-queue-ms") or 0) > 0 for said in answers[1:])
            return [json.loads(request.body)["number"] for request in server.requests]

    assert asyncio.run(story()) == [0, 2, 1]


def test_two_tenants_share_evenly():
    """
    One with many calls ahead does not keep the other waiting until they are done.
    """

    async def story() -> list[str]:
        limiter, all_wait = Limiter(max_in_flight=1), asyncio.Event()
        async with RawServer([all_wait, answer()], [answer()]) as server, proxied(server.url, limiter=limiter) as proxy:
            lines = [Line(proxy.url) for _ in range(9)]
            for number, line in enumerate(lines):
                await line.__aenter__()
                tenant = "small" if number > 6 else "large"
                line.say("/v1/x", {"tenant": tenant}, headers={"x-ratelimit-client-tenant": tenant})
                await until(lambda number=number: limiter.queued == number and server.requests)
            all_wait.set()
            for line in lines:
                assert (await line.hear()).status == 200
                await line.__aexit__(None, None, None)
            return [json.loads(request.body)["tenant"] for request in server.requests]

    order = asyncio.run(story())

    assert order.count("small") == 2
    assert max(number for number, tenant in enumerate(order) if tenant == "small") <= 5


def test_a_deadline_that_passes_is_told():
    """
    504: in the queue nothing was sent; in flight the call ends, and its place is free.
    """

    async def story() -> tuple[list[Said], int]:
        limiter = Limiter(max_in_flight=1)
        deadline = {"x-ratelimit-client-deadline": "0.1"}
        async with RawServer([30.0]) as server, proxied(server.url, limiter=limiter) as proxy:
            async with Line(proxy.url) as one, Line(proxy.url) as other:
                one.say("/v1/x", {}, headers={"x-ratelimit-client-deadline": "0.3"})
                await until(lambda: server.requests)
                said = [await other.ask("/v1/x", {}, headers=deadline), await one.hear()]
            return said, len(server.requests)

    (queued, flown), sent = asyncio.run(story())

    assert sent == 1
    assert [queued.status, queued.error["code"], queued.header("x-ratelimit-client-attempts")] == [
        504,
        "deadline_passed",
        "0",
    ]
    assert "not sent" in queued.error["message"]
    assert [flown.status, flown.error["code"], flown.header("x-ratelimit-client-attempts")] == [
        504,
        "deadline_passed",
        "1",
    ]
