"""What a consumer sees of a stream, and what is left when it has ended, whichever way."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from ratelimit_client import (
    DeadlineExceeded,
    QuotaExhausted,
    RetryPolicy,
    StreamError,
    StreamTruncated,
    Throttled,
    Timeout,
    per_day,
)
from ratelimit_client.adapters.aiohttp.stream import Stream
from tests.adapters.aiohttp.rawserver import END, Move, answer, chunked
from tests.adapters.aiohttp.running import CHAT, in_virtual_time, ledger_is_even, served
from tests.adapters.aiohttp.streaming import DONE, EVENTS, WHOLE, ask, at_rest, chunk, data, events, take, text_of

REFUSAL = answer(
    b'{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}',
    status="429 Too Many Requests",
    retry_after="2",
)
OVERLOADED = data({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")


def test_events_come_as_they_are_sent() -> None:
    """Each when it is there; the connection and the place are free after the last."""

    async def story() -> None:
        slow = [chunked(chunk(), chunk("one "), kind=EVENTS), 5.0, *[WHOLE[WHOLE.index(b"\r\n\r\n") + 4 :]]]
        async with served(slow) as (server, client):
            loop, at = asyncio.get_running_loop(), []
            began = loop.time()
            async with ask(client) as stream:
                assert isinstance(stream, Stream)
                assert (stream.status, stream.attempts, client.limiter.in_flight) == (200, 1, 1)
                async for event in stream:
                    at.append((round(loop.time() - began), event.data["choices"][0]["delta"].get("content")))
                assert stream.finished
                assert at == [(0, ""), (0, "one "), (5, ""), (5, "one "), (5, "two"), (5, "")]
                assert stream.delivered == 6
                assert ledger_is_even(client), "free with the last event, and not with the block"
            await at_rest(server, client, kept=1)

    in_virtual_time(story)


def test_the_connection_serves_the_next_call() -> None:
    """A stream that was read to its end leaves its connection as good as new."""

    async def story() -> None:
        async with served([WHOLE], [WHOLE], [answer()]) as (server, client):
            for _ in range(2):
                async with ask(client) as stream:
                    taken: list[Any] = []
                    await take(stream, taken)
                    assert text_of(taken) == "one two"
            await client.get("/v1/x")
            assert server.connections == 1
            await at_rest(server, client, kept=1)

    in_virtual_time(story)


def test_what_goes_out() -> None:
    """The body says that it wants a stream, also where the caller forgot; the head that it wants events, unpacked."""

    async def story() -> None:
        async with served([WHOLE]) as (server, client):
            async with ask(client):
                pass
            async with client.stream("POST", "/v1/responses", json={**CHAT, "stream": False}):
                pass
            async with client.stream("/v1beta/models/g:streamGenerateContent", json=CHAT, params={"alt": "sse"}):
                pass
            bodies = [request.body for request in server.requests]
            assert [b'"stream":true' in body for body in bodies] == [True, False, False]
            for request in server.requests:
                assert (request.headers["accept"], request.headers["accept-encoding"]) == (EVENTS, "identity")
            assert "stream" not in CHAT, "the caller's body stays as it was"

    in_virtual_time(story)


# -- before the first of the answer: a call like any other ------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        [REFUSAL],
        [answer(b"{}", status="503 Service Unavailable")],
        [Move.RESET],
        [events()],
        [events(chunk(), end=b""), Move.CLOSE],
        [events(data({"type": "ping"}), end=b""), Move.RESET],
        [events(OVERLOADED)],
        [events(chunk(), data({"error": {"message": "x", "type": "server_error", "param": None, "code": None}}))],
        [events(b"data: {not json\n\n")],
    ],
    ids=["refused", "503", "reset", "empty", "cut", "only a ping", "error event", "error after who speaks", "no JSON"],
)
def test_what_fails_before_it_says_anything_is_tried_again(first: list[Any]) -> None:
    """Nothing was delivered, so nothing comes twice."""

    async def story() -> None:
        async with served(first, [WHOLE]) as (server, client):
            taken: list[Any] = []
            async with ask(client) as stream:
                assert stream.attempts == 2
                await take(stream, taken)
            assert text_of(taken) == "one two"
            await at_rest(server, client, kept=1)

    in_virtual_time(story)


@pytest.mark.parametrize(
    ("first", "kind", "says"),
    [
        ([REFUSAL], Throttled, "Rate limit reached"),
        ([events(data({"error": {"code": "insufficient_quota", "message": "pay"}}))], QuotaExhausted, "pay"),
        ([events(chunk(), end=b""), Move.CLOSE], StreamTruncated, "before anything of it was there"),
        ([answer(b'{"id":1}')], StreamError, "application/json and not with a stream of events"),
        ([answer(b"<html>", kind="text/html; charset=utf-8")], StreamError, "text/html and not"),
        ([answer(b"[]", kind="application/problem+json")], StreamError, "problem"),
    ],
    ids=["refused", "no money", "cut", "JSON", "HTML", "a problem"],
)
def test_what_fails_for_good_is_raised_on_entering(first: list[Any], kind: type[Exception], says: str) -> None:
    """As its typed error; nothing is held afterwards, and the error can be pickled."""

    async def story() -> None:
        async with served(first, retry=RetryPolicy.none()) as (server, client):
            with pytest.raises(kind, match=says) as caught:
                async with ask(client):
                    raise AssertionError("nobody is let in")
            assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
            if isinstance(caught.value, StreamError):
                assert (caught.value.delivered, caught.value.status) == (0, 200)
            assert client.tally.outcomes == {("gpt-4o", "error"): 1}
            await at_rest(server, client, kept=0 if Move.CLOSE in first else 1)

    in_virtual_time(story)


def test_something_whole_in_the_place_of_a_stream_is_not_asked_for_again() -> None:
    """The same request would bring the same."""

    async def story() -> None:
        async with served([answer(b'{"id":1}')]) as (server, client):
            with pytest.raises(StreamError) as caught:
                async with ask(client):
                    pass
            assert caught.value.body_excerpt == '{"id":1}'
            assert len(server.requests) == 1

    in_virtual_time(story)


# -- after it: an end that is none is an error ---------------------------------------------------------

ENDS: dict[str, tuple[list[Any], type[Exception], str]] = {
    "ended well as HTTP": ([events(chunk("one"))], StreamTruncated, "without its last event"),
    "its reason, and no end": ([events(chunk("one", finish_reason="stop"))], StreamTruncated, "without its last event"),
    "cut by an end": ([events(chunk("one"), end=b""), Move.CLOSE], StreamTruncated, "cut short"),
    "cut by a reset": ([events(chunk("one"), end=b""), 0.01, Move.RESET], StreamTruncated, "cut short"),
    "in the middle of an event": ([events(chunk("one"), b'data: {"choi')], StreamTruncated, "without its last event"),
    "a broken chunk": ([events(chunk("one"), end=b"zz\r\n")], StreamTruncated, "no HTTP"),
    "silence": ([events(chunk("one"), end=b""), Move.SILENCE], StreamTruncated, "it stopped: no event for 20 s"),
    "comments for ever": (
        [events(chunk("one"), end=b""), *[b"3\r\n:c\n\r\n", 5.0] * 20, Move.SILENCE],
        StreamTruncated,
        "it stopped",
    ),
    "an error": ([events(chunk("one"), OVERLOADED)], StreamError, "failed after 1 events: the server answered 529"),
    "an event that is no JSON": ([events(chunk("one"), b"data: nothing\n\n")], StreamError, "no JSON"),
    "a line without end": (
        [events(chunk("one"), end=b"110000f\r\ndata: "), *[step for _ in range(17) for step in (0.01, b"x" * 2**20)]],
        StreamTruncated,
        "one line of the event stream has more than 16777216 bytes",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_ends_early_is_an_error_after_what_was_good(name: str) -> None:
    """What came is delivered first; then one error says how many that were; it is not tried again."""
    conversation, kind, says = ENDS[name]

    async def story() -> None:
        async with served(conversation, [WHOLE], timeout=Timeout(idle_s=20)) as (server, client):
            taken: list[Any] = []
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with ask(client) as stream:
                with pytest.raises(kind, match=says) as caught:
                    await take(stream, taken)
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)
                assert not stream.finished
            assert text_of(taken) == "one"
            assert loop.time() - began < 30, "comments are no sign of life"
            assert type(caught.value) is kind
            assert isinstance(caught.value, StreamError)
            assert caught.value.delivered == stream.delivered == 1
            assert len(server.requests) == 1
            assert client.tally.outcomes == {("gpt-4o", "error"): 1}
            ended_well_as_http = len(conversation) == 1 and name not in ("a broken chunk", "a line without end")
            await at_rest(server, client, kept=int(ended_well_as_http))

    in_virtual_time(story)


def test_an_error_inside_tells_all_it_knows() -> None:
    """Status, reason, name of the call, and the wait it asks for, of which the limiter hears, too."""
    said = {
        "message": "Rate limit reached for tokens. Please try again in 3s.",
        "type": "tokens",
        "code": "rate_limit_exceeded",
    }

    async def story() -> None:
        head = chunked(chunk("one"), data({"error": said}), kind=EVENTS).replace(
            b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\nx-request-id: req_1"
        )
        async with served([head + END], [WHOLE]) as (_, client):
            loop = asyncio.get_running_loop()
            async with ask(client) as stream:
                with pytest.raises(StreamError) as caught:
                    await take(stream, [])
            error = caught.value
            assert (error.status, error.reason, error.request_id) == (429, "rate_limited", "req_1")
            assert error.signals is not None
            assert error.signals.retry_after_s == 3
            assert "Rate limit reached" in error.body_excerpt
            began = loop.time()
            async with ask(client):
                pass
            assert loop.time() - began >= 3

    in_virtual_time(story)


# -- left ------------------------------------------------------------------------------------------------


async def leave_block(stream: Stream) -> None:
    async with stream:
        await anext(stream)


async def raise_in_block(stream: Stream) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with stream:
            raise ValueError("mine")


async def close_twice(stream: Stream) -> None:
    async with stream:
        stream.close()
        stream.close()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def be_cancelled(stream: Stream) -> None:
    async def run() -> None:
        async with stream:
            await take(stream, [])

    task = asyncio.ensure_future(run())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [leave_block, raise_in_block, close_twice, be_cancelled])
def test_whoever_leaves_early_holds_nothing(leave: Any) -> None:
    """The place is free, the connection is closed, the estimate stands."""

    async def story() -> None:
        endless = [events(chunk("one"), end=b""), Move.SILENCE]
        async with served(endless) as (server, client):
            await leave(ask(client))
            await at_rest(server, client)
            assert client.tally.outcomes == {("gpt-4o", "cancelled"): 1}

    in_virtual_time(story)


def test_whoever_drops_it_holds_nothing() -> None:
    """And is told to use a block."""

    async def story() -> None:
        async with served([events(chunk("one"), end=b""), Move.SILENCE]) as (server, client):
            stream = ask(client)
            await stream.__aenter__()
            with pytest.warns(ResourceWarning, match="was dropped"):
                del stream
            await asyncio.sleep(0)
            await at_rest(server, client)

    in_virtual_time(story)


def test_a_stream_that_is_never_entered_is_nothing() -> None:
    """It costs nothing and leaves nothing; and one is for one call."""

    async def story() -> None:
        async with served([WHOLE]) as (server, client):
            ask(client)
            with pytest.raises(RuntimeError, match="was not entered"):
                await anext(ask(client))
            stream = ask(client)
            async with stream:
                pass
            with pytest.raises(RuntimeError, match="for one call"):
                await stream.__aenter__()
            assert len(server.requests) == 1
            assert repr(ask(client)) == "<Stream, not begun>"

    in_virtual_time(story)


# -- clocks ------------------------------------------------------------------------------------------------


def test_a_consumer_who_takes_nothing_loses_his_place() -> None:
    """After five minutes; until then he may take his time, and the server is not blamed for it."""

    async def story() -> None:
        async with served([WHOLE], timeout=Timeout(idle_s=5)) as (server, client):
            async with ask(client) as stream:
                for _ in range(3):
                    await asyncio.sleep(250)
                    await anext(stream)
                assert client.limiter.in_flight == 1
                await asyncio.sleep(301)
                assert ledger_is_even(client)
                with pytest.raises(StreamError, match="no event was taken for 300 s"):
                    await anext(stream)
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)
            await at_rest(server, client, kept=1)

    in_virtual_time(story)


def test_a_consumer_may_be_given_all_the_time_there_is() -> None:
    """``idle_consumer_s=None`` is no bound."""

    async def story() -> None:
        async with served([WHOLE]) as (_, client), ask(client, idle_consumer_s=None) as stream:
            await asyncio.sleep(100_000)
            taken: list[Any] = []
            await take(stream, taken)
            assert text_of(taken) == "one two"

    in_virtual_time(story)


@pytest.mark.parametrize("waits", [True, False])
def test_the_deadline_of_the_whole(waits: bool) -> None:
    """It ends a stream in the middle, whether somebody waits for an event or works on the last."""

    async def story() -> None:
        async with served([events(chunk("one"), end=b""), Move.SILENCE]) as (server, client):
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with ask(client, deadline_total=8) as stream:
                await anext(stream)
                if not waits:
                    await asyncio.sleep(9)
                    assert ledger_is_even(client)
                with pytest.raises(DeadlineExceeded, match="8 s for the whole stream passed after 1 events") as caught:
                    await anext(stream)
                assert caught.value.attempts == 1
            assert loop.time() - began == pytest.approx(8 if waits else 9, abs=0.1)
            assert client.tally.outcomes == {("gpt-4o", "expired"): 1}
            await at_rest(server, client)

    in_virtual_time(story)


def test_the_deadline_is_for_the_beginning() -> None:
    """It ends a call that says nothing, and no stream that has begun."""

    async def story() -> None:
        slow = [events(chunk(), end=b""), 6.0, *[chunk_ for _ in range(3) for chunk_ in (b"", 6.0)]]
        async with served(slow, [chunked(chunk("one"), kind=EVENTS), 100.0, b"e\r\n" + DONE + b"\r\n" + END]) as (
            _,
            client,
        ):
            with pytest.raises(DeadlineExceeded):
                async with ask(client, deadline=5):
                    pass
            taken: list[Any] = []
            async with ask(client, deadline=5) as stream:
                await take(stream, taken)
            assert text_of(taken) == "one"

    in_virtual_time(story)


def test_keepalives_keep_it() -> None:
    """An event that is only a sign of life is not delivered, and says that the server lives."""

    async def story() -> None:
        ping = b"".join(chunked(data({"type": "ping"}), kind=EVENTS).partition(b"\r\n\r\n")[2:])
        waits = [step for _ in range(20) for step in (4.0, ping)]
        rest = WHOLE[WHOLE.index(b"\r\n\r\n") + 4 :]
        async with served([chunked(chunk(), kind=EVENTS), *waits, rest], timeout=Timeout(idle_s=5)) as (_, client):
            taken: list[Any] = []
            async with ask(client) as stream:
                await take(stream, taken)
            assert text_of(taken) == "one two"
            assert len(taken) == 5

    in_virtual_time(story)


# -- usage, drain, close -------------------------------------------------------------------------------------


def test_what_was_used_is_settled_at_the_end() -> None:
    """And counted; the chunk that tells it has no choices, and is delivered like others."""

    async def story() -> None:
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
        told = events(chunk("one"), data({"choices": [], "usage": usage}), DONE)
        async with served([told], quotas=per_day(requests=100, tokens=1000)) as (_, client):
            async with ask(client) as stream:
                await take(stream, [])
                assert stream.usage == usage
            assert client.tally.tokens == {("gpt-4o", "input"): 5, ("gpt-4o", "output"): 7}

    in_virtual_time(story)


def test_drain_waits_for_a_stream() -> None:
    """Whoever is in the middle of one is let finish."""

    async def story() -> None:
        async with served([chunked(chunk("one"), kind=EVENTS), 30.0, b"e\r\n" + DONE + b"\r\n" + END]) as (_, client):
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with ask(client) as stream:
                draining = asyncio.ensure_future(client.drain())
                await take(stream, [])
            assert await draining
            assert loop.time() - began == pytest.approx(30, abs=1)

    in_virtual_time(story)


def test_close_ends_a_stream() -> None:
    """Whoever waits for its next event is told."""

    async def story() -> None:
        async with served([events(chunk("one"), end=b""), Move.SILENCE]) as (_, client):

            async def read() -> None:
                async with ask(client) as stream:
                    await take(stream, [])

            reading = asyncio.ensure_future(read())
            await asyncio.sleep(1)
            await client.close()
            with pytest.raises(StreamTruncated, match="the client was closed meanwhile"):
                await reading
            assert ledger_is_even(client)

    in_virtual_time(story)
