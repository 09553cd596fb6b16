"""
What a scrape reads.

Law of this file: beyond its share of the time (``share``) a scrape gets what was made last. What
cannot be written is said once, and is no error of the program's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from ...runtime.logs import fields
from .share import Share

_OPENMETRICS = "application/openmetrics-text"
_CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
_FAILED = "the metrics cannot be written; the log of the program says why\n"
_log = logging.getLogger("ratelimit_client")


class Text:
    """
    Args:
        registry: makes what is read from; asked for each text.
        now_s: tells the time.
    """

    def __init__(
        self, registry: Callable[[], CollectorRegistry], now_s: Callable[[], float] = time.perf_counter
    ) -> None:
        self._registry = registry
        self._share = Share(now_s)
        self._made: dict[str, bytes] = {}
        self._complained = False

    def read(self, accept: str) -> tuple[int, bytes, str]:
        """
        Status, body and content type.

        Args:
            accept: what the scraper says it reads. Names in it that are not known are not answered to.
        """
        modern = any(part.split(";")[0].strip().lower() == _OPENMETRICS for part in accept.split(","))
        kind = openmetrics.CONTENT_TYPE_LATEST if modern else _CLASSIC
        if self._share.is_spent and kind in self._made:
            return 200, self._made[kind], kind
        try:
            with self._share.spending():
                body = self._made[kind] = (openmetrics.generate_latest if modern else generate_latest)(self._registry())
        except Exception:  # noqa: BLE001 - a collector of somebody else's may stand in the same registry
            if not self._complained:
                self._complained = True
                extra = fields("metrics_failed")
                _log.warning("the metrics cannot be written; not reported again", exc_info=True, extra=extra)
            return 500, _FAILED.encode(), "text/plain; charset=utf-8"
        return 200, body, kind
