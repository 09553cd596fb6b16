"""
Metrics for Prometheus: ``watch`` shows limiters and clients, ``MetricsPage`` is a page to scrape, and one to watch.

    from ratelimit_client.adapters.prometheus import watch

    watch(client)                          # or watch(limiter); the default registry

Law of this package: it looks on. Nothing is registered, computed or listened on
until it is asked for.
"""

from __future__ import annotations

from .apps import make_metrics_app
from .collector import Collector
from .live_apps import make_live_app
from .page import MetricsPage, address_of
from .watching import gauge, progress, watch

__all__ = ["Collector", "MetricsPage", "address_of", "gauge", "make_live_app", "make_metrics_app", "progress", "watch"]
