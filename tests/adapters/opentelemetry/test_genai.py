"""A client's calls to models, as the conventions for generative AI want them told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import Span, SpanProcessor

from ratelimit_client import Client, ResponseError, RetryPolicy, StreamTruncated, TransportError
from ratelimit_client.adapters.opentelemetry import watch
from ratelimit_client.adapters.opentelemetry.genai import used_of
from tests import canary
from tests.adapters.aiohttp.rawserver import RawServer, Step, answer
from tests.adapters.aiohttp.running import CHAT, QUICK, in_virtual_time, ledger_is_even
from tests.adapters.aiohttp.streaming import DONE, chunk, data, events
from tests.adapters.opentelemetry.recording import Recording

DURATION, TOKENS = "gen_ai.client.operation.duration", "gen_ai.client.token.usage"
FIRST = "gen_ai.client.operation.time_to_first_chunk"
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
REPLY = answer(json.dumps({"id": "chatcmpl-1", "model": "gpt-4o-2024", "usage": USAGE}).encode(), x_request_id="req_9")
REFUSAL = answer(b"{}", status="429 Too Many Requests", x_request_id="req_1", retry_after_ms="200")
STREAM = events(chunk(), chunk("one "), data({"choices": [], "usage": USAGE}), DONE)


def told(
    story: Callable[[Client], Any], *conversations: list[Step], recording: Recording | None = None, **options: Any
) -> Recording:
    """*story* with a client that is watched, below a span of the program."""
    seen = Recording() if recording is None else recording
    of_client = {"api_key": canary.KEY, "retry": QUICK} | {k: v for k, v in options.items() if k == "retry"}
    of_watch = {name: value for name, value in options.items() if name != "retry"}

    async def run() -> None:
        async with RawServer(*conversations) as server, Client(server.url, **of_client) as client:
            watch(client, **seen.providers, **of_watch)
            with seen.tracer.start_as_current_span("program"):
                before = trace.get_current_span()
                await story(client)
                assert trace.get_current_span() is before
            assert ledger_is_even(client)

    in_virtual_time(run)
    for span in seen.ended:
        canary.clean(span.to_json(), "a span")
    for _, points in seen.points().items():
        canary.clean(repr([attributes for attributes, _ in points]), "a metric")
    return seen


async def post(client: Client) -> None:
    await client.post("/chat/completions", json=CHAT)


async def failing(client: Client) -> None:
    with pytest.raises((ResponseError, TransportError)):
        await post(client)


async def stream(client: Client) -> None:
    async with client.stream("/chat/completions", json=CHAT) as taken:
        async for _ in taken:
            await asyncio.sleep(1)


def test_one_call_with_two_refusals_is_a_tree() -> None:
    """The call below the program, its waits and tries below the call, and what was used on it."""
    seen = told(post, [REFUSAL], [REFUSAL], [0.5, REPLY])
    spans = {span.name: span for span in seen.spans()}
    assert [(span.name, span.parent) for span in seen.spans()] == [
        ("program", None),
        ("chat gpt-4o", "program"),
        *[
            ("ratelimit_client.attempt", "chat gpt-4o"),
            ("ratelimit_client.queue", "chat gpt-4o"),
        ]
        * 2,
        ("ratelimit_client.attempt", "chat gpt-4o"),
    ]
    call = spans["chat gpt-4o"]
    port = call.facts.pop("server.port")
    assert call.facts == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-4o-2024",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
        "server.address": "127.0.0.1",
        "ratelimit_client.attempts": 3,
        "ratelimit_client.request_id": "req_9",
    }
    whole = next(span for span in seen.ended if span.name == "chat gpt-4o")
    assert (call.error, whole.kind) == (None, trace.SpanKind.CLIENT)
    below = [span for span in seen.ended if span.name.startswith("ratelimit_client")]
    assert all(span.kind is trace.SpanKind.INTERNAL for span in below)
    assert all(whole.start_time <= span.start_time <= span.end_time <= whole.end_time for span in below)  # type: ignore[operator]
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024",
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    ((attributes, duration),) = seen.points()[DURATION]
    assert (attributes, duration.count) == (common, 1)
    assert duration.sum == pytest.approx(call.took_s)
    assert list(duration.explicit_bounds)[:3] == [0.01, 0.02, 0.04]
    used = {attributes.pop("gen_ai.token.type"): (attributes, point.sum) for attributes, point in seen.points()[TOKENS]}
    assert used == {"input": (common, 5), "output": (common, 7)}


def test_a_stream_lasts_until_it_has_ended() -> None:
    """Its span is not the current one while the consumer reads, and has what was used, which came last."""
    seen = told(stream, [1.5, STREAM])
    call = next(span for span in seen.spans() if span.name == "chat gpt-4o")
    assert call.took_s == pytest.approx(4.5, abs=0.5)
    ((_, first),) = seen.points()[FIRST]
    assert first.sum == pytest.approx(1.5, abs=0.1)
    assert (call.error, call.facts["gen_ai.usage.output_tokens"]) == (None, 7)
    assert next(span.parent for span in seen.spans() if span.name == "ratelimit_client.attempt") == "chat gpt-4o"
    assert {attributes["gen_ai.token.type"] for attributes, _ in seen.points()[TOKENS]} == {"input", "output"}


def test_a_stream_that_breaks_off_or_is_left_says_so() -> None:
    """As an error of its kind, or as what its consumer did."""

    async def breaks(client: Client) -> None:
        with pytest.raises(StreamTruncated):
            await stream(client)
        async with client.stream("/chat/completions", json=CHAT) as taken:
            await anext(taken)

    seen = told(breaks, [events(chunk(), chunk("one"))], [STREAM[:-40], 60.0])
    calls = [span for span in seen.spans() if span.name == "chat gpt-4o"]
    assert [span.error for span in calls] == ["incomplete", "cancelled"]
    assert sorted(attributes["error.type"] for attributes, _ in seen.points()[DURATION]) == ["cancelled", "incomplete"]


def test_a_stream_that_does_not_open_is_a_failed_call() -> None:
    """With the status of the answer, and the span is the program's again."""

    async def refused(client: Client) -> None:
        with pytest.raises(ResponseError):
            await stream(client)

    seen = told(refused, [answer(b"{}", status="400 Bad Request")])
    assert [span.error for span in seen.spans() if span.name == "chat gpt-4o"] == ["400"]


def test_a_cancelled_call_ends_its_spans() -> None:
    """All of them, at the moment in which it was cancelled."""

    async def cancelled(client: Client) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await post(client)

    seen = told(cancelled, [60.0])
    assert [(span.name, span.error, span.took_s) for span in seen.spans()[1:]] == [
        ("chat gpt-4o", "CancelledError", pytest.approx(2, abs=0.1)),
        ("ratelimit_client.attempt", None, pytest.approx(2, abs=0.1)),
    ]


@pytest.mark.parametrize(
    ("conversation", "error"),
    [
        ([answer(b"{}", status="401 Unauthorized", x_request_id="req_4")], "401"),
        ([b"no http\r\n\r\n"], "protocol"),
    ],
)
def test_an_error_is_told_by_its_kind(conversation: list[Step], error: str) -> None:
    """The status of an answer or what was wrong on the way; the id of the request where there was one."""
    seen = told(failing, conversation, retry=RetryPolicy.none())
    call = next(span for span in seen.spans() if span.name == "chat gpt-4o")
    assert (call.error, call.facts.get("ratelimit_client.request_id")) == (error, "req_4" if error == "401" else None)
    assert [attributes["error.type"] for attributes, _ in seen.points()[DURATION]] == [error]
    assert TOKENS not in seen.points()


def test_a_server_that_quotes_the_key_tells_nobody() -> None:
    """Not in the id of the request, of the answer, or the name of the model."""
    body = {"id": canary.KEY, "model": f"m {canary.KEY}", "usage": {"prompt_tokens": canary.KEY}}
    quoted = answer(json.dumps(body).encode(), x_request_id=canary.KEY)
    refusal = answer(canary.KEY.encode(), status="429 Too Many Requests", x_request_id=canary.KEY, retry_after_ms="20")
    seen = told(post, [refusal], [quoted])
    call = next(span for span in seen.spans() if span.name == "chat gpt-4o")
    assert not {"gen_ai.response.id", "gen_ai.response.model", "ratelimit_client.request_id"} & set(call.facts)


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/embeddings", {"model": "e", "input": "x"}, "embeddings e"),
        ("/completions", {"model": "c", "prompt": "x"}, "text_completion c"),
        ("/responses", {"input": "x"}, "chat"),
        ("/moderations", {"model": "m", "input": "x"}, None),
    ],
)
def test_what_is_asked_of_a_model_has_a_name(path: str, body: dict[str, str], name: str | None) -> None:
    """By the path; what the conventions have no name for is told of by its waits and tries alone."""

    async def ask(client: Client) -> None:
        await client.post(path, json=body)

    seen = told(ask, [answer(b"{}")])
    assert [span.name for span in seen.spans() if "gen_ai.operation.name" in span.facts] == ([name] if name else [])
    assert seen.spans()[-1].parent == (name or "program")


def test_nothing_is_told_twice_and_the_caller_decides() -> None:
    """Below a span of a call to a model there is none of ours, unless it is asked for; ``False`` is never."""
    seen = Recording()

    async def below(client: Client) -> None:
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
        with seen.tracer.start_as_current_span("theirs", kind=trace.SpanKind.CLIENT, attributes=attributes):
            await post(client)

    found = {}
    for choice in (None, True, False):
        seen = Recording()
        told(below, [REPLY], recording=seen, gen_ai=choice)
        found[choice] = [(span.name, span.parent) for span in seen.spans()[2:]], sorted(seen.points())
    assert found == {
        None: ([("ratelimit_client.attempt", "theirs")], []),
        True: ([("chat gpt-4o", "theirs"), ("ratelimit_client.attempt", "chat gpt-4o")], [DURATION, TOKENS]),
        False: ([("ratelimit_client.attempt", "theirs")], []),
    }


class Raising(SpanProcessor):
    """A processor of somebody who has made a mistake."""

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        raise RuntimeError("on_start")


def test_a_tracer_that_raises_loses_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once for calls and once for waits, and the replies come."""
    seen = Recording()
    seen.tracers.add_span_processor(Raising())

    async def run() -> list[int]:
        async with RawServer([REPLY]) as server, Client(server.url, api_key=canary.KEY) as client:
            watch(client, **seen.providers)
            return [(await client.post("/chat/completions", json=CHAT)).status for _ in range(3)]

    assert in_virtual_time(run) == [200] * 3
    events_ = [vars(record)["event"] for record in caplog.records if record.name == "ratelimit_client"]
    assert sorted(events_) == ["hook_failed", "telemetry_failed"]


class RaisingSpan(trace.NonRecordingSpan):
    """A span with which nothing can be done."""

    def set_attribute(self, key: str, value: Any) -> None:
        raise RuntimeError(key)

    def end(self, end_time: int | None = None) -> None:
        raise RuntimeError("end")


def test_a_span_that_raises_loses_no_reply() -> None:
    """Whatever it raises on."""

    class Tracer:
        def start_span(self, *_: Any, **__: Any) -> Any:
            return RaisingSpan(trace.INVALID_SPAN_CONTEXT)

    async def ask(client: Client) -> None:
        assert client.tally.watcher is not None
        client.tally.watcher._tracer = Tracer()  # type: ignore[attr-defined]  # a watcher of any kind
        await post(client)
        await stream(client)

    told(ask, [REPLY], [STREAM])


def test_usage_that_cannot_be_believed_is_left_out() -> None:
    """By the names of each API; a truth value is no number."""
    assert used_of(USAGE) == {"input": 5, "output": 7}
    assert used_of({"input_tokens": 0, "output_tokens": True}) == {"input": 0}
    assert used_of({"promptTokenCount": 3, "candidatesTokenCount": -1}) == {"input": 3}
    assert used_of({"prompt_tokens": 10**30}) == used_of(None) == used_of([1]) == {}


def test_names_without_end_are_not_series_without_end() -> None:
    """Thirty-two models and the others; in spans each has its name."""

    async def ask(client: Client) -> None:
        for number in range(40):
            await client.post("/embeddings", json={"model": f"m{number}", "input": "x"})

    seen = told(ask, [answer(b"{}")])
    models = {attributes["gen_ai.request.model"] for attributes, _ in seen.points()[DURATION]}
    assert (len(models), "other" in models) == (33, True)
    assert len({span.name for span in seen.spans() if span.name.startswith("embeddings")}) == 40
