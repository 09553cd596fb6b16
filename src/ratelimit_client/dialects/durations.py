"""
Times as servers write them: Go durations, bare numbers, HTTP dates, RFC 3339.

Law of this file: a text is a span ("in 7 s") or an instant ("at 10:00"), and its
form alone says which. In this order:

    empty, negative, or none of the below        nothing
    number and unit letters, repeated            span (Go: 1m13.588s, 17ms)
    YYYY-MM-DD...                                instant (RFC 3339)
    a weekday                                    instant (HTTP date, three forms)
    a bare number                                as the dialect says, else by size:
        >= 1e17 ns, >= 1e14 us, >= 1e11 ms, >= 1e9 s since 1970: instant; smaller: span in seconds

Theory: the sizes cannot be confused. 1e9 s is 2001 read as an instant and 31 years
read as a span; 1e11 ms is 1973. What stays open is whether a small bare number
counts seconds or milliseconds, and that only a dialect can know.

ASCII only, and no number longer than 18 digits: Python's own ``float`` and ``int``
accept ``nan``, ``1_000`` and Arabic digits, and fail on 5000 digits.
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache

import attrs

MAX_SPAN_S = 31 * 86_400.0
"""No rate limit is further away than this; a greater distance is an error of a clock or a unit."""

_LONGEST_TEXT = 80
_LONGEST_PLAIN = 18
_LONGEST_NUMBER = 18

_ATTO = 10**18
_UNIT_ATTOSECONDS = {
    "d": 86_400 * _ATTO,
    "h": 3_600 * _ATTO,
    "m": 60 * _ATTO,
    "s": _ATTO,
    "ms": _ATTO // 10**3,
    "us": _ATTO // 10**6,
    "\u00b5s": _ATTO // 10**6,  # micro sign
    "\u03bcs": _ATTO // 10**6,  # Greek mu
    "ns": _ATTO // 10**9,
}

_NUMBER = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_TERM = r"(?:([0-9]{1,18})(?:\.([0-9]{1,18}))?|\.([0-9]{1,18}))(ms|us|\u00b5s|\u03bcs|ns|d|h|m|s)"
_DURATION_TERM = re.compile(_TERM)
_DURATION = re.compile(f"(?:{_TERM})+")

_CLOCK = r"([0-9]{2}):([0-9]{2}):([0-9]{2})"
_ZONE = r"(?:\s*(Z|GMT|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
_FLAGS = re.ASCII | re.IGNORECASE
_RFC3339 = re.compile(rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})(?:[T ]{_CLOCK}(?:\.([0-9]{{1,18}}))?{_ZONE})?", _FLAGS)
_DAY_MONTH_YEAR = r"([0-9]{1,2})[ -]([a-z]{3})[ -]([0-9]{2}|[0-9]{4})"
_IMF_DATE = re.compile(rf"[a-z]{{3,9}},?\s+{_DAY_MONTH_YEAR}\s+{_CLOCK}{_ZONE}", _FLAGS)  # and RFC 850's
_ASCTIME = re.compile(rf"[a-z]{{3}}\s+([a-z]{{3}})\s+([0-9]{{1,2}})\s+{_CLOCK}\s+([0-9]{{4}})", _FLAGS)
_MONTHS = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Unit(enum.Enum):
    """What a bare number counts."""

    BY_SIZE = "by size"
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    SECONDS_OR_MILLISECONDS = "seconds or milliseconds, as the level tells"
    EPOCH_SECONDS = "seconds since 1970"
    EPOCH_MILLISECONDS = "milliseconds since 1970"

    __hash__ = object.__hash__  # members are one of a kind, and the hash of enum is slow


class Form(enum.IntEnum):
    """How a time was written, the most trustworthy form first."""

    DURATION = 0
    NUMBER = 1
    INSTANT = 2


@attrs.frozen
class When:
    """
    A time as written.

    Args:
        form: how; an INSTANT counts from 1970 and needs a "now" to become a span.
        seconds: of the span, or since 1970.
    """

    form: Form
    seconds: float

    def span_s(self, now_s: float | None) -> float | None:
        """Seconds from *now_s* (since 1970) until then, 0 for the past; None for an instant without a now."""
        if self.form is not Form.INSTANT:
            return self.seconds
        if now_s is None:
            return None
        return max(0.0, self.seconds - now_s)


def parse_number(text: str) -> float | None:
    """An amount: at most 18 ASCII digits and as many decimals; anything else is None."""
    if len(text) <= _LONGEST_NUMBER and text.isdigit() and text.isascii():
        return float(text)
    return float(text) if _NUMBER.fullmatch(text) else None


def parse_duration(text: str) -> float | None:
    """Seconds of a Go duration (``1m13.588s``, ``17ms``, ``2d``), to the nearest float; None when it is none."""
    if len(text) <= _LONGEST_PLAIN and (plain_s := _plain_duration(text)) is not None:
        return plain_s
    if len(text) > _LONGEST_TEXT or not _DURATION.fullmatch(text):
        return None

    total = 0
    for whole, fraction, bare_fraction, unit in _DURATION_TERM.findall(text):
        decimals = fraction or bare_fraction
        digits = int((whole or "0") + decimals)
        total += digits * _UNIT_ATTOSECONDS[unit] // 10 ** len(decimals)
    return total / _ATTO


def _plain_duration(text: str) -> float | None:
    """``8.64s``, ``17ms``, ``1m13.588s``: what servers mostly write, without a regular expression; None otherwise."""
    minutes = "0"
    if text.endswith("ms"):
        number, per_second = text[:-2], 1000
    elif text.endswith("s"):
        number, per_second = text[:-1], 1
        if "m" in number:
            minutes, _, number = number.partition("m")
    else:
        return None
    whole, dot, decimals = number.partition(".")
    digits = minutes + whole + decimals
    if not (digits.isdigit() and digits.isascii() and minutes and whole) or (dot and not decimals):
        return None
    # A quotient of whole numbers is rounded once, so it is the same float by whichever way.
    scale: int = per_second * 10 ** len(decimals)
    seconds: float = (int(minutes) * 60 * scale + int(whole + decimals)) / scale
    return seconds


def parse_when(text: str, unit: Unit = Unit.BY_SIZE) -> When | None:
    """A span or an instant, by the law above; *unit* is what the dialect says of bare numbers."""
    return None if len(text) > _LONGEST_TEXT else _parse_when(text, unit)


def parse_instant(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date or an RFC 3339 time; None when it is neither."""
    return None if len(text) > _LONGEST_TEXT else _parse_date(text.strip(" \t"))


def number_when(value: float, unit: Unit = Unit.BY_SIZE) -> When:
    """What a number means as a time; *value* is finite and not negative."""
    if unit is Unit.SECONDS or (unit is Unit.SECONDS_OR_MILLISECONDS and value < 1e9):
        return When(Form.NUMBER, value)
    if unit is Unit.MILLISECONDS:
        return When(Form.NUMBER, value / 1e3)
    if unit is Unit.EPOCH_SECONDS:
        return When(Form.INSTANT, value)
    if unit is Unit.EPOCH_MILLISECONDS:
        return When(Form.INSTANT, value / 1e3)
    for least, per_second in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (1e9, 1.0)):
        if value >= least:
            return When(Form.INSTANT, value / per_second)
    return When(Form.NUMBER, value)


@lru_cache(maxsize=2048)
def _parse_when(text: str, unit: Unit) -> When | None:
    text = text.strip(" \t")
    if text.endswith("s"):  # no number does
        span_s = parse_duration(text)
    else:
        value = parse_number(text)
        if value is not None:
            return number_when(value, unit)
        span_s = parse_duration(text)
    if span_s is not None:
        return When(Form.DURATION, span_s)
    at_s = _parse_date(text)
    return None if at_s is None else When(Form.INSTANT, at_s)


@lru_cache(maxsize=256)
def _parse_date(text: str) -> float | None:
    if match := _RFC3339.fullmatch(text):
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        return _epoch_s(int(year), int(month), int(day), (hour or "0", minute or "0", second or "0"), fraction, zone)
    if match := _IMF_DATE.fullmatch(text):
        day, name, year, hour, minute, second, zone = match.groups()
        full_year = int(year) if len(year) == 4 else int(year) + (1900 if int(year) >= 70 else 2000)
        return _epoch_s(full_year, _month(name), int(day), (hour, minute, second), None, zone)
    if match := _ASCTIME.fullmatch(text):
        name, day, hour, minute, second, year = match.groups()
        return _epoch_s(int(year), _month(name), int(day), (hour, minute, second), None, None)
    return None


def _month(name: str) -> int:
    """The number of a month; 0 when there is none of that name."""
    name = name.lower()
    return _MONTHS.index(name) if name in _MONTHS else 0


def _epoch_s(
    year: int, month: int, day: int, clock: tuple[str, str, str], fraction: str | None, zone: str | None
) -> float | None:
    """Seconds since 1970; None for a date that is in no calendar. No zone is UTC."""
    hour, minute, second = (int(part) for part in clock)
    if not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 60:
        return None
    if not 1 <= day <= _MONTH_DAYS[month - 1] - (month == 2 and not _is_leap(year)):
        return None

    seconds = _days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
    if zone is not None and zone[0] in "+-":
        offset_s = int(zone[1:3]) * 3_600 + int(zone[-2:]) * 60
        seconds -= offset_s if zone[0] == "+" else -offset_s
    return seconds + float(f"0.{fraction or 0}")


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_since_1970(year: int, month: int, day: int) -> int:
    """Days of the Gregorian calendar; the year is taken to begin in March, so that leap days fall on its end."""
    year -= month <= 2
    era_year = year % 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return year // 400 * 146_097 + era_year * 365 + era_year // 4 - era_year // 100 + day_of_year - 719_468
