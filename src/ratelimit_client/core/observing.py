"""
What an answer does to the key it belongs to.

Law of this file: every answer is news for the ramp and for the breaker; its
readings correct levels; a refusal closes what it names, for as long as it says,
and teaches one lesson. An overload is a matter of concurrency and touches no
level; one that says *slow down* is a matter of the rate as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from .bucket import Bucket
from .budget import asked_for
from .events import Kind
from .failure import TransportFailure
from .groups import heed_group
from .hints import SPREAD_NS, Hint
from .lines import Line
from .outage import blames_server
from .patience import hint_came, outage_began
from .readings import Lesson
from .signals import Reason, Signals
from .slowdown import Refused
from .ticket import State
from .units import NS, to_ns

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler
    from .ticket import Ticket

# Looked at with every answer, where a global is cheaper than an attribute of an enum.
_OK, _RATE_LIMITED = Reason.OK, Reason.RATE_LIMITED
_QUOTA_EXHAUSTED, _TOO_LARGE = Reason.QUOTA_EXHAUSTED, Reason.TOO_LARGE

# Above a tenth of the refill the difference between charged and estimated is others' doing.
_FOREIGN_MAX_PPM = 100_000


def learn_from_answer(scheduler: Scheduler, state: KeyState, ticket: Ticket, signals: Signals, *, now_ns: int) -> None:
    """Use everything one answer says."""
    state.window.answered(now_ns=now_ns)
    _tell_breaker(scheduler, state, signals, now_ns)
    used: list[tuple[Line, Lesson]] = []
    if signals.reason is not _OK or state.reading_due(now_ns=now_ns):
        state.read_ns = now_ns
        _note_let_in(state, now_ns)
        used = _use_readings(scheduler, state, ticket, signals, now_ns)
    if signals.reason is _RATE_LIMITED:
        state.window.refused(ticket.written_ns or ticket.granted_ns, now_ns=now_ns)
    _heed(scheduler, state, ticket, signals, used, now_ns)
    if ticket.features is not None and (used or signals.requested is not None):
        had = state.estimator.evidences
        _estimate(state, ticket, signals, used, scheduler.jitter.ns, now_ns)
        _tell_estimate(scheduler, state, had, now_ns)
    if scheduler.counts is not None:
        scheduler.counts.answered(state.name, signals.status, signals.request_id)
    if scheduler.wants(Kind.ANSWERED):
        _tell_answered(scheduler, state, ticket, signals.status, now_ns, signals)


def learn_from_unread(scheduler: Scheduler, state: KeyState, ticket: Ticket, status: int, *, now_ns: int) -> None:
    """A success came whose readings nobody needs: what ``learn_from_answer`` makes of one that says nothing else."""
    state.window.answered(now_ns=now_ns)
    if state.breaker.succeeded(now_ns=now_ns):
        _recovered(scheduler, state, now_ns)
    budget = state.budget
    if not budget.has_readings or budget.learner.bucket is not None:  # else there is nothing for it to learn
        _admitted(state, ticket, now_ns)
    if scheduler.counts is not None:
        scheduler.counts.answered(state.name, status, None)
    if scheduler.wanted and scheduler.wants(Kind.ANSWERED):
        _tell_answered(scheduler, state, ticket, status, now_ns)


def _tell_answered(
    scheduler: Scheduler, state: KeyState, ticket: Ticket, status: int, now_ns: int, signals: Signals | None = None
) -> None:
    facts: dict[str, object] = {"status": status, "latency_ns": now_ns - _sent_ns(ticket), **_name_of(signals)}
    scheduler.emit(Kind.ANSWERED, state.name, now_ns, call=ticket.seq, **facts)


def _name_of(signals: Signals | None) -> dict[str, str]:
    """The server's name for a request that failed. That of a success may quote a key: nobody has looked through it."""
    named = signals is not None and signals.reason is not _OK and signals.request_id
    return {"request_id": named} if named else {}


def learn_from_event(scheduler: Scheduler, state: KeyState, ticket: Ticket, signals: Signals, *, now_ns: int) -> None:
    """
    Use what a server says after the head of an answer: an error inside a stream, limits in an event.

    Its numbers are those of the moment in which it was said, and of no use for measuring the way.
    """
    if ticket.state is State.GRANTED:  # there was no head
        ticket.state = State.ANSWERED
        state.window.answered(now_ns=now_ns)
    if signals.reason is not _OK or not signals.readings:  # levels alone are no success
        _tell_breaker(scheduler, state, signals, now_ns)
    said_now = attrs.evolve(signals, processing_s=0.0)
    used = _read_levels(scheduler, state, ticket, said_now, now_ns)
    _heed(scheduler, state, ticket, signals, used, now_ns)


def _heed(
    scheduler: Scheduler,
    state: KeyState,
    ticket: Ticket,
    signals: Signals,
    used: list[tuple[Line, Lesson]],
    now_ns: int,
) -> None:
    """Draw the conclusions of what was said, beyond its numbers."""
    refused = signals.reason is _RATE_LIMITED
    if refused:
        state.refused += 1
        _refused(scheduler, state, ticket, signals, used, now_ns)
        if scheduler.counts is not None:
            scheduler.counts.was_refused(state.name, signals.unit, signals.request_id)
    elif signals.reason is _QUOTA_EXHAUSTED:
        # Whoever is next would hear the same; a second is enough for the caller to stop or to pay.
        state.gate_ns = max(state.gate_ns, now_ns + NS)
    elif signals.reason is _OK:
        _admitted(state, ticket, now_ns)
    elif signals.slow_down:
        _slow_down(scheduler, state, ticket, signals, now_ns)
    if signals.reason is not _OK:
        _tell_error(scheduler, state, ticket, signals, now_ns)
    if signals.reason is _TOO_LARGE and signals.limit is not None:
        _too_large(state, signals, now_ns)
    if signals.limit_group is not None and scheduler.profile.groups_share and (refused or signals.limit is not None):
        heed_group(scheduler, state, signals.limit_group, now_ns=now_ns)
    if refused:
        for member in (state, *state.kin):
            hint_came(scheduler, member, now_ns)


def _tell_error(scheduler: Scheduler, state: KeyState, ticket: Ticket, signals: Signals, now_ns: int) -> None:
    """Of a limit that was met, or of whatever else an answer says that is no success."""
    kind = Kind.REFUSED if signals.reason is _RATE_LIMITED else Kind.ERRED
    if not scheduler.wants(kind):
        return
    facts: dict[str, object] = {"unit": signals.unit} if kind is Kind.REFUSED else {"reason": signals.reason.value}
    if signals.retry_after_s is not None:
        facts["wait_ns"] = to_ns(signals.retry_after_s)
    facts |= {"status": signals.status, "request_id": signals.request_id, "sent_ns": _sent_ns(ticket)}
    scheduler.emit(kind, state.name, now_ns, call=ticket.seq, **facts)


def _sent_ns(ticket: Ticket) -> int:
    return ticket.written_ns or ticket.granted_ns


def learn_from_usage(scheduler: Scheduler, state: KeyState, ticket: Ticket, tokens: int, *, now_ns: int) -> None:
    """What a call used teaches what calls cost only where that is what the server charges in the end."""
    if ticket.features is not None and "tokens" in state.budget.profile.settles:
        had = state.estimator.evidences
        state.estimator.learn(ticket.features, 1, tokens)
        _tell_estimate(scheduler, state, had, now_ns)


def _tell_estimate(scheduler: Scheduler, state: KeyState, had: int, now_ns: int) -> None:
    if state.estimator.evidences == had:
        return
    charged, estimated = state.estimator.last
    if scheduler.counts is not None:
        scheduler.counts.estimated(charged, estimated)
    if scheduler.wants(Kind.ESTIMATED):
        scheduler.emit(Kind.ESTIMATED, state.name, now_ns, charged=charged, estimated=estimated)


def _use_readings(
    scheduler: Scheduler, state: KeyState, ticket: Ticket, signals: Signals, now_ns: int
) -> list[tuple[Line, Lesson]]:
    """Correct levels by what the answer shows, and draw the conclusions for slices, shares and the ramp."""
    if signals.processing_s is not None and (way_ns := now_ns - ticket.granted_ns - to_ns(signals.processing_s)) > 0:
        # What the server did not spend on it, it spent on the way or before the door.
        scheduler.jitter.add(way_ns)
    return _read_levels(scheduler, state, ticket, signals, now_ns)


def _read_levels(
    scheduler: Scheduler, state: KeyState, ticket: Ticket, signals: Signals, now_ns: int
) -> list[tuple[Line, Lesson]]:
    # A refusal and "too large" are both proof of a lower limit.
    proof = signals.reason in (_RATE_LIMITED, _TOO_LARGE)
    jitter_ns = scheduler.jitter.ns
    had = _limits(state) if scheduler.wants(Kind.LIMIT_CHANGED) else None
    used = state.budget.read(ticket, signals, refused=proof, jitter_ns=jitter_ns, now_ns=now_ns)
    if had is not None:
        _tell_limits(scheduler, state, signals, had, now_ns)
    for line, lesson in used:
        _read(scheduler, state, ticket, line, now_ns)
        if line.lessons.slice is not None:
            line.sharing.drawn(line.lessons.slice, lesson.residual, now_ns=now_ns)
    if used:
        _share(state, ticket, now_ns)
        _set_gentle(state, ticket, now_ns)
        state.was_read()
    return used


def _limits(state: KeyState) -> dict[Bucket, int]:
    return {line.bucket: line.bucket.limit for line in state.budget.all_lines}


def _tell_limits(scheduler: Scheduler, state: KeyState, signals: Signals, had: dict[Bucket, int], now_ns: int) -> None:
    """Of those that were shown for the first time, or as others than before."""
    for bucket, limit in _limits(state).items():
        if limit != (before := had.get(bucket)):
            facts = {"unit": bucket.name, "window_ns": bucket.window_ns, "amount": limit, "before": before}
            scheduler.emit(Kind.LIMIT_CHANGED, state.name, now_ns, call=None, **facts, **_name_of(signals))


def learn_from_failure(
    scheduler: Scheduler, state: KeyState, ticket: Ticket, failure: TransportFailure, *, now_ns: int
) -> None:
    """No usable answer came: news for the breaker only."""
    if blames_server(failure):
        _blame(scheduler, state, now_ns)
    if scheduler.counts is not None:
        scheduler.counts.failed(state.name, failure.kind.value)
    if scheduler.wants(Kind.FAILED):
        facts = {"failure": failure.kind.value, "sent_ns": _sent_ns(ticket)}
        scheduler.emit(Kind.FAILED, state.name, now_ns, call=ticket.seq, **facts)


def _blame(scheduler: Scheduler, state: KeyState, now_ns: int, request_id: str | None = None) -> None:
    if state.breaker.failed(now_ns=now_ns):
        outage_began(scheduler, state, now_ns)
        if scheduler.wants(Kind.OUTAGE):
            scheduler.emit(Kind.OUTAGE, state.name, now_ns, request_id=request_id)


def _tell_breaker(scheduler: Scheduler, state: KeyState, signals: Signals, now_ns: int) -> None:
    breaker = state.breaker
    if blames_server(signals):
        _blame(scheduler, state, now_ns, signals.request_id)
        return
    ok = signals.reason is _OK
    if breaker.succeeded(now_ns=now_ns) if ok else breaker.answered(now_ns=now_ns):
        _recovered(scheduler, state, now_ns)


def _recovered(scheduler: Scheduler, state: KeyState, now_ns: int) -> None:
    """An outage is over: begin again with the ramp."""
    state.window.restart()
    if scheduler.wants(Kind.RECOVERED):
        scheduler.emit(Kind.RECOVERED, state.name, now_ns)


def _read(scheduler: Scheduler, state: KeyState, ticket: Ticket, line: Line, now_ns: int) -> None:
    """A reading was used: it may settle what an earlier refusal meant, and time mends slices."""
    lessons = line.lessons
    had = lessons.slice
    assert line.series.server_remaining is not None, "without it nothing would have been used"
    lessons.evidence(line.series.server_remaining, order=ticket.order, now_ns=now_ns)
    if not state.budget.purses:  # what several learnt from one is not tried out by each
        lessons.grow(now_ns=now_ns)
    _note_slice(scheduler, state, line, had, now_ns)


def _note_slice(scheduler: Scheduler, state: KeyState, line: Line, had: Bucket | None, now_ns: int) -> None:
    """A slice that was learnt is a bucket in force, one that mended is none."""
    learnt = line.lessons.slice
    if learnt is had:
        return
    state.budget.rebuild()
    if learnt is not None and scheduler.wants(Kind.SLICE_LEARNT):
        scheduler.emit(Kind.SLICE_LEARNT, state.name, now_ns, unit=line.bucket.name, burst=learnt.capacity)


def _share(state: KeyState, ticket: Ticket, now_ns: int) -> None:
    """While others spend on this key, keep a fair pace in every bucket that shows its level; a store has its own."""
    if state.budget.purses:
        return
    foreign_ppm = state.budget.foreign_ppm(now_ns=now_ns)
    changed = False
    for line in state.budget.all_lines:
        unit = line.bucket.pays
        if line.series.server_remaining is None or unit is None:
            continue
        level, slice_ = line.bucket.level(now_ns=now_ns), line.lessons.slice
        if slice_ is not None:
            level = min(level, slice_.level(now_ns=now_ns))
        ends = _is_enough(state, unit, level)
        urgent = slice_ is not None or line.series.server_remaining * 2 < line.bucket.limit
        changed = line.sharing.consider(line.bucket, foreign_ppm, ends=ends, urgent=urgent, now_ns=now_ns) or changed
        paid = state.budget.debits.till(unit).total
        remaining, granted_ns = line.series.server_remaining, ticket.granted_ns
        line.sharing.marked(line.bucket, slice_, remaining, paid, granted_ns, now_ns=now_ns)
    if changed:
        state.budget.rebuild()


def _is_enough(state: KeyState, unit: str, level: int) -> bool:
    """No more input comes, and *level* is enough for what is queued."""
    if not state.ended or not state.queue.waiting or state.kin or state.queue.ahead(unit, 2) > level:
        return False
    return all(ticket.tenant in state.ended for ticket in state.queue.oldest())


def _set_gentle(state: KeyState, ticket: Ticket, now_ns: int) -> None:
    """At how many calls in flight calls leave at three times the rate of the tightest bucket."""
    if not state.window.growing:
        return
    latency_ns = now_ns - ticket.granted_ns
    state.window.gentle_above = min(
        (
            3 * latency_ns * line.bucket.limit // (line.bucket.window_ns * amount * state.budget.members)
            for line in state.budget.all_lines
            if (amount := ticket.amount(line.bucket.pays)) > 0
        ),
        default=None,
    )


def _refused(
    scheduler: Scheduler,
    state: KeyState,
    ticket: Ticket,
    signals: Signals,
    used: list[tuple[Line, Lesson]],
    now_ns: int,
) -> None:
    budget = state.budget
    line = budget.named(signals, ticket)
    hint_s = signals.retry_after_s
    until_ns = now_ns
    if hint_s is not None and hint_s > 0:
        wait_ns = to_ns(hint_s)
        if signals.wait_grows:
            last_ns = state.breaker.last_success_ns
            wait_ns = state.least_wait.refused(wait_ns, ticket.granted_ns, last_ns, now_ns=now_ns)
        until_ns += wait_ns + int(SPREAD_NS * scheduler.dice())
    if line is not None:
        budget.enforce(line)
        _named(scheduler, state, ticket, signals, line, until_ns, now_ns)
        if budget.has_readings and not line.series.asleep and not line.lessons.helpless:
            return  # of a series that is asleep, or a slice that does not help, nothing else is learnt
    else:
        state.close(Hint(until_ns, 0, signals))
        if budget.explained(ticket, signals) is not None:
            return
    own, _, total = ticket.mark("requests")
    if budget.learner.refused(ticket.granted_ns, total - own, budget.debits, most=budget.shown_rate(), now_ns=now_ns):
        budget.rebuild()
        if until_ns == now_ns:
            state.gate_ns = max(state.gate_ns, budget.learner.resumes_ns)
        if scheduler.wants(Kind.RATE_LEARNT):
            scheduler.emit(Kind.RATE_LEARNT, state.name, now_ns, request_id=signals.request_id)


def _admitted(state: KeyState, ticket: Ticket, now_ns: int) -> None:
    """What the learner of a rate, if there is anything for it to learn, makes of a success."""
    budget = state.budget
    if not budget.has_readings:
        budget.learner.admitted(ticket.granted_ns, now_ns=now_ns)
    elif budget.learner.outlived(now_ns=now_ns):
        budget.learner = budget.learner.forgotten(budget.debits, now_ns=now_ns)
        budget.rebuild()
    elif budget.learner.bucket is not None:
        budget.learner.admitted(ticket.granted_ns, most=budget.shown_rate(), now_ns=now_ns)


def _note_let_in(state: KeyState, now_ns: int) -> None:
    budget, slowdown = state.budget, state.budget.slowdown
    slowdown.end_debt()
    if now_ns >= slowdown.due_ns:
        tokens = budget.debits.till("tokens").total
        if slowdown.note(budget.debits.calls, tokens, now_ns=now_ns):
            budget.rebuild()


def _slow_down(scheduler: Scheduler, state: KeyState, ticket: Ticket, signals: Signals, now_ns: int) -> None:
    """The rate grew too fast, says the server; when it says so again and again, the key gets a pace."""
    budget = state.budget
    if ticket.order <= budget.counts_after:
        return  # it was counted in another ledger
    calls, _, all_calls = ticket.mark("requests")
    tokens, _, all_tokens = ticket.mark("tokens")
    call = Refused(ticket.granted_ns, calls, tokens, all_calls, all_tokens)
    debits, slowdown = budget.debits, budget.slowdown
    if slowdown.refused(call, sent=debits.calls, busy_since_ns=debits.busy_since_ns, now_ns=now_ns):
        budget.rebuild()
        if slowdown.pace is not None and scheduler.wants(Kind.SLOWED_DOWN):
            facts = {"unit": slowdown.pace.pays, "per_minute": slowdown.pace.limit, "request_id": signals.request_id}
            scheduler.emit(Kind.SLOWED_DOWN, state.name, now_ns, call=None, **facts)


def _named(
    scheduler: Scheduler,
    state: KeyState,
    ticket: Ticket,
    signals: Signals,
    line: Line,
    until_ns: int,
    now_ns: int,
) -> None:
    bucket, lessons = line.bucket, line.lessons
    amount, asked = max(1, ticket.amount(bucket.pays)), max(1, asked_for(bucket, ticket, signals))
    reading = signals.readings.get(signals.unit or "")
    known = None
    if reading is not None and reading.remaining is not None:
        known = int(reading.remaining)
    elif signals.limit is not None and signals.used is not None:
        known = int(signals.limit - signals.used)
    predicted = ticket.predicted(bucket)
    if predicted is None:
        predicted = known if known is not None else bucket.level(now_ns=now_ns)
    in_slice = ticket.predicted(lessons.slice) if lessons.slice is not None else None
    others = state.budget.purses or line.sharing.suspects or line.sharing.pace is not None
    if known is not None and (others or (lessons.slice is None and known * 2 >= bucket.limit)):
        # What others took is in what the refusal tells.
        predicted = min(predicted, known)
    if others:
        in_slice = None if in_slice is None else 0  # it is emptied, and not cut
    had = lessons.slice
    refused_ns = state.budget.snap_ns(ticket, signals, jitter_ns=scheduler.jitter.ns, now_ns=now_ns)
    spent = state.budget.spent_since(ticket, bucket.pays)
    sent = {"order": ticket.order, "granted_ns": ticket.granted_ns, "refused_ns": refused_ns, "spent": spent}
    lessons.refused(asked, predicted, in_slice, known, **sent, owed=_owed(bucket, signals, asked), now_ns=now_ns)
    if known is None:
        bucket.cap_level((asked - 1) * bucket.window_ns, now_ns=now_ns)
    if until_ns > now_ns:
        # Nothing tells the level: the whole bucket waits; else only calls as large as the refused one.
        tells = known is not None or line.series.last_order >= 0
        bucket.close(Hint(until_ns, amount if tells else 0, signals), now_ns=now_ns)
    line.sharing.refused(bucket, now_ns=now_ns)
    _note_slice(scheduler, state, line, had, now_ns)


def _owed(bucket: Bucket, signals: Signals, amount: int) -> int:
    """
    Credits by which the server was below nothing, if its wait is the time until *amount* is there.

    One in whole seconds is rounded up, and one that grows is no time to anything: they tell of no debt.
    """
    wait_ns = to_ns(signals.retry_after_s or 0)
    if signals.wait_grows or wait_ns % NS == 0:
        return 0
    return max(0, wait_ns * bucket.limit - amount * bucket.window_ns)


def _too_large(state: KeyState, signals: Signals, now_ns: int) -> None:
    """The server's own "Requested R > Limit L" is proof of the limit."""
    line = state.budget.named(signals)
    if line is not None and signals.limit is not None and line.bucket.limit == int(signals.limit):
        line.bucket.firm = True


def _estimate(
    state: KeyState,
    ticket: Ticket,
    signals: Signals,
    used: list[tuple[Line, Lesson]],
    jitter_ns: int,
    now_ns: int,
) -> None:
    """What the server charged, as far as this answer shows it."""
    assert ticket.features is not None
    if signals.requested is not None and signals.unit == "tokens":
        state.estimator.learn(ticket.features, 1, int(signals.requested), stated=True)
        return
    trusted = (
        # What a refused call was charged, if anything, and that the bucket was not full before it: nobody says.
        signals.reason is not _RATE_LIMITED
        and not state.kin
        and state.budget.members == 1  # else the fall of a level is what all of them were charged
        and state.budget.foreign_ppm(now_ns=now_ns) < _FOREIGN_MAX_PPM
        and state.gate_ns <= now_ns
    )
    for line, lesson in used:
        bucket = line.bucket
        if bucket.name == "tokens":
            calm = trusted and bucket.gate_ns <= now_ns
            state.evidence.read(ticket, bucket, lesson, state.estimator, trusted=calm, jitter_ns=jitter_ns)
