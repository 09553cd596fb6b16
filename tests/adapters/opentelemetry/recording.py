"""What OpenTelemetry was told, with its own SDK, in memory."""

from __future__ import annotations

from typing import Any

import attrs
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from ratelimit_client.adapters.opentelemetry.words import SCOPE
from ratelimit_client.core.units import NS


@attrs.frozen
class Seen:
    """A span, as a test wants to look at it."""

    name: str
    parent: str | None
    facts: dict[str, Any]
    error: str | None
    took_s: float
    links: int


def _place(span: ReadableSpan) -> tuple[bool, int, tuple[bool, str]]:
    scope = span.instrumentation_scope
    return scope is not None and scope.name == SCOPE, span.start_time or 0, (span.name.startswith(SCOPE), span.name)


class Begun(SpanProcessor):
    """Counts what begins, to be held beside what has ended."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        self.count += 1


class Recording:
    """Providers of a test's own, and what came of them."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.begun = Begun()
        self.tracers.add_span_processor(self.begun)
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer = self.tracers.get_tracer("program")

    @property
    def providers(self) -> dict[str, Any]:
        """As ``watch`` takes them."""
        return {"tracer_provider": self.tracers, "meter_provider": self.meters}

    @property
    def ended(self) -> list[ReadableSpan]:
        """Spans: the program's own, whose time is the machine's, and then ours, by when they began."""
        return sorted(self._exporter.get_finished_spans(), key=_place)

    def spans(self) -> list[Seen]:
        """The same, each with the name of its parent."""
        names = {span.context.span_id: span.name for span in self.ended}
        return [
            Seen(
                span.name,
                names.get(span.parent.span_id, "?") if span.parent else None,
                dict(span.attributes or {}),
                str((span.attributes or {}).get("error.type", "no type")) if not span.status.is_ok else None,
                ((span.end_time or 0) - (span.start_time or 0)) / NS,
                len(span.links),
            )
            for span in self.ended
        ]

    def points(self) -> dict[str, list[tuple[dict[str, Any], Any]]]:
        """The points of each metric: attributes, point."""
        data = self._reader.get_metrics_data()
        metrics = [] if data is None else [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return {metric.name: [(dict(p.attributes), p) for p in metric.data.data_points] for metric in metrics}
