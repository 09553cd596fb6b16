"""The waits and attempts of a limiter's calls, as spans."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from ratelimit_client import DeadlineExpiredInQueue, Limiter, RetryPolicy, TransportError, per_minute, per_second
from ratelimit_client.adapters.opentelemetry import watch
from ratelimit_client.adapters.opentelemetry.spans import _BETWEEN, Spans
from ratelimit_client.core.events import Event, Kind
from ratelimit_client.core.failure import FailureKind
from ratelimit_client.testing import ManualClock, run_virtual
from tests.adapters.opentelemetry.recording import Recording, Seen

QUEUE, ATTEMPT = "ratelimit_client.queue", "ratelimit_client.attempt"


def limiter_of(recording: Recording, *quotas: Any, **options: Any) -> Limiter:
    limiter = Limiter(*quotas, name="search", **options)
    watch(limiter, **recording.providers)
    return limiter


def shapes(spans: list[Seen]) -> list[tuple[str, str | None, str | None]]:
    return [(span.name.removeprefix("ratelimit_client."), span.parent, span.error) for span in spans]


def test_a_call_that_goes_at_once_is_one_span_below_its_callers() -> None:
    """Nothing was waited for, so nothing tells of a wait."""
    recording = Recording()

    async def story() -> None:
        async with limiter_of(recording) as limiter:
            with recording.tracer.start_as_current_span("caller"):
                async with limiter.permit("gpt-4o") as permit:
                    await asyncio.sleep(2)
                    permit.observe(200, {})

    run_virtual(story)
    attempt = next(span for span in recording.spans() if span.name == ATTEMPT)
    assert (attempt.parent, attempt.error, attempt.took_s) == ("caller", None, 2)
    assert attempt.facts == {
        "ratelimit_client.client": "search",
        "ratelimit_client.key": "gpt-4o",
        "ratelimit_client.attempt.number": 1,
        "http.response.status_code": 200,
        "ratelimit_client.outcome": "succeeded",
    }


def test_each_waiting_call_hangs_below_the_span_of_its_own_caller() -> None:
    """Though one turn of the queue lets several go, in whosever task."""
    recording = Recording()

    async def call(limiter: Limiter, name: str) -> None:
        with recording.tracer.start_as_current_span(name):
            async with limiter.permit("m"):
                await asyncio.sleep(1)

    async def story() -> None:
        async with limiter_of(recording, per_second(requests=1)) as limiter:
            await asyncio.gather(*(call(limiter, f"caller {number}") for number in range(4)))

    run_virtual(story)
    spans = recording.spans()
    for number in range(4):
        below = [span.name for span in spans if span.parent == f"caller {number}"]
        assert below == ([QUEUE] if number else []) + [ATTEMPT]
    assert sorted(span.took_s for span in spans if span.name == QUEUE) == pytest.approx([1, 2, 3], abs=0.2)


def test_tries_of_one_call_are_numbered_and_linked() -> None:
    """Two refusals and a success: what each try met, how long the server asked to wait, and the way back."""
    recording = Recording()
    answers: list[tuple[int, dict[str, str]]] = [
        (429, {"retry-after": "3", "x-request-id": "req_1", "x-ratelimit-limit-tokens": "9"}),
        (429, {"retry-after": "5", "x-request-id": "req_2"}),
        (200, {}),
    ]

    async def story() -> None:
        async with limiter_of(recording, dialect="openai") as limiter:
            with recording.tracer.start_as_current_span("caller"):
                async for attempt in limiter.attempts("m"):
                    async with attempt:
                        await asyncio.sleep(1)
                        attempt.observe(*answers.pop(0))

    run_virtual(story)
    spans = [span for span in recording.spans() if span.name != "caller"]
    assert shapes(spans) == [
        ("attempt", "caller", "429"),
        ("queue", "caller", None),
        ("attempt", "caller", "429"),
        ("queue", "caller", None),
        ("attempt", "caller", None),
    ]
    assert [span.facts["ratelimit_client.attempt.number"] for span in spans] == [1, 2, 2, 3, 3]
    assert [span.links for span in spans] == [0, 0, 1, 0, 1]
    attempts = [span for span in recording.ended if span.name == ATTEMPT]
    assert [span.links[0].context for span in attempts[1:]] == [span.context for span in attempts[:-1]]
    refused = [span.facts for span in spans if span.error]
    assert [facts["ratelimit_client.request_id"] for facts in refused] == ["req_1", "req_2"]
    assert [facts["ratelimit_client.server_wait_s"] for facts in refused] == [3, 5]
    assert [span.took_s for span in spans if span.name == QUEUE] == pytest.approx([3, 5], abs=1.1)


@pytest.mark.parametrize("when", ["queued", "under way"])
def test_a_cancelled_call_ends_its_span(when: str) -> None:
    """In the queue with the word for it, in flight with what was known; nothing stays open."""
    recording = Recording()

    async def story() -> int:
        async with limiter_of(recording, per_minute(requests=1)) as limiter:
            (spans,) = [each for each, _ in limiter._instruments._instruments if isinstance(each, Spans)]
            if when == "queued":
                async with limiter.permit("m"):
                    pass

            async def call() -> None:
                async with limiter.permit("m"):
                    await asyncio.sleep(3600)

            task = asyncio.create_task(call())
            await asyncio.sleep(7)
            assert spans.open == (when == "queued")  # of a call that goes at once its end tells all
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0)
            return spans.open

    left, _ = run_virtual(story)
    assert left == 0
    span = recording.spans()[-1]
    assert (span.name, span.error, span.took_s) == ((QUEUE, "cancelled", 7) if when == "queued" else (ATTEMPT, None, 7))


def test_what_ends_a_wait_or_a_try_is_named() -> None:
    """A deadline, a limiter that is closed, a connection that broke, an error that is no refusal."""
    recording = Recording()

    async def story() -> None:
        limiter = limiter_of(recording, {"late": per_minute(requests=1), "*": ()}, retry=RetryPolicy.none())
        for key, error in (("lost", TransportError("x", kind=FailureKind.TIMEOUT)), ("odd", ValueError("x"))):
            with pytest.raises(type(error)):
                async with limiter.permit(key):
                    raise error
        async with limiter.permit("busy") as permit:
            permit.observe(503, {"x-request-id": "req_3"})
        waits = asyncio.create_task(_wait(limiter, "late", None))
        await asyncio.sleep(0)
        await asyncio.gather(_wait(limiter, "late", 300.0), _until_closed(limiter), return_exceptions=True)
        await asyncio.wait([waits])

    run_virtual(story)
    assert [(span.facts["ratelimit_client.key"], span.error) for span in recording.spans()] == [
        ("lost", "timeout"),
        ("odd", None),
        ("busy", "503"),
        ("late", None),
        ("late", "Closed"),
    ]


async def _wait(limiter: Limiter, key: str, deadline: float | None) -> None:
    async with limiter.permit(key, deadline=deadline):
        await asyncio.sleep(1)


async def _until_closed(limiter: Limiter) -> None:
    await asyncio.sleep(2)
    limiter.close()


def test_a_deadline_that_passes_in_the_queue_ends_the_wait() -> None:
    """With the name of the error that its caller gets."""
    recording = Recording()

    async def story() -> None:
        async with limiter_of(recording, dialect="openai") as limiter:
            async with limiter.permit("m") as permit:
                permit.observe(429, {"retry-after": "60"})
            with pytest.raises(DeadlineExpiredInQueue):
                await _wait(limiter, "m", 5.0)

    run_virtual(story)
    assert shapes(recording.spans())[-1] == ("queue", None, "DeadlineExpiredInQueue")


def test_nothing_is_told_where_somebody_wants_it_so() -> None:
    """As ``suppress_instrumentation`` of OpenTelemetry does: of calls that wait and of calls that go at once."""
    recording = Recording()

    async def story() -> None:
        async with limiter_of(recording, per_second(requests=1)) as limiter:
            token = otel.attach(otel.set_value("suppress_instrumentation", True))
            await asyncio.gather(*(_wait(limiter, "quiet", None) for _ in range(3)))
            otel.detach(token)
            await _wait(limiter, "loud", None)

    run_virtual(story)
    assert {span.facts["ratelimit_client.key"] for span in recording.spans()} == {"loud"}


class Failing:
    """A tracer that never makes a span."""

    def start_span(self, name: str, **_: Any) -> Any:
        raise RuntimeError(f"no {name}")


def test_a_tracer_that_fails_loses_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once; calls go, are tried again and end as ever."""

    async def story() -> tuple[int, int]:
        async with Limiter(per_second(requests=1)) as limiter:
            spans = Spans(Failing(), ManualClock(), "x")
            limiter.add_instrument(spans)
            await asyncio.gather(*(_wait(limiter, "m", None) for _ in range(5)))
            return limiter.statistics().keys["m"].granted, spans.open

    assert run_virtual(story)[0] == (5, 0)
    assert [vars(record)["event"] for record in caplog.records if record.name == "ratelimit_client"] == ["hook_failed"]


def event(kind: Kind, call: int | None, **facts: Any) -> Event:
    return Event(kind, 0, "m", facts, call, None)


def test_calls_that_are_never_tried_again_are_forgotten() -> None:
    """Of those that failed the last thousand are remembered, and none that succeeded."""
    recording = Recording()
    spans = Spans(recording.tracer, ManualClock(), "x")
    for call in range(_BETWEEN + 50):
        spans.on_event(event(Kind.GRANTED, call))
        spans.on_event(event(Kind.RELEASED, call, ending="succeeded" if call < 10 else "ignored"))
    assert spans.open == 0
    assert list(spans._between) == list(range(50, _BETWEEN + 50))
    spans.on_event(event(Kind.CANCELLED, 60))
    assert 60 not in spans._between


def test_what_was_not_begun_here_is_not_ended_here() -> None:
    """An instrument may be added while calls are under way, and events without a call are no call's."""
    recording = Recording()
    spans = Spans(recording.tracer, ManualClock(), "x")
    spans.gauge("in_flight", {}, lambda: 0.0)
    for each in (
        event(Kind.ANSWERED, 1, status=200),
        event(Kind.RELEASED, 1, ending="succeeded"),
        event(Kind.EXPIRED, 2, error="Closed"),
        event(Kind.GRANTED, None),
    ):
        spans.on_event(each)
    assert (spans.open, recording.spans()) == (0, [])


def test_a_child_leaves_to_its_parent_what_is_open() -> None:
    """After a fork nothing is ended twice."""
    recording = Recording()
    spans = Spans(recording.tracer, ManualClock(), "x")
    spans.on_event(event(Kind.GRANTED, 1))
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, str(spans.open).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 9) == b"0"
    assert spans.open == 1
    os.close(reading)
    os.close(writing)


def test_a_trace_that_is_not_recorded_is_not_recorded_here() -> None:
    """Its spans lead nowhere, and calls are tried again as ever."""
    recording = Recording(ParentBased(ALWAYS_ON))
    statuses = [429, 200]

    async def story() -> None:
        async with limiter_of(recording) as limiter:
            with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True))):
                async for attempt in limiter.attempts("m"):
                    async with attempt:
                        attempt.observe(statuses.pop(0), {})

    run_virtual(story)
    assert (statuses, recording.spans()) == ([], [])
