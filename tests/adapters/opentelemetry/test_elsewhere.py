"""Whether somebody else tells of a call already."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry import trace

from ratelimit_client.adapters.opentelemetry.elsewhere import is_suppressed, is_told
from tests.adapters.opentelemetry.recording import Recording

UNRECORDED = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))


@pytest.mark.parametrize(
    ("scope", "attributes", "told"),
    [
        ("program", {}, False),
        ("program", {"gen_ai.operation.name": "invoke_agent"}, False),
        ("program", {"gen_ai.operation.name": "chat"}, True),
        ("program", {"gen_ai.operation.name": "embeddings"}, True),
        ("program", {"llm.request.type": "chat"}, True),
        ("program", {"openinference.span.kind": "LLM"}, True),
        ("opentelemetry.instrumentation.openai.v1", {}, True),
        ("opentelemetry.instrumentation.openai_v2", {}, True),
        ("opentelemetry.instrumentation.aiohttp_client", {"http.request.method": "POST"}, False),
        ("opentelemetry.instrumentation.httpx", {"http.request.method": "POST"}, False),
    ],
)
def test_the_current_span_tells_whose_it_is(scope: str, attributes: dict[str, Any], told: bool) -> None:
    """One of an agent is no call to a model, and one of HTTP is of another kind."""
    with Recording().tracers.get_tracer(scope).start_as_current_span("x", attributes=attributes) as span:
        assert is_told(span) is told


def test_without_a_span_nobody_tells() -> None:
    """None is current."""
    assert not is_told(trace.INVALID_SPAN)


class Instrumentor:
    """As BaseInstrumentor of opentelemetry-instrumentation shows itself: one in a process."""

    is_instrumented_by_opentelemetry = True


@pytest.fixture(params=["openai_v2", "openai"])
def _instrumented(request: pytest.FixtureRequest) -> Iterator[None]:
    name = f"opentelemetry.instrumentation.{request.param}"
    module: Any = ModuleType(name)
    module.OpenAIInstrumentor = Instrumentor
    sys.modules[name] = module
    yield
    del sys.modules[name]


@pytest.mark.usefixtures("_instrumented")
def test_a_span_that_is_not_recorded_is_the_sdks_where_that_is_instrumented() -> None:
    """It has no attributes to look at; one that is recorded has, and a call outside of any trace is nobody's."""
    assert is_told(UNRECORDED)
    assert not is_told(trace.INVALID_SPAN)
    with Recording().tracer.start_as_current_span("x") as span:
        assert not is_told(span)


def test_a_span_that_is_not_recorded_is_nobodys_otherwise() -> None:
    """An instrumentation that is installed and not switched on is none."""
    assert not is_told(UNRECORDED)
    name = "opentelemetry.instrumentation.openai"
    module: Any = ModuleType(name)
    module.OpenAIInstrumentor = type("Off", (), {"is_instrumented_by_opentelemetry": False})
    sys.modules[name] = module
    try:
        assert not is_told(UNRECORDED)
    finally:
        del sys.modules[name]


@pytest.mark.parametrize("key", ["suppress_instrumentation", "suppress_language_model_instrumentation"])
def test_a_context_in_which_nothing_is_to_be_told(key: str) -> None:
    """By the keys that others obey, too."""
    assert not is_suppressed(otel, otel.Context())
    assert is_suppressed(otel, otel.set_value(key, True, otel.Context()))
