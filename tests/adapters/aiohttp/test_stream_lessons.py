"""What the limiter, the tally and the reader of an error learn from the events of a stream."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from ratelimit_client import (
    RateLimitClientError,
    RetryPolicy,
    StreamError,
    StreamTruncated,
    Throttled,
    per_day,
    per_minute,
)
from tests import canary
from tests.adapters.aiohttp.rawserver import Move, answer
from tests.adapters.aiohttp.running import KEY, in_virtual_time, served
from tests.adapters.aiohttp.streaming import DONE, EVENTS, WHOLE, ask, at_rest, chunk, data, events, take

USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
SAID = {"type": "response.output_text.delta", "delta": "one"}
LEVELS = [{"name": "requests", "limit": 1000, "remaining": 3, "reset_seconds": 60.0}]


def test_limits_in_an_event_are_learnt() -> None:
    """As those of headers are; and the event is handed on."""

    async def story() -> None:
        told = data({"type": "rate_limits.updated", "rate_limits": LEVELS})
        async with served([events(chunk("one"), told, DONE)], quotas=per_minute(requests=1000)) as (_, client):
            async with ask(client) as stream:
                taken: list[Any] = []
                await take(stream, taken)
            assert [event.name for event in taken] == ["", "rate_limits.updated"]
            assert round(client.limiter.statistics().keys["gpt-4o"].buckets["requests"].level) == 3

    in_virtual_time(story)


@pytest.mark.parametrize("late", [False, True])
def test_what_a_failed_one_used_is_settled(late: bool) -> None:
    """Where its error tells it of the whole call; and it is counted."""
    failed = {
        "type": "response.failed",
        "response": {"usage": USAGE, "error": {"code": "server_error", "message": "x"}},
    }

    async def story() -> None:
        quotas = per_day(requests=100, tokens=1000)
        end = [events(data(SAID), data(failed), end=b""), Move.SILENCE] if late else [events(data(SAID), data(failed))]
        async with served(end, quotas=quotas) as (_, client):
            async with client.stream("/v1/responses", json={"model": "m", "input": "x"}, tokens=500) as stream:
                with pytest.raises(StreamError):
                    await take(stream, [])
            assert client.tally.tokens == {("m", "input"): 5, ("m", "output"): 7}
            assert round(client.limiter.statistics().keys["m"].buckets["tokens"].level) == 1000 - 12

    in_virtual_time(story)


def test_no_money_inside_is_counted_as_outside() -> None:
    """Whoever watches the account looks at one number."""

    async def story() -> None:
        broke = data({"error": {"code": "insufficient_quota", "message": "pay", "type": "insufficient_quota"}})
        async with served([events(chunk("one"), broke)]) as (_, client):
            async with ask(client) as stream:
                with pytest.raises(StreamError):
                    await take(stream, [])
            assert client.tally.exhausted == {"gpt-4o": 1}

    in_virtual_time(story)


def _quoting(field: str, *, begun: bool) -> bytes:
    """A stream whose error quotes the key in *field*."""
    error: dict[str, Any] = {"message": "Rate limit reached", "type": "x", "code": "rate_limit_exceeded"}
    error[field] = f"{error.get(field, '')} {KEY}"
    told = data({"type": "error", "error": error, "request_id": error.get("request_id")})
    return events(*[chunk("one")] * begun, told)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("field", ["message", "code", "type", "request_id", "note"])
def test_a_key_that_the_server_quotes_is_in_no_error(begun: bool, field: str) -> None:
    """Not in its text, its fields, its signals, its pickle, or in what a crash reporter sends."""

    async def story() -> None:
        async with served([_quoting(field, begun=begun)], retry=RetryPolicy.none()) as (server, client):
            with pytest.raises(RateLimitClientError) as caught:
                async with ask(client) as stream:
                    await take(stream, [])
            assert isinstance(caught.value, StreamError if begun else RateLimitClientError)
            shown = canary.told(caught.value) + repr(vars(caught.value)) + repr(getattr(caught.value, "signals", None))
            assert "Rate limit reached" in shown
            assert not canary.shows(shown)
            assert not canary.shows(pickle.dumps(caught.value))
            assert client.limiter.in_flight == 0
            assert len(server.requests) == 1

    in_virtual_time(story)


def test_a_refusal_inside_closes_the_door_for_as_long_as_it_says() -> None:
    """Before anything was said it is tried again, after the wait."""

    async def story() -> None:
        said = {
            "message": "Rate limit reached. Please try again in 3s.",
            "type": "requests",
            "code": "rate_limit_exceeded",
        }
        async with served([events(data({"error": said}))], [WHOLE]) as (server, client):
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with ask(client) as stream:
                await take(stream, [])
                assert stream.attempts == 2
            assert loop.time() - began >= 3
            assert client.tally.retries == {("gpt-4o", "rate_limited"): 1}
            await at_rest(server, client, kept=1)
        async with served([events(data({"error": said}))], retry=RetryPolicy.none()) as (_, client):
            with pytest.raises(Throttled):
                async with ask(client):
                    pass

    in_virtual_time(story)


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content"])
def test_an_answer_without_a_body_is_no_stream(status: str) -> None:
    """Another try would bring the same."""

    async def story() -> None:
        async with served([answer(b"", status=status, kind="text/event-stream")]) as (server, client):
            with pytest.raises(StreamError, match=status[:3]):
                async with ask(client):
                    pass
            assert len(server.requests) == 1

    in_virtual_time(story)


@pytest.mark.parametrize(
    "kind", ["audio/mpeg", "image/png", "application/x-ndjson", "application/vnd.amazon.eventstream", "multipart/mixed"]
)
def test_another_kind_of_stream_is_none_of_events(kind: str) -> None:
    """It is said so, once, and nobody pays for further ones."""

    async def story() -> None:
        async with served([answer(b"\xff\xfb" * 500, kind=kind)]) as (server, client):
            with pytest.raises(StreamError, match=kind):
                async with ask(client):
                    pass
            assert len(server.requests) == 1
            assert client.limiter.in_flight == 0

    in_virtual_time(story)


@pytest.mark.parametrize("begun", [False, True])
def test_what_came_in_the_place_of_events_is_shown(begun: bool) -> None:
    """A gateway says what is wrong, and that it is events. Where there were some, what follows may be the answer."""

    async def story() -> None:
        said = b'{"error": "no such model for ' + KEY.encode() + b'"}\n'
        async with served([events(*[chunk()] * begun, said)], retry=RetryPolicy.none()) as (_, client):
            with pytest.raises(StreamTruncated) as caught:
                async with ask(client):
                    pass
            assert ("no such model for ..." in caught.value.body_excerpt) is not begun
            assert not canary.shows(caught.value.body_excerpt)

    in_virtual_time(story)


QUOTED = {
    "something whole": answer(b'{"id":1}', x_echo=KEY, x_request_id=KEY),
    "nothing": answer(b"", status="204 No Content", x_echo=KEY),
    "sound": answer(b"RIFF", kind="audio/wav", x_echo=KEY),
    "packed": answer(b"x", kind=EVENTS, content_encoding="br", x_echo=KEY),
    "cut before": answer(b":\n", kind=EVENTS, x_echo=KEY, x_request_id=KEY),
    "cut after": answer(chunk("one"), kind=EVENTS, x_echo=KEY, x_request_id=KEY),
    "failed before": answer(data({"error": {"message": "x"}}), kind=EVENTS, x_echo=KEY, x_request_id=KEY),
    "failed after": answer(chunk("one") + data({"error": {"message": "x"}}), kind=EVENTS, x_echo=KEY, x_request_id=KEY),
}


@pytest.mark.parametrize("name", QUOTED)
def test_a_key_that_the_server_quotes_in_its_head_is_in_no_error(name: str) -> None:
    """Not in the locals of the frames that it passed either."""

    async def story() -> None:
        async with served([QUOTED[name]], retry=RetryPolicy.none()) as (_, client):
            with pytest.raises(RateLimitClientError) as caught:
                async with ask(client) as stream:
                    await take(stream, [])
            assert not canary.shows(canary.told(caught.value) + repr(vars(caught.value)))

    in_virtual_time(story)


_HEAD = answer(kind=EVENTS, length=100, x_echo=KEY)


def test_a_deadline_shows_no_key_either() -> None:
    """What it is raised from has come through the same frames."""

    async def story() -> None:
        async with served([_HEAD, Move.SILENCE], [answer(x_echo=KEY, length=100), Move.SILENCE]) as (_, client):
            with pytest.raises(RateLimitClientError) as caught:
                async with ask(client, deadline=1):
                    pass
            assert not canary.shows(canary.told(caught.value))
            with pytest.raises(RateLimitClientError) as caught:
                await client.get("/v1/x", deadline=1)
            assert not canary.shows(canary.told(caught.value))

    in_virtual_time(story)
