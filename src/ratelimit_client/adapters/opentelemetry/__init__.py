"""
Traces and metrics for OpenTelemetry: ``watch`` has the calls of a client or a limiter told to it.

    from ratelimit_client.adapters.opentelemetry import watch

    watch(client)                          # or watch(limiter)

Law of this package: it looks on, and needs ``opentelemetry-api`` when ``watch`` is called and not before. Nothing that
a tracer or a meter does reaches a call.
"""

from __future__ import annotations

from .watching import watch

__all__ = ["watch"]
