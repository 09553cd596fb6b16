"""
What is handed in stays what it is: a value does not become a header, a log line, a label or an order to a terminal.

Two directions: from the caller to the server (headers), and from the server and from rows to logs, errors, metrics.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ratelimit_client import Client, Limiter, RetryPolicy
from ratelimit_client.adapters.aiohttp.headers import OURS
from ratelimit_client.adapters.logging import LoggingInstrument
from ratelimit_client.adapters.prometheus import watch
from ratelimit_client.cli.voice import harmless
from ratelimit_client.errors import ConfigurationError, RateLimitClientError, ResponseError
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.canary import KEY

# ---- towards the server -------------------------------------------------------------------------------

BREAKS = {
    "CR LF": "a\r\nX-Injected: 1",
    "LF": "a\nX-Injected: 1",
    "CR": "a\rX-Injected: 1",
    "obs-fold": "a\r\n X-Injected: 1",
    "NUL": "a\0b",
    "ESC": "a\x1b[31m",
    "DEL": "a\x7f",
    "NEL": "a\x85b",
    "U+2028": "a\u2028X-Injected: 1",
    "U+2029": "a\u2029b",
    "Latin-1": "é",
    "beyond": "\u4e2d",
    "looks like CR LF": "a\u010d\u010aX-Injected: 1",  # cut to a byte each they would be
    "lone surrogate": "a\ud800",
    "endless": "a" * 8001,
}

DOORS = ["organization", "project", "header", "header name", "call header", "idempotency_key", "method", "api_key"]


def through(door: str, text: str, url: str) -> Coroutine[Any, Any, object]:
    """One call with *text* at *door*."""
    of_client: dict[str, Any] = {"api_key": KEY, "retry": RetryPolicy.none()}
    of_call: dict[str, Any] = {"method": "POST", "path": "/v1/x", "json": {}}
    match door:
        case "organization" | "project" | "api_key":
            of_client[door] = text
        case "header":
            of_client["headers"] = {"X-Team": text}
        case "header name":
            of_client["headers"] = {text: "a"}
        case "call header":
            of_call["headers"] = {"X-Team": text}
        case _:
            of_call[door] = text

    async def call() -> object:
        async with Client(url, **of_client) as client:
            return await client.request(**of_call)

    return call()


@pytest.mark.parametrize("door", DOORS)
def test_a_value_does_not_become_a_header(door: str):
    """
    Whatever could end a line, for whichever parser on the way, is refused before anything is sent, and not repeated.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server:
            for name, text in BREAKS.items():
                if door == "api_key" and name == "endless":
                    continue  # keys are as long as they are: tokens of some clouds exceed 8000
                with pytest.raises(ConfigurationError) as caught:
                    await through(door, text, server.url)
                assert "X-Injected: 1" not in str(caught.value) or str(caught.value).isprintable(), name
                assert len(str(caught.value)) < 400
            assert server.requests == []

    asyncio.run(story())


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "Transfer-Encoding", "Authorization", "Cookie", "Connection"]
)
def test_what_decides_about_a_request_is_not_overridden(name: str):
    """
    Neither by the client's headers nor by a call's, in any case; the server gets ours, once.
    """
    assert name.lower() in OURS

    async def story() -> None:
        async with RawServer([answer()]) as server:
            for spelling in (name, name.lower(), name.upper()):
                with pytest.raises(ConfigurationError, match="cannot be set"):
                    Client(server.url, api_key=KEY, headers={spelling: "x"})
                async with Client(server.url, api_key=KEY) as client:
                    with pytest.raises(ConfigurationError, match="cannot be set"):
                        await client.post("/v1/x", json={}, headers={spelling: "x"})
            # A space before the colon or an underscore is another name to us and the same one to some servers.
            for spelling in (name + " ", " " + name, name + ":", name + "\t"):
                with pytest.raises(ConfigurationError):
                    Client(server.url, api_key=KEY, headers={spelling: "x"})
            assert server.requests == []

    asyncio.run(story())


# ---- from the server and from rows ------------------------------------------------------------------

HOSTILE = {
    "line break": "a\nERROR root: all is lost",
    "CR": "a\rERROR root: all is lost",
    "U+2028": "a\u2028ERROR root: all is lost",
    "NEL": "a\x85ERROR",
    "ANSI": "a\x1b[2J\x1b[31mred",
    "C1": "a\x9b31mred",
    "OSC": "a\x1b]0;title\x07",
    "bidi": "a\u202etxt.exe",
    "isolate": "a\u2066b\u2069",
    "zero width": "a\u200bb",
    "NUL": "a\0b",
    "BEL": "a\x07",
    "quote": 'a" evil="1',
    "brace": '{"level":"error"}',
    "percent": "%s%n%d",
    "format": "{0.__class__}",
    "lone surrogate": "a\ud800b",
    "a megabyte": "A" * 2**20,
}
LONGEST = 1000


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("where", ["message", "request_id", "code", "param"])
def test_what_a_server_says_stays_on_its_line(text: str, where: str, caplog: pytest.LogCaptureFixture):
    """
    In the error, in the log of its events, in the metrics: printable, short, one line.
    """
    error = {"message": "No.", "type": "invalid_request_error", where: text}
    body = json.dumps({"error": error, **({"request_id": text} if where == "request_id" else {})}).encode()
    registry = CollectorRegistry()

    async def story() -> ResponseError:
        limiter = Limiter(on_event=LoggingInstrument(level=logging.DEBUG))
        async with (
            RawServer([answer(body, status="400 X")]) as server,
            Client(server.url, api_key=KEY, limiter=limiter, retry=RetryPolicy.none()) as client,
        ):
            watch(client, registry)
            with pytest.raises(ResponseError) as caught:
                await client.post("/v1/x", json={"model": "m"})
            return caught.value

    error_of_it = asyncio.run(story())
    assert str(error_of_it).isprintable()
    assert len(str(error_of_it)) < LONGEST
    assert len(error_of_it.body_excerpt) <= 1024
    on_one_line(caplog)
    text_string_to_metric_families(generate_latest(registry).decode())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_name_of_a_model_is_a_name(text: str, caplog: pytest.LogCaptureFixture):
    """
    A row may call its model as it likes: in the request it is JSON, in the log one line, in the metrics one label.
    """
    registry = CollectorRegistry()

    async def story() -> bytes:
        limiter = Limiter(on_event=LoggingInstrument(level=logging.DEBUG))
        async with (
            RawServer([answer()]) as server,
            Client(server.url, api_key=KEY, limiter=limiter, retry=RetryPolicy.none()) as client,
        ):
            watch(client, registry)
            await client.post("/v1/x", json={"model": text})
            for shown in (repr(client), repr(client.limiter), str(limiter.explain(key=text))):
                assert len(shown) < LONGEST
            assert len(server.requests) == 1
            return server.requests[0].body

    body = asyncio.run(story())
    assert json.loads(body) == {"model": text}
    on_one_line(caplog)
    page = generate_latest(registry)
    models = {
        sample.labels["model"]
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if "model" in sample.labels
    }
    assert len(models) == 1
    assert len(page) < 200_000


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_sent_says_so_on_one_line(text: str):
    """
    A refused call names the model of the row and the request of the server that made us wait; printable, short.
    """
    refusal = json.dumps({"error": {"message": "No.", "code": "rate_limit_exceeded"}, "request_id": text}).encode()

    async def story() -> list[BaseException]:
        impatient = RetryPolicy(max_attempts=1, max_hint_s=1)
        async with (
            RawServer([answer(refusal, status="429 X", retry_after="30")]) as server,
            Client(server.url, api_key=KEY, retry=impatient, quotas="9 tokens/min") as client,
        ):
            calls: list[dict[str, Any]] = [{"tokens": 1}, {"tokens": 1}, {"tokens": 10}, {"tokens": 1, "deadline": 0.0}]
            return [await failed(client, json={"model": text}, **call) for call in calls]

    kinds = {"Throttled", "CostExceedsQuota", "DeadlineExpiredInQueue"}
    errors = asyncio.run(story())
    assert kinds == {type(error).__name__ for error in errors}
    for error in errors:
        assert str(error).isprintable()
        assert len(str(error)) < LONGEST


async def failed(client: Client, **arguments: Any) -> BaseException:
    with pytest.raises(RateLimitClientError) as caught:
        await client.post("/v1/x", **arguments)
    return caught.value


def on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """What the library logged."""
    records = [record for record in caplog.records if record.name.startswith("ratelimit_client")]
    assert records
    for record in records:
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < LONGEST


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_terminal_is_not_steered(text: str):
    """
    What the program prints: every character that is not printed is shown escaped.
    """
    shown = harmless(text)

    assert shown.replace("\n", "").isprintable()
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_an_error_of_ours_is_short_whatever_came():
    """
    No text of a megabyte becomes a message of a megabyte: names of headers, paths, parameters, quotas.
    """
    long = "A" * 2**20
    for make in (
        lambda: Client("https://h", api_key=KEY, headers={long + " ": "x"}),
        lambda: Client("https://h", api_key=KEY, organization=long),
        lambda: Client("https://h", api_key=KEY, quotas=long),
        lambda: Client("https://h/" + long + "%", api_key=KEY),
        lambda: Client(long, api_key=KEY),
    ):
        with pytest.raises(RateLimitClientError) as caught:
            make()
        assert len(str(caught.value)) < LONGEST
