"""
A client's calls to models, as the conventions for generative AI want them told.

Law of this file: a call has one span, which is current while the call is made, and is counted once, when it has ended;
no words of a prompt, of an answer or of a key are in either. Whatever a tracer or a meter does, no call hears of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from ...core.counts import Names
from ...core.units import to_s
from ...dialects import detect
from ...dialects.features import MOST_TOKENS
from ...runtime.calling import DEFAULT_KEY
from ...runtime.clock import Clock
from ...runtime.logs import fields, short
from . import words
from .elsewhere import is_suppressed, is_told
from .extra import needed

_log = logging.getLogger("ratelimit_client")

_COUNTED = {
    **dict.fromkeys(("prompt_tokens", "input_tokens", "promptTokenCount"), "input"),
    **dict.fromkeys(("completion_tokens", "output_tokens", "candidatesTokenCount"), "output"),
}


class Calls:
    """
    What watches the calls of one client.

    Args:
        tracer, meter: what makes spans and instruments.
        clock: the limiter's, so that spans fit into each other.
        provider: ``gen_ai.provider.name``; None: as the address says.
        always: also of calls that somebody else tells of.
    """

    def __init__(self, tracer: Any, meter: Any, clock: Clock, *, provider: str | None, always: bool) -> None:
        self.trace, self._api = needed("opentelemetry.trace"), needed("opentelemetry.context")
        self._tracer = tracer
        self.clock = clock
        self._provider = provider
        self._always = always
        self._complained = False
        self.names = Names()
        self.duration = meter.create_histogram(
            words.DURATION,
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=words.DURATION_S,
        )
        self.first = meter.create_histogram(
            words.FIRST,
            unit="s",
            description="Time to receive the first chunk.",
            explicit_bucket_boundaries_advisory=words.DURATION_S,
        )
        self.tokens = meter.create_histogram(
            words.TOKENS,
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=words.TOKENS_UP_TO,
        )

    def began(self, call: Any) -> Operation | None:
        """
        A call begins in the task that asks; None: nothing is to be told of it.

        Args:
            call: has the ``url`` and the ``key``, which is the model unless the caller named another.
        """
        try:
            return self._began(call)
        except Exception as error:  # noqa: BLE001 - a call is not lost because nobody could be told of it
            self.failed(error)
            return None

    def _began(self, call: Any) -> Operation | None:
        name = words.operation_of(call.url.path)
        if name is None or is_suppressed(self._api, None):
            return None
        if not self._always and is_told(self.trace.get_current_span()):
            return None
        attributes = {
            words.OPERATION: name,
            words.PROVIDER: self._provider or _provider_at(str(call.url.origin())),
            words.ADDRESS: call.url.host or "",
            words.PORT: call.url.port or 0,
        }
        shown, title = dict(attributes), name
        if call.key != DEFAULT_KEY:  # a body without a model
            shown[words.REQUEST_MODEL] = model = short(call.key)
            attributes[words.REQUEST_MODEL] = self.names.of(model)
            title = f"{name} {model}"
        began_ns, at_ns = self.clock.monotonic_ns(), self.clock.wall_ns()
        span = self._tracer.start_span(title, kind=self.trace.SpanKind.CLIENT, attributes=shown, start_time=at_ns)
        token = self._api.attach(self.trace.set_span_in_context(span))
        return Operation(self, span, attributes, token, at_ns, began_ns)

    def detach(self, token: Any) -> None:
        """The span is no longer the current one."""
        self._api.detach(token)

    def failed(self, error: BaseException) -> None:
        """A tracer or a meter did; it is said once."""
        if not self._complained:
            self._complained = True
            extra = fields("telemetry_failed", error=type(error).__name__)
            _log.warning("OpenTelemetry failed; not reported again", exc_info=error, extra=extra)


class Operation:
    """
    One call, from when it was asked for to its end.

    Args:
        span: of it; current until it is left.
        attributes: what its counts are kept by.
        token: gives back the context that was.
        at_ns, began_ns: when it began, by the calendar and by the clock that measures.
    """

    def __init__(
        self, calls: Calls, span: Any, attributes: dict[str, Any], token: Any, at_ns: int, began_ns: int
    ) -> None:
        self._calls = calls
        self._span = span
        self._attributes = attributes
        self._token = token
        self._at_ns, self._began_ns = at_ns, began_ns
        self._over = False

    def opened(self) -> None:
        """The first event of a stream is there: the task that asked goes on with something else, and the call lasts."""
        self._leave()
        self._quietly(lambda: self._calls.first.record(to_s(self._took_ns()), self._attributes))

    def _took_ns(self) -> int:
        return self._calls.clock.monotonic_ns() - self._began_ns

    def _leave(self) -> None:
        """Its span is no longer the current one. Idempotent."""
        token, self._token = self._token, None
        if token is not None:
            self._quietly(lambda: self._calls.detach(token))

    def answered(
        self, *, usage: object, attempts: int, request_id: str | None, model: object = None, name: object = None
    ) -> None:
        """What a success says of itself; text that could be a key is left out by whoever tells it."""

        def say() -> None:
            self._set({words.ATTEMPTS: attempts, words.REQUEST_ID: request_id, words.RESPONSE_ID: name})
            self._set({words.RESPONSE_MODEL: model})
            if isinstance(model, str):
                self._attributes[words.RESPONSE_MODEL] = self._calls.names.of(short(model))
            used = used_of(usage)
            self._set({words.USED[kind]: tokens for kind, tokens in used.items()})
            for kind, tokens in used.items():
                self._calls.tokens.record(tokens, {**self._attributes, words.TOKEN_TYPE: kind})

        self._quietly(say)

    def ended(self, error: BaseException | None = None, *, why: str | None = None) -> None:
        """
        It is over, well or with *error*. Idempotent.

        Args:
            why: what was wrong, where there is no error.
        """
        self._leave()
        if self._over:
            return
        self._over = True
        kind = why if error is None else _kind_of(error)
        took_ns = self._took_ns()

        def say() -> None:
            if kind is not None:
                self._attributes[words.ERROR_TYPE] = kind
                self._set({words.ERROR_TYPE: kind, words.REQUEST_ID: getattr(error, "request_id", None)})
                self._set({words.ATTEMPTS: getattr(error, "attempts", None)})
                self._span.set_status(self._calls.trace.Status(self._calls.trace.StatusCode.ERROR))
            self._calls.duration.record(to_s(took_ns), self._attributes)

        self._quietly(say)
        self._quietly(lambda: self._span.end(self._at_ns + took_ns))

    def _set(self, attributes: Mapping[str, object]) -> None:
        for name, value in attributes.items():
            if isinstance(value, str | int):
                self._span.set_attribute(name, short(value) if isinstance(value, str) else value)

    def _quietly(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a call is not lost because nobody could be told of it
            self._calls.failed(error)


def used_of(usage: object) -> dict[str, int]:
    """Tokens by kind, as far as an answer says them in a way that can be believed."""
    if not isinstance(usage, Mapping):
        return {}
    found = {kind: usage.get(name) for name, kind in _COUNTED.items() if name in usage}
    return {kind: value for kind, value in found.items() if type(value) is int and 0 <= value <= MOST_TOKENS}


def _kind_of(error: BaseException) -> str:
    """The status of an error that is an answer, what kind of failure it was, or what it is called."""
    status, kind = getattr(error, "status", None), getattr(error, "kind", None)
    if isinstance(status, int) and status >= 400:
        return str(status)
    return str(kind) if kind is not None else type(error).__name__


@lru_cache(maxsize=64)
def _provider_at(origin: str) -> str:
    return words.provider_of(detect(url=origin).name)
