"""
Which request a count is of: examples, where the format has a place for them.

Law of this file: an example costs a look at a flag, is noted at most once between two scrapes
for each bucket, and holds the id of a trace or of a request and nothing else that a server or a
program said. Whatever a tracer does, no call hears of it.
"""

from __future__ import annotations

import logging
import re
import sys
from bisect import bisect_left
from collections.abc import Mapping

from prometheus_client.samples import Exemplar

from ...runtime.logs import fields

# All labels of an example together may have 128 characters. An id is one word; what looks like a key is none.
_ID = re.compile(r"(?!.*(?:sk-|[Bb]earer))[A-Za-z0-9][A-Za-z0-9._:/=+@-]{0,99}\Z")
_log = logging.getLogger("ratelimit_client")


class Marks:
    """
    The examples of one histogram.

    Args:
        bounds: seconds.
    """

    __slots__ = ("_bounds", "_due", "shown")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._due = [True] * (len(bounds) + 1)
        self.shown: list[Exemplar | None] = [None] * len(self._due)

    def due(self, seconds: float) -> bool:
        """No call that took about so long was noted since the last scrape."""
        return self._due[bisect_left(self._bounds, seconds)]

    def note(self, seconds: float, request_id: str | None) -> None:
        """A call ended; told where it did, so that its span is the current one."""
        at = bisect_left(self._bounds, seconds)
        self._due[at] = False
        labels = {"trace_id": trace} if (trace := _trace_id()) else of_request(request_id)
        if labels is not None:
            self.shown[at] = Exemplar(labels, seconds)

    def scraped(self) -> None:
        """They were taken: fresh ones may come."""
        self._due = [True] * len(self._due)


def of_request(request_id: str | None) -> dict[str, str] | None:
    """The label for a request, if its id is fit to be shown."""
    return {"request_id": request_id} if request_id and _ID.match(request_id) else None


def counted(of: Mapping[str, str] | None) -> Exemplar | None:
    """The example of a count."""
    return Exemplar(dict(of), 1.0) if of else None


def _trace_id() -> str | None:
    """The trace that is recorded here, if OpenTelemetry is in use; it is not loaded for this."""
    telemetry = sys.modules.get("opentelemetry.trace")
    if telemetry is None:
        return None
    try:
        context = telemetry.get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid and context.trace_flags.sampled else None
    except Exception:  # noqa: BLE001 - somebody else's tracer is no reason for a call to fail
        _log.debug("no trace for an exemplar", exc_info=True, extra=fields("no_trace"))
        return None
