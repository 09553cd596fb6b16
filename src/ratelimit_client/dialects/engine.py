"""
The one engine that reads every dialect: an answer in, `Signals` out.

Law of this file: nothing that a server sent makes it raise; what cannot be understood
is left out, field by field, and told by its kind. A hint to wait counts only on an error
(``failed``): on a success the same header is a polling interval or a leftover, and is ignored.
"""

from __future__ import annotations

from typing import Any

from ..core.signals import Signals
from .bodies import ErrorBody
from .dialect import Dialect, Field
from .failed import of_an_error
from .headers import Collected
from .levels import charge, read_levels
from .shown import headers_shown
from .unread import kinds, should_retry


def conclude(
    table: Dialect, status: int, collected: Collected, error: ErrorBody | None, body: Any, wall_s: float | None
) -> Signals:
    """
    What one answer says.

    Args:
        table: the language it is in.
        collected: its headers.
        error: the error in its body, or None.
        body: bytes, text, parsed JSON or None.
        wall_s: the local wall clock, for instants of an answer without a ``Date``.
    """
    if error is not None:
        if status < 300:
            collected.forget_waits()
        collected.add(error.headers)
    elif body is not None and (shown := headers_shown(body)):
        collected.take(shown)

    if error is not None or status >= 300:
        return of_an_error(table, status, collected, error, wall_s)
    readings, doubtful = read_levels(table, collected, lambda: collected.now_s(wall_s))
    processing_ms = collected.number(Field.PROCESSING_MS)
    unit, charged = charge(collected)
    return Signals(
        status=status,
        readings=readings,
        unit=unit,
        requested=charged,
        should_retry=should_retry(collected),
        processing_s=None if processing_ms is None else processing_ms / 1e3,
        request_id=collected.text(Field.REQUEST_ID),
        organization=collected.text(Field.ORGANIZATION),
        project=collected.text(Field.PROJECT),
        version=collected.text(Field.VERSION),
        low_confidence=doubtful,
        unread=kinds(collected),
    )
