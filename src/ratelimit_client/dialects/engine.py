"""
The one engine that reads every dialect: an answer in, `Signals` out.

Law of this file: nothing that a server sent makes it raise; what cannot be understood
is left out, field by field. A hint to wait counts only on an error, only above zero,
and the longest one counts:

    retry-after-ms, retry-after (number, or date less the answer's own Date),
    the body's fields, the body's sentence; else computed from the empty dimension

Theory: ``retry-after`` is the finer ``retry-after-ms`` rounded up, so where the two agree
the finer one holds; where they do not ("1" beside "0" has been seen) the longer one
does. On a success the same header is a polling interval or a leftover, and is ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ..core.profile import Refill
from ..core.signals import Reading, Reason, Signals
from .bodies import ErrorBody, read_body
from .dialect import Dialect, Field
from .durations import MAX_SPAN_S, Form, Unit, When
from .headers import Collected
from .levels import read_levels
from .meaning import is_retryable, reason_of
from .texts import NO_FACTS, TextFacts, read_text


def conclude(table: Dialect, status: int, collected: Collected, body: Any, wall_s: float | None) -> Signals:
    """
    What one answer says.

    Args:
        table: the language it is in.
        collected: its headers.
        body: bytes, text, parsed JSON or None.
        wall_s: the local wall clock, for instants of an answer without a ``Date``.
    """
    error = read_body(body, failed=status >= 300) if body is not None else None
    if error is not None:
        if status < 300:
            collected.forget_waits()
        collected.add(error.headers)

    readings, doubtful = read_levels(table, collected, lambda: collected.now_s(wall_s))
    processing_ms = collected.number(Field.PROCESSING_MS)
    if error is None and status < 300:
        return Signals(
            status=status,
            readings=readings,
            should_retry=_should_retry(collected),
            processing_s=None if processing_ms is None else processing_ms / 1e3,
            request_id=collected.text(Field.REQUEST_ID),
            organization=collected.text(Field.ORGANIZATION),
            project=collected.text(Field.PROJECT),
            version=collected.text(Field.VERSION),
            low_confidence=doubtful,
        )
    return _of_an_error(table, status, collected, error, readings, doubtful, wall_s)


def _of_an_error(
    table: Dialect,
    status: int,
    collected: Collected,
    error: ErrorBody | None,
    readings: dict[str, Reading],
    doubtful: bool,
    wall_s: float | None,
) -> Signals:
    text = NO_FACTS if error is None else read_text(error.text)
    stated = status if status >= 300 or error is None or error.status is None else error.status
    hint_s = _hint_s(collected, error, text, wall_s)
    empty = [name for name, reading in readings.items() if reading.remaining == 0]
    reason = reason_of(status, error, text, table, asked_to_wait=hint_s is not None or bool(empty))
    should_retry = _should_retry(collected)
    limited = reason is Reason.RATE_LIMITED or reason is Reason.TOO_LARGE
    unit = _unit(collected, error, text, readings, empty) if limited else None
    if hint_s is None and reason is Reason.RATE_LIMITED:
        hint_s = _computed_s(table, readings, empty, unit)
    processing_ms = collected.number(Field.PROCESSING_MS)
    return Signals(
        status=status,
        reason=reason,
        retryable=is_retryable(reason, stated, should_retry),
        retry_after_s=hint_s,
        readings=readings,
        unit=unit,
        limit=(text.limit or None) if limited else None,
        used=text.used if limited else None,
        requested=text.requested if limited else None,
        window_s=text.window_s if limited else None,
        limit_group=text.group if limited else None,
        should_retry=should_retry,
        processing_s=None if processing_ms is None else processing_ms / 1e3,
        request_id=collected.text(Field.REQUEST_ID) or (None if error is None else error.request_id),
        organization=collected.text(Field.ORGANIZATION),
        project=collected.text(Field.PROJECT),
        version=collected.text(Field.VERSION),
        error_type=None if error is None else error.type,
        error_code=None if error is None else error.code,
        message=None if error is None else error.message,
        low_confidence=doubtful,
    )


def _should_retry(collected: Collected) -> bool | None:
    if collected.told[Field.SHOULD_RETRY.index] is None:
        return None
    said = {part.strip().lower() for text in collected.texts(Field.SHOULD_RETRY) for part in text.split(",")}
    return False if "false" in said else True if "true" in said else None


def _hint_s(collected: Collected, error: ErrorBody | None, text: TextFacts, wall_s: float | None) -> float | None:
    """The longest wait that the answer asks for, in seconds above zero; None when it asks for none."""
    hints = [text.wait_s and min(text.wait_s, MAX_SPAN_S), _of_the_headers_s(collected, wall_s)]
    if error is not None:
        hints.extend(_capped_s(when, collected, wall_s) for when in error.waits)
    return max((hint for hint in hints if hint), default=None)


def _of_the_headers_s(collected: Collected, wall_s: float | None) -> float | None:
    fine = _capped_s(collected.moment(Field.RETRY_AFTER_MS, Unit.MILLISECONDS), collected, wall_s)
    rough = _capped_s(collected.moment(Field.RETRY_AFTER, Unit.BY_SIZE), collected, wall_s)
    if not fine or not rough:
        return fine or rough
    return fine if math.ceil(fine) == rough else max(fine, rough)


def _capped_s(when: When | None, collected: Collected, wall_s: float | None) -> float | None:
    """A hint as a span; beyond 31 days it is 31 days, which no caller will sleep either."""
    if when is None:
        return None
    span_s = when.span_s(collected.now_s(wall_s) if when.form is Form.INSTANT else None)
    return None if span_s is None else min(span_s, MAX_SPAN_S)


_A_UNIT = re.compile(r"(?:[a-z]{1,20}[-_])?(?:tokens|requests|images|characters|seconds|minutes|pages)")


def _unit(
    collected: Collected, error: ErrorBody | None, text: TextFacts, readings: Mapping[str, Reading], empty: list[str]
) -> str | None:
    """The dimension that a refusal names: in a header, in its sentence, by its type, or by being the only empty one."""
    told = (collected.text(Field.UNIT) or "").lower()
    if told in readings:
        return told
    if "token" in told:
        return "tokens"
    if "request" in told or "call" in told:
        return "requests"
    if text.unit is not None:
        return text.unit
    if error is not None:
        if error.type is not None and (error.type in readings or _A_UNIT.fullmatch(error.type)):
            return error.type
        if error.policies:
            return error.policies[0]
    return empty[0] if len(empty) == 1 else None


def _computed_s(table: Dialect, readings: Mapping[str, Reading], empty: list[str], unit: str | None) -> float | None:
    """
    The least wait that the empty dimensions imply: until each holds one unit again.

    A dimension that shows no level but a reset counts when it is named or alone.
    """
    waits = [_until_one_s(readings[name], table.profile.refill) for name in empty]
    if not empty:
        waits = [
            reading.reset_s
            for name, reading in readings.items()
            if reading.remaining is None and (name == unit or len(readings) == 1)
        ]
    return max((wait for wait in waits if wait is not None and wait > 0), default=None)


def _until_one_s(reading: Reading, refill: Refill) -> float | None:
    if refill is not Refill.CONTINUOUS or not reading.limit or not reading.window_s:
        return reading.reset_s
    # An overdrawn bucket is further from full than its window is long, and shows it only here.
    one_s = reading.window_s / reading.limit
    return one_s if reading.reset_s is None else reading.reset_s - (reading.window_s - one_s)
