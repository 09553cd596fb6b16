"""Which request a count is of."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from ratelimit_client import Client, Limiter, ResponseError, RetryPolicy
from ratelimit_client.adapters.prometheus import watch
from ratelimit_client.adapters.prometheus.exemplars import Marks, of_request
from ratelimit_client.testing import run_virtual
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.adapters.aiohttp.running import CHAT, on_real_sockets
from tests.adapters.prometheus.scraping import exemplars, scraped
from tests.canary import KEY, shows

TRACE = trace.SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))


def answered(registry: CollectorRegistry, *answers: bytes, key: str = KEY) -> None:
    """One call for each answer, one after the other, with no retries."""

    async def story() -> None:
        conversations = [[each] for each in answers]
        async with (
            RawServer(*conversations) as server,
            Client(server.url, api_key=key, retry=RetryPolicy.none()) as client,
        ):
            watch(client, registry)
            for _ in answers:
                with contextlib.suppress(ResponseError):
                    await client.post("/chat/completions", json=CHAT)

    on_real_sockets(story)


def test_a_call_and_an_error_name_their_request():
    """
    The duration of a call that went well, and of an error the attempt and the limit it names.
    """
    registry = CollectorRegistry()
    refusal = answer(b"{}", status="429 Too Many Requests", x_request_id="req-2", x_ratelimit_remaining_requests="0")
    answered(registry, answer(x_request_id="req-1"), refusal)
    found = exemplars(registry)

    (place,) = (at for at in found if at[0] == "request_duration_seconds_bucket")
    assert (found[place].labels, found[place].value < 10) == ({"request_id": "req-1"}, True)
    assert found["attempts_total", "default", "429", "gpt-4o"].labels == {"request_id": "req-2"}
    assert [found[at].labels for at in found if at[0] == "rate_limited_total"] == [{"request_id": "req-2"}]
    assert ("attempts_total", "default", "200", "gpt-4o") not in found


def test_the_classic_format_has_no_place_for_them():
    """
    The same numbers, and no request.
    """
    registry = CollectorRegistry()
    answered(registry, answer(x_request_id="req-1"))

    assert scraped(registry)["request_duration_seconds_count", "default"] == 1


def test_a_trace_goes_before_a_request():
    """
    Where the call is part of one that is recorded; whoever reads it finds the request there.
    """
    registry = CollectorRegistry()
    with trace.use_span(trace.NonRecordingSpan(TRACE)):
        answered(registry, answer(x_request_id="req-1"))

    assert [example.labels for example in exemplars(registry).values()] == [{"trace_id": f"{0xABC:032x}"}]


@pytest.mark.parametrize(
    "context", [trace.INVALID_SPAN_CONTEXT, trace.SpanContext(1, 2, is_remote=False, trace_flags=trace.TraceFlags(0))]
)
def test_a_trace_that_nobody_keeps_is_none(context: trace.SpanContext):
    """
    It is not sampled, so there is nothing to be found under its name.
    """
    marks = Marks((1.0,))
    with trace.use_span(trace.NonRecordingSpan(context)):
        marks.note(0.5, "req-1")

    assert marks.shown[0] is not None
    assert marks.shown[0].labels == {"request_id": "req-1"}


class Broken(trace.NonRecordingSpan):
    def get_span_context(self) -> Any:
        raise RuntimeError("a tracer of somebody's own")


def test_a_tracer_that_fails_costs_an_example_and_no_call():
    """
    The call succeeds; there is a request instead of a trace.
    """
    registry = CollectorRegistry()
    with trace.use_span(Broken(TRACE)):
        answered(registry, answer(x_request_id="req-1"))

    assert scraped(registry)["requests_total", "default", "gpt-4o", "success"] == 1


def test_one_example_for_each_bucket_between_two_scrapes():
    """
    The first after a scrape; until then the one before stays.
    """
    marks = Marks((1.0, 2.0))
    assert [marks.due(s) for s in (0.5, 1.0, 1.5, 9.0)] == [True] * 4
    marks.note(0.5, "a")
    marks.note(9.0, "b")
    assert [marks.due(s) for s in (0.5, 1.0, 1.5, 9.0)] == [False, False, True, False]
    marks.scraped()
    assert marks.due(0.5)
    assert [each and each.labels for each in marks.shown] == [{"request_id": "a"}, None, {"request_id": "b"}]


@pytest.mark.parametrize(
    "name",
    [None, "", "sk-0123456789", "x sk-1", "Bearer-abc", "two words", "a\nb", "x" * 101, "ümlaut", '"', "\ud800"],
)
def test_what_is_no_name_of_a_request_is_not_shown(name: str | None):
    """
    A name is one word of plain characters; nothing that looks like a key is one.
    """
    assert of_request(name) is None


@pytest.mark.parametrize("key", [KEY, KEY.removeprefix("sk-CANARY-")], ids=["whole", "bare"])
def test_a_server_that_quotes_the_key_as_its_request(key: str):
    """
    Of a success and of an error: it is on no page.
    """
    registry = CollectorRegistry()
    answered(
        registry,
        answer(x_request_id=key),
        answer(status="400 Bad Request", x_request_id=key),
        answer(status="429 Too Many Requests", x_request_id=key),
        key=key,
    )
    found = exemplars(registry)

    assert not any(shows(str(example.labels)) for example in found.values())
    assert scraped(registry)["attempts_total", "default", "429", "gpt-4o"] == 1


def test_a_limiter_that_is_told_of_an_error_names_it():
    """
    Calls of any HTTP library, by what its answer says.
    """
    registry = CollectorRegistry()
    limiter = Limiter(name="mine", dialect="openai")

    async def story() -> None:
        watch(limiter, registry)
        async with limiter.permit("m") as permit:
            permit.observe(500, {"x-request-id": "req-9"})

    run_virtual(story)
    assert exemplars(registry)["attempts_total", "mine", "500", "m"].labels == {"request_id": "req-9"}
