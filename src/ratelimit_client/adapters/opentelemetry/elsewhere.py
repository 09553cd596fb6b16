"""
Whether somebody else tells of a call already.

Law of this file: one call has one span of the conventions for generative AI, and is counted once in their metrics. Who
tells of it first keeps it.

Theory. Whatever instruments an SDK or a framework has its span current while the call is made, and that is where to
look: is the current span one of a call to a model? Where a trace is not recorded its spans have no attributes; then it
is taken for one if an instrumentation of the OpenAI SDK is active in this process. Instrumentations of HTTP libraries
make spans of another kind, for each request; ours are none of these, whether those are there or not.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from .words import INFERENCE, OPERATION

_SDKS: Final = ("opentelemetry.instrumentation.openai_v2", "opentelemetry.instrumentation.openai")
_OTHER_WORDS: Final = ("llm.request.type", "openinference.span.kind")
"""What spans say that keep older conventions, or others."""

_SUPPRESSED: Final = ("suppress_instrumentation", "suppress_language_model_instrumentation")
"""Keys of a context in which nothing is to be told; opentelemetry-instrumentation sets the first."""


def is_told(span: Any) -> bool:
    """*span*, the current one, is of a call to a model."""
    if not span.is_recording():
        return bool(span.get_span_context().is_valid) and _sdk_is_instrumented()
    attributes: Mapping[str, object] = getattr(span, "attributes", None) or {}
    if attributes.get(OPERATION) in INFERENCE or any(name in attributes for name in _OTHER_WORDS):
        return True
    scope = getattr(getattr(span, "instrumentation_scope", None), "name", None)
    return isinstance(scope, str) and scope.startswith(_SDKS)


def _sdk_is_instrumented() -> bool:
    """An instrumentation of the OpenAI SDK was switched on; none is loaded for this."""
    for name in _SDKS:
        instrumentor = getattr(sys.modules.get(name), "OpenAIInstrumentor", None)
        # One object a process, and that is how it says it: BaseInstrumentor of opentelemetry-instrumentation.
        if instrumentor is not None and getattr(instrumentor(), "is_instrumented_by_opentelemetry", False):
            return True
    return False


def is_suppressed(api: Any, context: Any) -> bool:
    """Whoever made *context* wants nothing told of what happens in it."""
    return any(api.get_value(key, context) for key in _SUPPRESSED)
