"""
Metrics for Prometheus: ``watch`` shows limiters and clients, ``MetricsPage`` is a page to scrape.

Law of this package: it looks on. Nothing is registered, computed or listened on
until it is asked for.
"""

from __future__ import annotations

from .collector import Collector, gauge, watch
from .page import MetricsPage, address_of

__all__ = ["Collector", "MetricsPage", "address_of", "gauge", "watch"]
