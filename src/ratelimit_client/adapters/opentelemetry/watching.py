"""
What to type to have calls traced.

Law of this file: who is watched twice is told of once. Providers are OpenTelemetry's own unless they are given.
"""

from __future__ import annotations

import weakref
from typing import Any

from ... import __version__
from ...errors import ConfigurationError
from ...runtime.given import clock_here
from ...runtime.limiter import Limiter
from .extra import needed
from .genai import Calls
from .spans import Spans
from .words import SCHEMA, SCOPE

_watched: weakref.WeakSet[Limiter] = weakref.WeakSet()


def watch(
    what: Any,
    *,
    tracer_provider: Any = None,
    meter_provider: Any = None,
    gen_ai: bool | None = None,
    provider: str | None = None,
) -> None:
    """
    Tell OpenTelemetry of the calls of a client or a limiter, from now on; a second time changes nothing.

    Each wait in the queue and each attempt becomes a span below the one that was current where the call was made. Of a
    client each call to a model besides becomes a span ``chat gpt-4o`` above those, with tokens and duration in the
    metrics of the conventions for generative AI.

    Args:
        what: a ``Client``, or a ``Limiter``.
        tracer_provider, meter_provider: None: those that the program has set up.
        gen_ai: whether to tell of calls to models as the conventions want it. None: unless somebody else does, that is,
            the current span is of a call to a model already. True: always. False: never.
        provider: ``gen_ai.provider.name``. None: as the address says, else "openai".

    Raises:
        ConfigurationError: opentelemetry-api is not installed, or *what* is neither.
    """
    limiter = what if isinstance(what, Limiter) else getattr(what, "limiter", None)
    if not isinstance(limiter, Limiter):
        raise ConfigurationError(f"watch takes a Client or a Limiter, and not {type(what).__name__}")
    trace, metrics = needed("opentelemetry.trace"), needed("opentelemetry.metrics")
    tracer = trace.get_tracer(SCOPE, __version__, tracer_provider, SCHEMA)
    if limiter not in _watched:
        _watched.add(limiter)
        limiter.add_instrument(Spans(tracer, clock_here(), limiter.name))
    tally = getattr(what, "tally", None)
    if tally is not None and gen_ai is not False and tally.watcher is None:
        meter = metrics.get_meter(SCOPE, __version__, meter_provider, SCHEMA)
        tally.watcher = Calls(tracer, meter, clock_here(), provider=provider, always=gen_ai is True)
