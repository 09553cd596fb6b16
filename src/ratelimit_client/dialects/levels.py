"""
From the values of a dimension as they came to a `Reading`.

Law of this file: fields are dropped one by one. -1, 0 as a limit, text, empty: the
field says nothing, and a dimension whose limit and remaining both say nothing is not
shown at all, for a bare ``reset: 0`` beside them is no news either. More left than the
limit is the limit. A reset or a window counts only within 31 days.

The window of a dimension is, best first, what a header says, what the table or the
name says, or what the numbers determine: that only where the reset is a duration,
since then it is the time to full, cut to whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from ..core.signals import Reading
from ..core.windows import infer_window_s
from .dialect import OF_A_DIMENSION, UNNAMED, Dialect, Field
from .durations import MAX_SPAN_S, Form, Unit, When, parse_number, parse_when
from .headers import MOST_DIMENSIONS, Collected, Row, amount, moment, span_s, texts_of
from .ietf import Fields
from .unread import (
    LESS_THAN_LEFT,
    MORE_THAN_LIMIT,
    NAMELESS,
    NOT_THE_GRAMMAR,
    TOO_FAR,
    fault_of_amount,
    fault_of_time,
)

_LIMIT, _REMAINING, _RESET, _RESET_AFTER, _USED, _WINDOW, _MINUTES, _COST = (field.index for field in OF_A_DIMENSION)
_WINDOWS = (_MINUTES, _WINDOW, _LIMIT, _REMAINING)
"""Where a window is written, the first of these that there is."""

Faults = list[tuple[int, str]]
"""What could not be used of a row: at which place, and what is wrong with it."""

_DURATION = Form.DURATION
_MINUTE_S = 60.0
# Of two floats that are further apart than this the same one is greater as of the whole numbers they stand for.
_CLOSE = 1e-9
# The next usual windows, less that.
_LESS_S, _MORE_S = 10.0 * (1 + _CLOSE), 3_600.0 * (1 - _CLOSE)
_NOTHING_ELSE = [None] * (len(OF_A_DIMENSION) - 3)
_GROUP = Field.GROUP.index
_AGE, _RATELIMIT, _POLICY = Field.AGE.index, Field.RATELIMIT.index, Field.POLICY.index


def read_levels(
    table: Dialect, collected: Collected, now_s: Callable[[], float | None]
) -> tuple[dict[str, Reading], bool]:
    """The readings of an answer by dimension, and whether any value was in doubt."""
    told = collected.told
    if told[_AGE] is not None and collected.number(Field.AGE):
        return {}, False  # from a cache: it shows the bucket of another time, and of another request

    readings: dict[str, Reading] = {}
    doubtful = False
    group = None if told[_GROUP] is None else collected.text(Field.GROUP)
    for dimension, row in collected.rows.items():
        reading = _of_ordinary_row(table, dimension, group, row)
        if reading is None:
            faults: Faults = []
            reading, doubt = _of_row(table, dimension, group, row, now_s, faults)
            doubtful |= doubt
            if faults:
                collected.faults += [(OF_A_DIMENSION[place], dimension, fault) for place, fault in faults]
        if reading is not None:
            readings[dimension] = reading
    if told[_RATELIMIT] is not None or told[_POLICY] is not None:
        doubtful |= _of_fields(collected, readings)
    return readings, doubtful


def charge(collected: Collected) -> tuple[str | None, float | None]:
    """The dimension of which the server says what this call was charged, tokens before others, and the charge."""
    costs: dict[str, float | None] = {}
    for name, row in collected.rows.items():
        if row[_COST] is not None:
            faults: Faults = []
            costs[name] = _amount(row, _COST, faults)[0]
            collected.faults += [(Field.COST, name, fault) for _, fault in faults]
    for name in sorted(costs, key=lambda name: not name.startswith("tokens")):
        if costs[name] is not None:
            return name, costs[name]
    return None, None


def _of_ordinary_row(table: Dialect, dimension: str, group: str | None, row: Row) -> Reading | None:
    """Two plain numbers and a duration, as nearly every answer has them, in one go; None for any other row."""
    limit_raw, remaining_raw, reset_raw, *others = row
    if others != _NOTHING_ELSE:
        return None
    return ordinary_reading(table, table.window_s(dimension, group), limit_raw, remaining_raw, reset_raw)


def ordinary_reading(
    table: Dialect, window_s: float | None, limit_raw: Any, remaining_raw: Any, reset_raw: Any
) -> Reading | None:
    """The reading of two plain numbers and a duration; None when they are anything else."""
    if not limit_raw.__class__ is remaining_raw.__class__ is reset_raw.__class__ is str:
        return None
    limit = parse_number(limit_raw)
    remaining = parse_number(remaining_raw)
    when = parse_when(reset_raw, table.numbers)
    if limit is None or remaining is None or when is None or when.form is not _DURATION:
        return None
    reset_s = when.seconds
    if not 0 < limit >= remaining or reset_s > MAX_SPAN_S:
        return None
    if not window_s:
        by_minutes = _is_sure_to_be_a_minute(limit, remaining, reset_s)
        window_s = _MINUTE_S if by_minutes else infer_window_s(limit, remaining, reset_s)
    return Reading(limit, remaining, reset_s, window_s)


def _is_sure_to_be_a_minute(limit: float, remaining: float, reset_s: float) -> bool:
    """Whether ``infer_window_s`` would say so, at a fifth of its cost; False also where the numbers leave it close."""
    used = limit - remaining
    if used < 1 or remaining < 1 or not (limit.is_integer() and remaining.is_integer()):
        return False
    low = reset_s * limit * 0.98 / used
    high = (reset_s + 0.001) * limit * 1.02 / max(used - 1, 1.0)
    return _LESS_S < low < _MINUTE_S * (1 - _CLOSE) and _MINUTE_S * (1 + _CLOSE) < high < _MORE_S


def _of_row(
    table: Dialect,
    dimension: str,
    group: str | None,
    row: Row,
    now_s: Callable[[], float | None],
    faults: Faults,
) -> tuple[Reading | None, bool]:
    limit, remaining, window_s, doubtful = _amounts(row, table.plans.get(dimension), faults)
    when, doubt = _when(row, table.numbers, faults)
    reset_s = span_s(when, now_s)
    if when is not None and reset_s is None and (when.form is not Form.INSTANT or now_s() is not None):
        faults.append((_RESET if row[_RESET_AFTER] is None else _RESET_AFTER, TOO_FAR))
    if when is not None and when.form is Form.NUMBER:
        usual_s = table.profile.default_window_s if table.numbers is Unit.SECONDS_OR_MILLISECONDS else None
        named_s = window_s if row[_WINDOW] is not None else None
        reset_s = _in_seconds(reset_s, limit, remaining, named_s or usual_s)

    if row[_MINUTES] is not None and not window_s:
        return None, doubtful  # a window of no minutes is how a plan without it is shown
    limit, remaining, clamped = _possible(limit, remaining)
    if clamped:
        faults.append((_REMAINING, MORE_THAN_LIMIT))
    if limit is None and remaining is None and (not reset_s or row[_LIMIT] is not None or row[_REMAINING] is not None):
        return None, doubtful
    if window_s and not _window(window_s):
        faults.append((next(place for place in _WINDOWS if row[place] is not None), TOO_FAR))
    window_s = window_s or table.window_s(dimension, group)
    if not window_s and when is not None and when.form is Form.DURATION:
        window_s = _by_numbers(limit, remaining, reset_s)
    return Reading(limit, remaining, reset_s, _window(window_s)), doubtful or doubt or clamped


def _amount(row: Row, place: int, faults: Faults) -> tuple[float | None, float | None, bool]:
    """The amount at a place of the row, and what could not be used of it."""
    raw = row[place]
    found = amount(raw)
    if found[0] is None or found[2] or raw.__class__ is not str or "," in raw:
        fault = fault_of_amount(raw, several=found[2])
        if fault:
            faults.append((place, fault))
    return found


def _amounts(row: Row, whole: float | None, faults: Faults) -> tuple[float | None, float | None, float | None, bool]:
    """Limit (*whole* where only a share is shown), remaining, the window written beside either, and any doubt."""
    limit = remaining = window_s = None
    doubtful = False
    if row[_LIMIT] is not None:
        limit, window_s, doubtful = _amount(row, _LIMIT, faults)
    if row[_REMAINING] is not None:
        remaining, beside_s, doubt = _amount(row, _REMAINING, faults)
        window_s = window_s or beside_s
        doubtful |= doubt
    if whole is not None and row[_USED] is not None:
        limit = whole
    if row[_USED] is not None and remaining is None and limit is not None:
        used = _amount(row, _USED, faults)[0]
        remaining = None if used is None else max(0.0, limit - used)
    if row[_WINDOW] is not None:
        window_s = _amount(row, _WINDOW, faults)[0] or window_s
    if row[_MINUTES] is not None:
        window_s = 60.0 * (_amount(row, _MINUTES, faults)[0] or 0.0)
    return limit, remaining, window_s, doubtful


def _when(row: Row, numbers: Unit, faults: Faults) -> tuple[When | None, bool]:
    """The reset: "after so many seconds" is clearer than any other form."""
    if row[_RESET_AFTER] is not None:
        when, doubtful = _moment(row, _RESET_AFTER, Unit.SECONDS, faults)
        if when is not None:
            return when, doubtful
    if row[_RESET] is None:
        return None, False
    return _moment(row, _RESET, numbers, faults)


def _moment(row: Row, place: int, unit: Unit, faults: Faults) -> tuple[When | None, bool]:
    """The time at a place of the row, and what could not be used of it."""
    raw = row[place]
    when, doubtful = moment(raw, unit)
    if when is None or doubtful or raw.__class__ is not str or "," in raw:
        fault = fault_of_time(raw, unit, several=doubtful)
        if fault:
            faults.append((place, fault))
    return when, doubtful


def _in_seconds(
    value: float | None, limit: float | None, remaining: float | None, window_s: float | None
) -> float | None:
    """
    A bare reset of a server that counts seconds in some of its regions and milliseconds
    in others. What is longer than the window counts milliseconds; else the time to full
    that the level implies decides.
    """
    if not value or not window_s:
        return value
    if value > window_s:
        return value / 1e3
    if not limit or remaining is None:
        return value
    expected = (limit - remaining) * window_s / limit
    return value / 1e3 if abs(value / 1e3 - expected) < abs(value - expected) else value


def _possible(limit: float | None, remaining: float | None) -> tuple[float | None, float | None, bool]:
    """What cannot be is dropped or clamped; the third says that something was clamped."""
    if limit == 0:
        return None, remaining or None, False
    if limit is not None and remaining is not None and remaining > limit:
        return limit, limit, True
    return limit, remaining, False


def _window(window_s: float | None) -> float | None:
    """A window that a limit can have."""
    return window_s if window_s and window_s <= MAX_SPAN_S else None


def _by_numbers(limit: float | None, remaining: float | None, reset_s: float | None) -> float | None:
    if limit is None or remaining is None or not reset_s:
        return None
    return infer_window_s(limit, remaining, reset_s)


def _of_fields(collected: Collected, readings: dict[str, Reading]) -> bool:
    """Add what the structured fields say; whether it is in doubt."""
    fields = Fields()
    fields.policy(_joined(collected, Field.POLICY))
    fields.limit(_joined(collected, Field.RATELIMIT))
    doubtful = fields.doubtful
    for name, level in fields.levels.items():
        if len(readings) >= MOST_DIMENSIONS:
            collected.crowded = True
            break
        limit, remaining, clamped = _possible(level.get("limit"), level.get("remaining"))
        reset_s, window_s = level.get("reset_s"), level.get("window_s")
        if reset_s is not None and reset_s > MAX_SPAN_S:
            reset_s = None
            fields.faults.append((Field.RATELIMIT, TOO_FAR))
        if window_s and not _window(window_s):
            fields.faults.append((Field.POLICY, TOO_FAR))
        if limit is not None or remaining is not None or reset_s:
            readings[name] = Reading(limit, remaining, reset_s, _window(window_s))
        if clamped:
            doubtful = True
            fields.faults.append((Field.RATELIMIT, MORE_THAN_LIMIT))
    doubtful |= _of_unnamed_policies(fields, readings)
    collected.faults += [(field, "", fault) for field, fault in fields.faults]
    return doubtful


def _joined(collected: Collected, field: Field) -> str:
    """The lines of a list as one; several of them are joined with a comma."""
    raw = collected.told[field.index]
    texts = texts_of(raw)
    if raw is not None and not texts:
        collected.faults.append((field, "", NOT_THE_GRAMMAR))
    return ", ".join(texts)


def _of_unnamed_policies(fields: Fields, readings: dict[str, Reading]) -> bool:
    """``100;w=60`` gives its window to the limit of the same amount; alone it is a limit itself. Whether in doubt."""
    quotas = [quota for quota in fields.quotas if _window(quota[1])]
    if len(quotas) < len(fields.quotas):
        fields.faults.append((Field.POLICY, TOO_FAR))
    reading = readings.get(UNNAMED, Reading())
    if reading.limit is None:
        if len(quotas) > 1:
            fields.faults.append((Field.POLICY, NAMELESS))
        if len(quotas) != 1:
            return False
        limit, remaining, clamped = _possible(quotas[0][0], reading.remaining)
        readings[UNNAMED] = attrs.evolve(reading, limit=limit, remaining=remaining, window_s=quotas[0][1])
        if clamped:
            fields.faults.append((Field.POLICY, LESS_THAN_LEFT))
        return clamped
    fitting = [window_s for limit, window_s in quotas if limit == reading.limit]
    if fitting and reading.window_s is None:
        readings[UNNAMED] = attrs.evolve(reading, window_s=fitting[0])
    return False
