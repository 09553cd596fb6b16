"""
What a refusal is about: whose limit, its numbers, how long, and whether to wait at all.

Law of this file: the dimension is named, best first, by a header, by the sentence, by the
error's type, by a limit that the body lists, or by being the only one that is empty. Where
nobody names a wait it is computed: until every empty dimension holds one unit again. A
window of hours or days that is used up is reported and not waited out: that holds for
the windows of a plan, for those a table calls long, and for any of five hours and more
that is shown empty and of which nobody says when it ends. So is a limit of 0, which is that of a plan without it.
Where a table knows when a vendor's day ends, a day that is used up lasts until then, whatever the answer asks for.

Theory: a continuous bucket of a day gives back a call within seconds, however long its
window; a fixed one gives back nothing until it steps. So only fixed windows are used up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from ..core.profile import Refill
from ..core.signals import Reading
from .bodies import ErrorBody, Violation
from .dialect import UNNAMED, Dialect, Field
from .headers import Collected
from .texts import TextFacts, period_s

_DAY_S = 86_400.0
HOURS_S = 18_000.0
"""Five hours: the shortest window that a plan has been seen to have."""

_A_UNIT = re.compile(r"(?:[a-z]{1,20}[-_])?(?:tokens|requests|images|characters|seconds|minutes|pages)")
_PER = re.compile(r"Per(Second|Minute|Hour|Day|Month)")


@attrs.frozen
class Refusal:
    """
    Args:
        readings: of the answer, with what the sentence adds.
        wait_s: the least wait in seconds, or None.
        unit: the dimension it names, or None.
        limit, used, requested, window_s: what it says of that dimension.
        group: the group of calls that shares the limit.
        scope: whose limit it is, in the server's words.
        used_up: a window that is not waited out.
        wait_grows: the wait is the least of the vendor.
    """

    readings: dict[str, Reading]
    wait_s: float | None
    unit: str | None = None
    limit: float | None = None
    used: float | None = None
    requested: float | None = None
    window_s: float | None = None
    group: str | None = None
    scope: str | None = None
    used_up: bool = False
    wait_grows: bool = False


def until_the_plan_renews_s(table: Dialect, readings: Mapping[str, Reading], hint_s: float | None) -> float | None:
    """The wait that is asked for, or until the last used-up window of a plan is over, if that is longer."""
    used_up = [readings[name] for name in table.plans if name in readings and readings[name].remaining == 0]
    waits = [reading.reset_s for reading in used_up]
    return max((wait for wait in (*waits, hint_s) if wait), default=None)


def refusal(
    table: Dialect,
    collected: Collected,
    error: ErrorBody | None,
    text: TextFacts,
    readings: dict[str, Reading],
    hint_s: float | None,
    now_s: float | None,
) -> Refusal:
    """What a refusal says; *hint_s* is the wait it asks for, *now_s* the present since 1970."""
    violation = _longest(error.violations) if error is not None else None
    window_s = (None if violation is None else _window_of(violation)) or text.window_s
    limit = text.limit if violation is None or text.limit is not None else violation.limit
    readings = _with_window(readings, window_s)
    empty = [name for name, reading in readings.items() if reading.remaining == 0]
    unit = _unit(collected, error, text, violation, readings, empty)
    wait_s = _computed_s(table, readings, empty, unit) if hint_s is None else hint_s
    if table.day_ends is not None and window_s == _DAY_S and now_s is not None:
        wait_s = max(wait_s or 0.0, table.day_ends(now_s))
    return Refusal(
        readings=readings,
        wait_s=wait_s if wait_s is not None else table.least_wait_s,
        wait_grows=wait_s is None and table.least_wait_s is not None,
        unit=_as_shown(unit, window_s, readings),
        limit=limit or None,
        used=text.used,
        requested=text.requested,
        window_s=window_s,
        group=text.group or (None if violation is None else violation.group) or collected.text(Field.GROUP),
        scope=_scope(collected),
        used_up=_used_up(table, readings, empty, limit, window_s, wait_s),
    )


def _scope(collected: Collected) -> str | None:
    said = collected.text(Field.SCOPE)
    if said is None and (collected.text(Field.GLOBAL) or "").lower() == "true":
        return "global"
    return None if said is None else said.lower()


def _longest(violations: tuple[Violation, ...]) -> Violation | None:
    """Of several limits that were hit, the one that takes longest."""
    return max(violations, key=lambda violation: _window_of(violation) or 0.0, default=None)


def _window_of(violation: Violation) -> float | None:
    found = _PER.search(violation.window)
    return None if found is None else period_s(found[1])


def _with_window(readings: dict[str, Reading], window_s: float | None) -> dict[str, Reading]:
    """The sentence's window belongs to the one dimension that is shown, if nothing else says its window."""
    if window_s is None or len(readings) != 1:
        return readings
    return {
        name: reading if reading.window_s is not None else attrs.evolve(reading, window_s=window_s)
        for name, reading in readings.items()
    }


def _unit(
    collected: Collected,
    error: ErrorBody | None,
    text: TextFacts,
    violation: Violation | None,
    readings: Mapping[str, Reading],
    empty: list[str],
) -> str | None:
    told = (collected.text(Field.UNIT) or "").lower()
    if told in readings:
        return told
    if "token" in told:
        return "tokens"
    if "request" in told or "call" in told:
        return UNNAMED
    if text.unit is not None:
        return text.unit
    if violation is not None:
        return _counted(violation.counts)
    if error is not None:
        if error.type is not None and (error.type in readings or _A_UNIT.fullmatch(error.type)):
            return error.type
        if error.policies:
            return error.policies[0]
    return empty[0] if len(empty) == 1 else None


def _as_shown(unit: str | None, window_s: float | None, readings: Mapping[str, Reading]) -> str | None:
    """The name by which the answer itself shows what its sentence calls *unit*: "tokens" is its tokens-minute."""
    if unit is None or unit in readings:
        return unit
    stems = (f"{unit}-", "req-") if unit == UNNAMED else (f"{unit}-",)
    shown = [name for name in readings if name.startswith(stems)]
    fitting = [name for name in shown if window_s is not None and readings[name].window_s == window_s]
    found = fitting or shown
    return found[0] if len(found) == 1 else unit


def _counted(metric: str) -> str | None:
    """The dimension that a metric's name ends in."""
    metric = metric.lower()
    if "token" in metric:
        return "input-tokens" if "input_token" in metric else "tokens"
    return UNNAMED if "request" in metric else None


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


def _used_up(
    table: Dialect,
    readings: Mapping[str, Reading],
    empty: list[str],
    limit: float | None,
    window_s: float | None,
    wait_s: float | None,
) -> bool:
    if limit == 0 or any(name in table.plans for name in empty):
        return True
    if table.profile.refill is Refill.CONTINUOUS:
        return False
    if window_s is not None and window_s >= table.long_window_s:
        return True
    long_s = HOURS_S if wait_s is None else table.long_window_s
    return any(window is not None and window >= long_s for window in (readings[name].window_s for name in empty))
