"""
When a day ends in California.

Law of this file: a day ends at midnight of the clocks on its walls. These show UTC - 8 h, and
UTC - 7 h from the second Sunday of March, 2:00, to the first Sunday of November, 2:00. A
day in which they are changed has 23 or 25 hours.

Theory: the rule is written here and not looked up, since the data of time zones need not be
there: on Windows and in slim containers they are not. Should the rule be changed, an answer
is an hour off for a part of the year, in a wait of up to a day.

Source: 15 U.S. Code 260a, as amended by the Energy Policy Act of 2005.
"""

from __future__ import annotations

from datetime import date

_WINTER_S, _SUMMER_S = -8 * 3600, -7 * 3600
_CHANGE_S, _DAY_S = 2 * 3600, 86_400
_SUNDAY = 6
_EPOCH = date(1970, 1, 1).toordinal()
_LAST_S = (date(9990, 1, 1).toordinal() - _EPOCH) * 86_400.0


def until_midnight_pacific_s(now_s: float) -> float:
    """Seconds until the next midnight in California; *now_s* is since 1970."""
    now_s = min(max(0.0, now_s), _LAST_S)
    begins, ends = _summer(date.fromordinal(_EPOCH + int(now_s // _DAY_S)).year)
    # The borders of the year are in winter, by its own clocks and by UTC's.
    summer = begins * _DAY_S + _CHANGE_S - _WINTER_S <= now_s < ends * _DAY_S + _CHANGE_S - _SUMMER_S
    tomorrow = int((now_s + (_SUMMER_S if summer else _WINTER_S)) // _DAY_S) + 1
    # The clocks are changed two hours after a midnight, so each midnight is there once.
    return tomorrow * _DAY_S - (_SUMMER_S if begins < tomorrow <= ends else _WINTER_S) - now_s


def _summer(year: int) -> tuple[int, int]:
    """The days of the changes, since 1970: the second Sunday of March and the first of November."""
    return _first_sunday(year, 3) + 7, _first_sunday(year, 11)


def _first_sunday(year: int, month: int) -> int:
    first = date(year, month, 1)
    return first.toordinal() - _EPOCH + _SUNDAY - first.weekday()
