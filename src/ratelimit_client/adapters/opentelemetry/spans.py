"""
The waits and the attempts of calls, as spans.

Law of this file: a span begins and ends when what it tells of did, whenever it is made; it belongs to the span that was
current where the call was made; and each ends once, whichever way its call ends.

Theory. An instrument is told of events a moment later, on nobody's behalf. So a span is made of two events, with their
times, and its parent is read from the context that the event brought along: that of its caller, who queued the call or
sent it again. That costs a call nothing but the events, and a tracer that fails or is slow fails and is slow after the
fact. What is made inside an attempt by others (the span of an HTTP request) has the caller's span for its parent, too,
and stands beside ours. ADR 19 weighs it.

Between a try that failed and the next one nothing is open. So that the next has a link to the last and a number, the
last thousand such calls are remembered.
"""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any, Final

import attrs

from ...core.events import Event, Kind
from ...core.scopes import plain
from ...core.units import to_s
from ...runtime.clock import Clock
from ...runtime.logs import short
from . import words
from .elsewhere import is_suppressed
from .extra import needed

_BETWEEN: Final = 1024


@attrs.define(eq=False)
class _Call:
    """One call: where it was made, and how far it is."""

    context: Any
    number: int = 0
    span: Any = None
    last: Any = None


class Spans:
    """
    An instrument of one limiter.

    Args:
        tracer: what makes spans.
        clock: the limiter's.
        name: the limiter's.
    """

    wants_context = True

    def __init__(self, tracer: Any, clock: Clock, name: str) -> None:
        self._trace, self._api = needed("opentelemetry.trace"), needed("opentelemetry.context")
        self._tracer = tracer
        self._clock = clock
        self._name = name
        self._open: dict[int, _Call] = {}
        self._between: OrderedDict[int, _Call] = OrderedDict()
        self._told: Mapping[Kind, Callable[[Event, int], None]] = {
            Kind.QUEUED: self._queued,
            Kind.GRANTED: self._granted,
            Kind.ANSWERED: self._answered,
            Kind.REFUSED: self._refused,
            Kind.ERRED: self._refused,
            Kind.FAILED: self._failed,
            Kind.RELEASED: self._released,
            Kind.RETRYING: self._queued,
            Kind.EXPIRED: self._left,
            Kind.CANCELLED: self._left,
        }
        self.kinds = frozenset(self._told)
        _all.add(self)

    def on_event(self, event: Event) -> None:
        """Begin a span, end one, or say more on the one that is open."""
        if event.call is not None:
            self._told[event.kind](event, event.call)

    def gauge(self, name: str, labels: Mapping[str, str], read: Callable[[], float]) -> None:
        """A trace has no use for a number that is read later."""

    @property
    def open(self) -> int:
        """Calls that have a span which has not ended."""
        return len(self._open)

    # -- a call ---------------------------------------------------------------------

    def _queued(self, event: Event, number: int) -> None:
        call = self._between.pop(number, None) or _Call(None)
        call.context = self._context_of(event)
        if call.context is not None:
            self._open[number] = call
            self._begin(call, words.QUEUE, event, {words.NUMBER: call.number + 1})

    def _granted(self, event: Event, number: int) -> None:
        call = self._open.pop(number, None)
        if call is None:  # it went at once
            call = _Call(self._context_of(event))
            if call.context is None:
                return
        self._end(call, event)
        call.number += 1
        self._open[number] = call
        self._begin(call, words.ATTEMPT, event, {words.NUMBER: call.number})

    def _answered(self, event: Event, number: int) -> None:
        self._say(number, {words.STATUS_CODE: event.facts["status"], words.REQUEST_ID: event.facts.get("request_id")})

    def _refused(self, event: Event, number: int) -> None:
        facts = event.facts
        wait_ns = facts.get("wait_ns")
        self._say(
            number,
            {
                words.LIMIT: facts.get("unit"),
                words.WAIT_S: to_s(wait_ns) if isinstance(wait_ns, int) else None,
                words.REQUEST_ID: facts["request_id"],
            },
            str(facts["status"]),
        )

    def _failed(self, event: Event, number: int) -> None:
        self._say(number, {}, str(event.facts["failure"]))

    def _released(self, event: Event, number: int) -> None:
        call = self._open.pop(number, None)
        if call is None:
            return
        if event.facts["ending"] != "succeeded":
            self._between[number] = call
            if len(self._between) > _BETWEEN:
                self._between.popitem(last=False)
        if call.span is not None:
            call.last = call.span.get_span_context()
        self._end(call, event, {words.OUTCOME: event.facts["ending"]})

    def _left(self, event: Event, number: int) -> None:
        self._between.pop(number, None)
        call = self._open.pop(number, None)
        if call is not None:
            self._end(call, event, error=str(event.facts.get("error") or "cancelled"))

    # -- a span ---------------------------------------------------------------------

    def _context_of(self, event: Event) -> Any:
        """Where the call was made, in the terms of OpenTelemetry; None: nothing is to be told of it."""
        if not isinstance(event.context, Context):
            return self._api.Context()
        context = event.context.run(self._api.get_current)
        return None if is_suppressed(self._api, context) else context

    def _begin(self, call: _Call, name: str, event: Event, attributes: Mapping[str, object]) -> None:
        call.span = self._tracer.start_span(
            name,
            context=call.context,
            attributes={words.CLIENT: self._name, words.KEY: short(plain(event.key)), **attributes},
            links=[self._trace.Link(call.last)] if call.last is not None and name == words.ATTEMPT else None,
            start_time=self._wall_ns(event),
        )

    def _say(self, number: int, attributes: Mapping[str, object], error: str | None = None) -> None:
        call = self._open.get(number)
        if call is not None:
            self._add(call.span, attributes, error)

    def _add(self, span: Any, attributes: Mapping[str, object], error: str | None) -> None:
        for name, value in attributes.items():
            if value is not None:
                span.set_attribute(name, short(value) if isinstance(value, str) else value)
        if error is not None:
            span.set_attribute(words.ERROR_TYPE, error)
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))

    def _end(
        self, call: _Call, event: Event, attributes: Mapping[str, object] | None = None, error: str | None = None
    ) -> None:
        span, call.span = call.span, None
        if span is not None:
            try:
                self._add(span, attributes or {}, error)
            finally:
                span.end(self._wall_ns(event))

    def _wall_ns(self, event: Event) -> int:
        """When it happened, as spans have it."""
        return event.at_ns + self._clock.wall_ns() - self._clock.monotonic_ns()

    def clear(self) -> None:
        """In a forked child: what is open is the parent's to end."""
        self._open.clear()
        self._between.clear()


_all: weakref.WeakSet[Spans] = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_all):
        each.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
