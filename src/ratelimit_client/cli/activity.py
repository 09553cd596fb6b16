"""
What a run is doing, in words.

Law of this file: the first that is true, the most serious first, and with the
number that somebody who looks at it will ask for next: how long, how many, until
when.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from typing import Final

import attrs

from ..bulk.job import Job
from ..bulk.stops import PATIENT, Why
from ..bulk.words import number
from ..core.statistics import Explanation, KeyStatistics, Mode
from .cells import span

# Fewer in a minute than these, and than one for so many rows, are everyday life.
_RETRIES: Final = 3
_ROWS_A_RETRY: Final = 50


REFUSED: Final = "rate_limited"
"""Why an attempt was made again that a limit refused; that is no trouble."""


class Tone(enum.StrEnum):
    """How it is."""

    WELL = "well"
    WAITING = "waiting"
    TROUBLE = "trouble"


@attrs.frozen
class State:
    """
    Args:
        words: what it is doing.
        tone: how that is.
        goes_on: it is known to go on by itself.
    """

    words: str
    tone: Tone = Tone.WELL
    goes_on: bool = True


@attrs.frozen
class Recent:
    """
    The last minute.

    Args:
        rate: rows that ended, a second.
        ended: how many did.
        retries: attempts made again, by what made them necessary.
        retried: how many ever, those that a limit refused left out.
    """

    rate: float = 0.0
    ended: int = 0
    retries: Counter[str] = attrs.field(factory=Counter)
    retried: int = 0


def state_of(job: Job, keys: Mapping[str, KeyStatistics], recent: Recent) -> State:
    """What *job* is doing now."""
    if job.ended_ns is not None:
        return State("ended", goes_on=False)
    if job.stop is not None:
        return _stopping(job, job.stop.why)
    busy = {name: key for name, key in keys.items() if key.queued or key.in_flight}
    waits = job.engine.waits(_tokens(job))
    away = [name for name, key in busy.items() if key.mode is Mode.OUTAGE]
    if away:
        return outage(job.outage_s, waits, recent.retries, len(away), len(busy))
    if trouble := retrying(recent):
        return trouble
    if wait := waiting(waits, busy):
        return wait
    if not busy:
        return State("reading the rows")
    modes = {key.mode for key in busy.values()}
    return State(next((words for mode, words in _MODES.items() if mode in modes), "running"))


def _stopping(job: Job, why: Why) -> State:
    calls = job.engine.in_flight()
    for_calls = f"waiting for {number(calls)} {'call' if calls == 1 else 'calls'} under way"
    if why is Why.SIGINT:
        words = f"stopping: {for_calls}; Ctrl-C again does not wait"
    elif why in PATIENT:
        words = f"stopping: {number(len(job.lanes.tasks))} rows are begun and will end"
    else:
        words = f"stopping: {for_calls}, at most {span(job.bounds.grace_s)}"
    return State(words, Tone.WAITING, goes_on=False)


def outage(
    for_s: float | None, waits: Mapping[str, Explanation], retries: Counter[str], away: int, busy: int
) -> State:
    """
    The server is away.

    Args:
        for_s: since when; None when that is not known, or when some models answer.
        waits: what the models wait for.
        retries: attempts made again in the last minute, by what made them necessary.
        away, busy: models whose server is away, and models that are at work.
    """
    why = max(retries, key=lambda reason: retries[reason], default="")
    what = "only errors from the server" if why in _ERRORS else "no answer from the server"
    since = f" for {span(for_s)}" if for_s else ""
    of = f" ({away} of {busy} models)" if away < busy else ""
    probes_s = [wait.ready_in_s for wait in waits.values() if wait.binding == "outage" and wait.ready_in_s]
    probe = f"probing again in {span(min(probes_s))}" if probes_s and min(probes_s) >= 1 else "probing"
    return State(f"{what}{since}{of}, {probe}", Tone.TROUBLE, goes_on=away < busy)


def retrying(recent: Recent) -> State | None:
    """Calls are made again, for reasons that are no limit; None when hardly any are."""
    troubles = Counter({why: count for why, count in recent.retries.items() if why != REFUSED})
    if troubles.total() < max(_RETRIES, recent.ended // _ROWS_A_RETRY):
        return None
    words = ", ".join(_counted(why, count) for why, count in troubles.most_common(2))
    return State(f"trying again: {words} in the last minute", Tone.TROUBLE)


def _counted(why: str, count: int) -> str:
    one, many = _WHYS.get(why, (why, why))
    return f"{number(count)} {one if count == 1 else many}"


def waiting(waits: Mapping[str, Explanation], busy: Mapping[str, KeyStatistics]) -> State | None:
    """All that is left waits for a time to pass; None when something else can happen first."""
    idle = all(key.queued and not key.in_flight for key in busy.values())
    times = [(wait.ready_in_s, wait.binding) for wait in waits.values() if wait.ready_in_s is not None]
    if not idle or not times or len(times) < len(waits):
        return None
    soonest_s, binding = min(times)
    if soonest_s < 1:
        return None
    if binding == "hint":
        return State(f"waiting {span(soonest_s)}: the server asked for it", Tone.WAITING)
    return State(f"waiting {span(soonest_s)}: the limit is used up", Tone.WAITING)


def _tokens(job: Job) -> int | None:
    """Of a usual row; None while nobody knows."""
    tally = job.tally
    return round(tally.tokens / tally.ok) if tally.ok and tally.tokens else None


_ERRORS: Final = frozenset({"server_error", "overloaded"})

_WHYS: Final = {
    "server_error": ("server error", "server errors"),
    "overloaded": ("answer of an overloaded server", "answers of an overloaded server"),
    "connection": ("lost connection", "lost connections"),
    "timeout": ("answer that did not come", "answers that did not come"),
    "protocol": ("answer that is no HTTP", "answers that are no HTTP"),
    "incomplete": ("half answer", "half answers"),
    "auth": ("renewed key", "renewed keys"),
}

_MODES: Final = {
    Mode.SLOW_DOWN: "slower for a while, as the server asks",
    Mode.RAMP: "finding the pace",
    Mode.SHARING: "sharing the limit with others",
    Mode.LEARNT_RATE: "at a learnt pace",
    Mode.STEADY: "at the limit's pace",
}
