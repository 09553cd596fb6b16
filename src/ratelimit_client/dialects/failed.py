"""
What an answer says that is an error.

Law of this file: a hint to wait counts only above zero, and the longest one counts:

    retry-after-ms, retry-after (number, or date less the answer's own Date),
    the body's fields, the body's sentence; else computed from the empty dimension,
    else what the vendor says to wait at least

Theory: ``retry-after`` is the finer ``retry-after-ms`` rounded up, so where the two agree
the finer one holds; where they do not ("1" beside "0" has been seen) the longer one
does.
"""

from __future__ import annotations

import math

from ..core.signals import Reason, Signals
from .bodies import ErrorBody
from .dialect import Dialect, Field
from .durations import MAX_SPAN_S, Form, Unit, When, parse_when
from .headers import Collected, moment
from .levels import read_levels
from .meaning import is_retryable, reason_of, says_slow_down
from .refusals import Refusal, refusal, until_the_plan_renews_s
from .texts import NO_FACTS, TextFacts, read_text
from .unread import fault_of_time, kinds, should_retry


def of_an_error(
    table: Dialect, status: int, collected: Collected, error: ErrorBody | None, wall_s: float | None
) -> Signals:
    """What an answer says that is an error by its status or its body; arguments as of ``conclude``."""
    readings, doubtful = read_levels(table, collected, lambda: collected.now_s(wall_s))
    text = NO_FACTS if error is None else read_text(error.text)
    stated = status if status >= 300 or error is None or error.status is None else error.status
    hint_s = _hint_s(collected, error, text, wall_s)
    asked = hint_s is not None or any(reading.remaining == 0 for reading in readings.values())
    reason = reason_of(status, error, text, table, asked_to_wait=asked)
    if reason is Reason.RATE_LIMITED and hint_s is not None and hint_s >= table.too_large_wait_s:
        reason = Reason.TOO_LARGE
    if reason is Reason.RATE_LIMITED or reason is Reason.QUOTA_EXHAUSTED:
        hint_s = until_the_plan_renews_s(table, readings, hint_s)
    limited = reason is Reason.RATE_LIMITED or reason is Reason.TOO_LARGE
    about = Refusal(readings, hint_s)
    if limited:
        about = refusal(table, collected, error, text, readings, hint_s, collected.now_s(wall_s))
    again = should_retry(collected)
    used_up = reason is Reason.RATE_LIMITED and about.used_up
    at_a_loss = reason is Reason.RATE_LIMITED and not asked and about.wait_s is None and about.unit is None
    processing_ms = collected.number(Field.PROCESSING_MS)
    return Signals(
        status=status,
        reason=reason,
        retryable=False if used_up else is_retryable(reason, stated, again),
        retry_after_s=about.wait_s if reason is Reason.RATE_LIMITED else hint_s,
        readings=about.readings,
        unit=about.unit,
        limit=about.limit,
        used=about.used,
        requested=about.requested,
        window_s=about.window_s,
        limit_group=about.group,
        scope=about.scope,
        should_retry=again,
        processing_s=None if processing_ms is None else processing_ms / 1e3,
        request_id=collected.text(Field.REQUEST_ID) or (None if error is None else error.request_id),
        organization=collected.text(Field.ORGANIZATION),
        project=collected.text(Field.PROJECT),
        version=collected.text(Field.VERSION),
        error_type=None if error is None else error.type,
        error_code=None if error is None else error.code,
        message=None if error is None else error.message,
        low_confidence=doubtful,
        wait_grows=about.wait_grows and reason is Reason.RATE_LIMITED,
        slow_down=reason is Reason.OVERLOADED and error is not None and says_slow_down(error),
        unread=kinds(collected, error, silent=at_a_loss and _says_nothing(error, text)),
    )


def _says_nothing(error: ErrorBody | None, text: TextFacts) -> bool:
    """There are words, and no rule gets anything out of them."""
    return error is not None and bool(error.text.strip()) and text == NO_FACTS


def _hint_s(collected: Collected, error: ErrorBody | None, text: TextFacts, wall_s: float | None) -> float | None:
    """The longest wait that the answer asks for, in seconds above zero; None when it asks for none."""
    hints = [text.wait_s and min(text.wait_s, MAX_SPAN_S), _of_the_headers_s(collected, wall_s)]
    if text.until is not None:
        hints.append(_capped_s(parse_when(text.until), collected, wall_s))
    if error is not None:
        hints.extend(_capped_s(when, collected, wall_s) for when in error.waits)
    return max((hint for hint in hints if hint), default=None)


def _of_the_headers_s(collected: Collected, wall_s: float | None) -> float | None:
    fine = _capped_s(_asked(collected, Field.RETRY_AFTER_MS, Unit.MILLISECONDS), collected, wall_s)
    rough = _capped_s(_asked(collected, Field.RETRY_AFTER, Unit.BY_SIZE), collected, wall_s)
    if not fine or not rough:
        return fine or rough
    return fine if math.ceil(fine) == rough else max(fine, rough)


def _asked(collected: Collected, field: Field, unit: Unit) -> When | None:
    """The wait that a header asks for, and what could not be used of it."""
    raw = collected.told[field.index]
    if raw is None:
        return None
    when, doubtful = moment(raw, unit)
    if when is None or doubtful or raw.__class__ is not str or "," in raw:
        fault = fault_of_time(raw, unit, several=doubtful, blank=("",))
        if fault:
            collected.faults.append((field, "", fault))
    return when


def _capped_s(when: When | None, collected: Collected, wall_s: float | None) -> float | None:
    """A hint as a span; beyond 31 days it is 31 days, which no caller will sleep either."""
    if when is None:
        return None
    span_s = when.span_s(collected.now_s(wall_s) if when.form is Form.INSTANT else None)
    return None if span_s is None else min(span_s, MAX_SPAN_S)
