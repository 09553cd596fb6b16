"""
What makes a call wait, in words.

Law of this file: whoever reads a sentence at night need ask nothing more. It says what is
lacking, with the numbers, whose limit it is, who else takes of it, and until when.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .bucket import Bucket
from .hints import longest
from .leasing import LeasingScheduler
from .lines import Line
from .priors import PRIOR
from .profile import Refill
from .purse import Purse
from .ticket import Ticket
from .units import NS, to_s

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler

_SOURCES = {"config": "as typed", "header": "as the server shows", PRIOR: "as an earlier run saw"}
_NAMED = 2
_FOREIGN_PPM = 10_000
"""Less than this part of the refill is nobody."""


def because(scheduler: Scheduler, state: KeyState, ticket: Ticket, binding: str, now_ns: int) -> str:
    """Why *ticket* does not go, when *binding* is what keeps it."""
    match binding:
        case "hint":
            return _asked(state)
        case "pause":
            return "the server refused and named no time: a pause of our own, twice as long while nothing is let in"
        case "store":
            return "the store of the shared budget is asked first, and waited for 0.25 s at most"
        case "outage":
            return _outage(state, now_ns)
        case "ramp":
            return _ramp(state)
        case "slots":
            return f"{scheduler.in_flight:,} calls are under way over all keys, and max_in_flight is no more"
        case "queue":
            return "others are first"
    bucket = state.budget.binding
    assert bucket is not None, "a bucket made it wait"
    return _bucket(scheduler, state, bucket, ticket, now_ns)


def _asked(state: KeyState) -> str:
    signals = None if state.hint is None else state.hint.signals
    said = "" if signals is None else f" with {signals.status}"
    return f"the server refused a call{said} without naming a limit and asked for this wait"


def _outage(state: KeyState, now_ns: int) -> str:
    breaker = state.breaker
    since_ns = now_ns if breaker.since_ns is None else breaker.since_ns
    probes = f", {breaker.probes} so far" if breaker.probes else ""
    failed = f"{breaker.failures_in_row} failures in a row"
    return (
        f"the server has not answered for {span(now_ns - since_ns)} ({failed}); one call probes at a time{probes}, "
        "and the first answer lets all go"
    )


def _ramp(state: KeyState) -> str:
    window = state.window
    why = "the server had too much to do, so it widens slowly" if window.careful else "it widens as answers come"
    return f"{window.in_flight} calls are under way and the window is {window.size}: {why}"


# -- buckets --------------------------------------------------------------------------


def _bucket(scheduler: Scheduler, state: KeyState, bucket: Bucket, ticket: Ticket, now_ns: int) -> str:
    budget = state.budget
    if bucket is budget.slowdown.pace:
        words = _slowed_down(bucket, budget.slowdown.held_until_ns - now_ns)
    elif bucket is budget.learner.bucket:
        words = _learnt(bucket, shown=budget.has_readings)
    elif isinstance(bucket, Purse):
        words = _lent(scheduler, state, bucket, ticket, now_ns)
    else:
        line = _line_of(state, bucket)
        if line is not None and bucket is line.sharing.pace:
            words = _shared_with_others(line, bucket, now_ns)
        elif line is not None and bucket is line.lessons.slice:
            words = _sliced(line, bucket, ticket, now_ns)
        else:
            words = ", ".join(_plain(bucket, line, ticket, now_ns))
    return f"{words}{_whose(state, bucket)}"


def _line_of(state: KeyState, bucket: Bucket) -> Line | None:
    lines = state.budget.all_lines
    return next((line for line in lines if bucket in (line.bucket, line.lessons.slice, line.sharing.pace)), None)


def _slowed_down(pace: Bucket, held_ns: int) -> str:
    """What a server that says *slow down* leaves us."""
    until = "growing slowly" if held_ns <= 0 else f"for another {to_s(held_ns) / 60:.0f} min, then growing slowly"
    return f"the server asks to slow down: {pace.limit:,} {pace.pays} a minute, {until}"


def _learnt(bucket: Bucket, *, shown: bool) -> str:
    """A rate that refusals taught."""
    a_minute = bucket.limit * 60 * NS / bucket.window_ns
    why = "the server refuses below the limit that it shows" if shown else "the server shows no limit"
    return f"{why}; its refusals taught {a_minute:.3g} calls a minute, and more once none come"


def _lent(scheduler: Scheduler, state: KeyState, purse: Purse, ticket: Ticket, now_ns: int) -> str:
    """What a store lent to this process."""
    members = state.budget.members
    words = (
        f"{purse.units:,} {purse.pays} are lent to this process and the call needs {ticket.amount(purse.pays):,}: "
        f"{_per(purse)} are shared by {members:,} {'process' if members == 1 else 'processes'} through the store"
    )
    lost_ns = scheduler.keeper.lost_ns if isinstance(scheduler, LeasingScheduler) else None
    if lost_ns is None:
        return words
    goes_on = isinstance(scheduler, LeasingScheduler) and scheduler.keeper.spends
    then = "it goes on with its part, less and less" if goes_on else "nothing goes until it is back"
    return f"{words}, which has not been reached for {span(now_ns - lost_ns)}: {then}"


def _shared_with_others(line: Line, pace: Bucket, now_ns: int) -> str:
    bucket = line.bucket
    taken = line.series.foreign_ppm(now_ns=now_ns) / 1_000_000
    return (
        f"others take {taken:.0%} of what flows into {bucket.name}, so that this process spreads its own evenly, "
        f"no faster than {pace.limit:,} per {to_s(bucket.window_ns):g} s"
    )


def _sliced(line: Line, piece: Bucket, ticket: Ticket, now_ns: int) -> str:
    left = max(0, piece.level(now_ns=now_ns))
    return (
        f"the server lets through no more than {piece.capacity:,} {piece.pays} of {_per(line.bucket)} at once: "
        f"{left:,} are left and the call needs {ticket.amount(piece.pays):,}"
    )


def _plain(bucket: Bucket, line: Line | None, ticket: Ticket, now_ns: int) -> Iterator[str]:
    """A limit that somebody named, and what there is of it."""
    amount, level = ticket.amount(bucket.pays), bucket.level(now_ns=now_ns)
    source = f" ({_SOURCES[bucket.source]})" if bucket.source in _SOURCES else ""
    yield f"{bucket.name} hold {level:,} of {_per(bucket)}{source} and the call needs {amount:,}"
    hint = longest(bucket.hints, amount, now_ns=now_ns)
    if hint is not None:
        which = f"calls of {hint.amount:,} or more" if hint.amount > 1 else "all calls"
        said = "" if hint.signals is None else f" with {hint.signals.status}"
        yield f"the server refused one{said} and asked {which} to wait {span(hint.until_ns - now_ns)}"
    elif level >= amount:
        yield from _kept(bucket, ticket)
    if bucket.refill is Refill.WINDOW:
        yield from _next_window(bucket, level >= amount, now_ns)
    foreign_ppm = 0 if line is None else line.series.foreign_ppm(now_ns=now_ns)
    if foreign_ppm >= _FOREIGN_PPM:
        yield f"others take {foreign_ppm / 1_000_000:.0%} of what flows in"


def _kept(bucket: Bucket, ticket: Ticket) -> Iterator[str]:
    """There is enough, but not for this call."""
    window_ns, escrow = bucket.window_ns, bucket.escrow
    if bucket.reserve and not bucket.spends_reserve:
        yield f"with {max(1, bucket.reserve // window_ns):,} in reserve for what others spend unseen"
    if escrow is not None and escrow.owner is not ticket and (held := escrow.at(bucket.refilled) // window_ns):
        yield f"with {held:,} set aside for a call that has waited longer"
    worse = [hold.at(bucket.refilled) for band, hold in (bucket.bands or {}).items() if band > ticket.priority]
    if kept := sum(worse) // window_ns:
        yield f"with {kept:,} kept for worse priorities"


def _next_window(bucket: Bucket, enough: bool, now_ns: int) -> Iterator[str]:
    if enough and bucket.stepped_ns is not None:
        yield "the window has just begun and opens bit by bit"
    elif bucket.steps_at_ns is not None:
        yield f"nothing flows back before the window ends in {span(bucket.steps_at_ns - now_ns)}"


def _per(bucket: Bucket) -> str:
    return f"{bucket.limit:,} per {to_s(bucket.window_ns):g} s"


def _whose(state: KeyState, bucket: Bucket) -> str:
    """Who else is charged there, of our own."""
    if bucket in state.budget.shared:
        return ", a limit over all keys"
    if not state.kin:
        return ""
    names = ", ".join(f"{each.name!r:.130}" for each in state.kin[:_NAMED])
    more = len(state.kin) - _NAMED
    return f"; it counts together with {names}{f' and {more:,} more' if more > 0 else ''}"


def span(ns: int) -> str:
    """A span of time for people."""
    seconds = max(0.0, to_s(ns))
    if 0 < seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
