"""What an answer does to its key: levels, closings, lessons, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.events import Kind
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.keystate import KeyState
from ratelimit_client.core.outage import FAILURES_TO_CLOSE
from ratelimit_client.core.quota import per_minute, per_second
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import CostExceedsQuota
from tests.core.driving import OK, Drive, scheduler

JITTER_S = 0.025  # half of what a hint is lengthened by at most


def drive_of(*quotas: Any, slots: int = 4) -> Drive:
    return Drive(scheduler(*quotas, slots=slots), hold=True)


def state_of(drive: Drive) -> KeyState:
    return drive.machine.keys["m"]


def refusal(**how: Any) -> Signals:
    return Signals(429, Reason.RATE_LIMITED, True, **how)


def shows(left: int, *, limit: int = 600, unit: str = "requests", window_s: float = 60.0) -> dict[str, Reading]:
    return {unit: Reading(limit, left, window_s=window_s)}


def answer(drive: Drive, signals: Signals, *, at_s: float | None = None, **ask: Any) -> Ticket:
    """One call, answered at once."""
    if at_s is not None:
        drive.to(at_s)
    ticket = drive.ask(**ask)
    assert ticket.state is State.GRANTED, "the test meant it to go"
    drive.end(ticket, signals, Ending.SUCCEEDED if signals is OK else Ending.IGNORED)
    return ticket


def told(drive: Drive) -> list[tuple[Kind, dict[str, object]]]:
    """Every event since the last look."""
    found = []
    while (event := drive.machine.next_event()) is not None:
        found.append((event.kind, dict(event.facts)))
    return found


# -- what a refusal closes ------------------------------------------------------------


def test_a_refusal_that_names_a_bucket_closes_it_for_calls_as_large() -> None:
    """The level is known: smaller calls go on, and so do calls that need nothing of it."""
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(9_000, limit=10_000, unit="tokens")), tokens=1000)
    hinted = refusal(unit="tokens", retry_after_s=2.0, readings=shows(3_000, limit=10_000, unit="tokens"))
    answer(drive, hinted, tokens=4000)
    asks = ((4000, "a"), (900, "b"), (0, "c"))
    large, small, none = (drive.ask(tokens=tokens, tenant=tenant) for tokens, tenant in asks)
    assert [ticket.state for ticket in (large, small, none)] == [State.QUEUED, State.GRANTED, State.GRANTED]

    drive.to(2.0)
    assert drive.when(large) is None
    drive.to(30)
    assert drive.when(large) == pytest.approx(18, abs=6), "then its level has to be there, too"


def test_a_bucket_of_which_nothing_tells_the_level_closes_as_a_whole() -> None:
    """It is named, and that is all there is; other buckets stay open."""
    drive = drive_of(per_minute(requests=600, tokens=10_000))
    answer(drive, Signals(200, readings=shows(599)))
    answer(drive, refusal(unit="tokens", retry_after_s=2.0), tokens=400)
    small, none = drive.ask(tokens=1), drive.ask(tenant="z")

    assert (small.state, none.state) == (State.QUEUED, State.GRANTED)
    drive.to(2.0)
    assert drive.when(small) is None
    drive.to(2.1)
    assert drive.when(small) == pytest.approx(2.0 + JITTER_S)


def test_a_shorter_hint_does_not_shorten_a_longer_one() -> None:
    """Nobody goes earlier than the server asked."""
    drive = drive_of(per_minute(requests=600))
    first, second = drive.ask(), drive.ask()
    drive.end(first, refusal(unit="requests", retry_after_s=5.0), Ending.IGNORED)
    drive.end(second, refusal(unit="requests", retry_after_s=1.0), Ending.IGNORED)
    waits = drive.ask()
    drive.to(30)

    assert drive.when(waits) == pytest.approx(5.0 + JITTER_S)


def test_a_refusal_that_names_nothing_closes_the_key() -> None:
    """For as long as it says; no level is touched."""
    drive = drive_of(per_minute(requests=600))
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, refusal(retry_after_s=3.0))
    assert state_of(drive).budget.by_unit["requests"][0].level(now_ns=0) == 499
    waits = drive.ask()
    drive.to(3.0)
    assert drive.when(waits) is None
    drive.to(3.1)

    assert drive.when(waits) == pytest.approx(3.0 + JITTER_S)


def test_a_refusal_without_a_hint_proves_that_the_level_was_below_the_cost() -> None:
    """Nothing more: the bucket holds what is one less, and time goes on."""
    drive = drive_of(per_minute(tokens=6000))
    answer(drive, refusal(unit="tokens"), tokens=1000)
    assert state_of(drive).budget.by_unit["tokens"][0].level(now_ns=0) == 999


def test_the_numbers_of_the_text_are_as_good_as_a_header() -> None:
    """Limit less used is the level, as the server knew it."""
    drive = drive_of(per_minute(tokens=6000))
    answer(drive, refusal(unit="tokens", limit=6000, used=5900, requested=1000), tokens=1000)
    assert state_of(drive).budget.by_unit["tokens"][0].level(now_ns=0) == 100


def test_an_exhausted_quota_closes_the_key_for_a_second() -> None:
    """Whoever is next would hear the same."""
    drive = drive_of()
    answer(drive, Signals(429, Reason.QUOTA_EXHAUSTED, False))
    waits = drive.ask()
    drive.to(5)

    assert drive.when(waits) == 1.0


def test_an_overload_touches_no_level() -> None:
    """It is a matter of concurrency: the window shrinks, the bucket does not."""
    drive = drive_of(per_minute(requests=600))
    answer(drive, Signals(503, Reason.OVERLOADED, True, retry_after_s=2.0))

    assert state_of(drive).budget.by_unit["requests"][0].level(now_ns=0) == 599
    assert drive.ask().state is State.GRANTED


def test_too_large_proves_the_limit() -> None:
    """The server's own "Requested R > Limit L": what costs more is refused at once from then on."""
    drive = drive_of()
    large = Signals(429, Reason.TOO_LARGE, False, unit="tokens", limit=5000, requested=9000)
    answer(drive, large, tokens=9000)
    with pytest.raises(CostExceedsQuota, match="holds 5,000"):
        drive.ask(tokens=5001)

    typed = drive_of(per_minute(tokens=100_000))
    answer(typed, large, tokens=9000)
    with pytest.raises(CostExceedsQuota, match="holds 5,000"):
        typed.ask(tokens=5001)


def test_too_large_proves_nothing_of_other_limits() -> None:
    """Another bucket is named, or none, or one that the caller holds lower anyway."""
    drive = drive_of(per_minute(tokens=4000))
    answer(drive, Signals(429, Reason.TOO_LARGE, False, unit="images", limit=5, requested=9))
    answer(drive, Signals(429, Reason.TOO_LARGE, False))
    answer(drive, Signals(429, Reason.TOO_LARGE, False, unit="tokens", limit=5000, requested=9000))

    assert state_of(drive).budget.by_unit["tokens"][0].limit == 4000
    assert drive.ask(tokens=4000).state is State.GRANTED


# -- what a refusal teaches -----------------------------------------------------------


def test_a_refusal_where_the_level_agrees_teaches_a_slice() -> None:
    """The server shows 500 and refuses one: it enforces less than it shows."""
    drive = drive_of()
    drive.machine.subscribe([Kind.SLICE_LEARNT])
    answer(drive, Signals(200, readings=shows(500)))
    for _ in range(10):
        answer(drive, OK, at_s=drive.now_ns / S + 0.01)
    answer(drive, refusal(unit="requests", readings=shows(489)), at_s=0.11)

    line = state_of(drive).budget.lines["requests"][0]
    assert line.lessons.slice is not None
    assert line.lessons.slice in state_of(drive).budget.by_unit["requests"]
    assert told(drive) == [(Kind.SLICE_LEARNT, {"unit": "requests", "burst": line.lessons.slice.capacity})]


def test_a_slice_that_mended_is_gone() -> None:
    """Windows without a refusal give it back, piece by piece, until there is nothing left to hold back."""
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, refusal(unit="requests", readings=shows(499)), at_s=0.01)
    assert state_of(drive).budget.lines["requests"][0].lessons.slice is not None
    for minute in range(1, 25):
        answer(drive, Signals(200, readings=shows(599)), at_s=61.0 * minute)

    assert state_of(drive).budget.lines["requests"][0].lessons.slice is None
    assert len(state_of(drive).budget.by_unit["requests"]) == 1


def test_an_open_question_is_settled_by_the_next_reading() -> None:
    """The refusal showed nothing; the first call sent after it shows the level that was expected."""
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, refusal(unit="requests"), at_s=0.5)
    lessons = state_of(drive).budget.lines["requests"][0].lessons
    assert lessons.slice is None
    answer(drive, Signals(200, readings=shows(512)), at_s=2.0)

    assert lessons.slice is not None
    assert lessons.slice in state_of(drive).budget.by_unit["requests"]


def test_refusals_alone_teach_a_rate() -> None:
    """No bucket is named, no reading was ever shown: a pace of half of what was let out, after a pause."""
    drive = drive_of()
    drive.machine.subscribe([Kind.RATE_LEARNT])
    for number in range(20):
        answer(drive, OK, at_s=number / 10)
    answer(drive, refusal(), at_s=2.0)

    learner = state_of(drive).budget.learner
    assert learner.bucket is not None
    assert learner.bucket.limit == 5_000, "five a second, in calls per 1000 s"
    assert told(drive) == [(Kind.RATE_LEARNT, {"request_id": None})]
    waits = drive.ask()
    assert drive.machine.next_wakeup() == 2.1 * S
    drive.to(4)
    assert drive.when(waits) == 2.2, "the first of the new pace"


def test_a_hint_is_as_good_as_a_pause() -> None:
    """The server said for how long; it is not lengthened."""
    drive = drive_of()
    answer(drive, refusal(retry_after_s=0.5))
    assert state_of(drive).gate_ns == pytest.approx((0.5 + JITTER_S) * S)


def test_a_named_refusal_without_any_reading_teaches_the_rate_as_well() -> None:
    """A typed quota is too high, and nothing but refusals says so."""
    drive = drive_of(per_second(requests=1000))
    for number in range(20):
        answer(drive, OK, at_s=number / 10)
    answer(drive, refusal(unit="requests"), at_s=2.0)

    assert [bucket.source for bucket in state_of(drive).budget.by_unit["requests"]] == ["config", "learned"]


def test_a_refusal_that_readings_do_not_explain_teaches_a_rate() -> None:
    """The server shows plenty, refuses without a name or a time: half of the shown rate, evenly."""
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, refusal(readings=shows(499)), at_s=1)
    learner = state_of(drive).budget.learner
    assert learner.bucket is not None
    assert learner.bucket.limit == 5_000

    for number in range(40):
        answer(drive, Signals(200, readings=shows(450)), at_s=2 + number / 2)
    assert learner.bucket.limit == 10_000, "and it never grows above what is shown"
    answer(drive, OK, at_s=90)
    assert state_of(drive).budget.learner.bucket is None, "a minute without such a refusal, and it is forgotten"


def test_a_named_refusal_of_a_series_that_is_asleep_teaches_a_rate() -> None:
    """The server shows the same number whatever is spent: such readings teach no slice, so a rate is learnt."""
    drive = drive_of()
    for number in range(12):
        answer(drive, Signals(200, readings=shows(599)), at_s=number / 100)
    answer(drive, refusal(unit="requests", readings=shows(599)), at_s=0.2)

    (line,) = state_of(drive).budget.lines["requests"]
    assert line.series.asleep
    assert line.lessons.slice is None
    learner = state_of(drive).budget.learner
    assert learner.bucket is not None
    assert learner.bucket.limit == 5_000


def test_a_refusal_that_its_own_reading_explains_teaches_no_rate() -> None:
    """It names nothing, but shows a bucket with less than the call needed."""
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, refusal(readings=shows(0)), at_s=1)

    assert state_of(drive).budget.learner.bucket is None


# -- the ramp and the breaker ---------------------------------------------------------


def test_an_answer_of_any_kind_opens_the_ramp_further() -> None:
    """Until one came no more than 32 calls are out, however long nothing is heard."""
    drive = drive_of(slots=1000)
    for _ in range(300):
        drive.ask(polled=False)
    drive.to(60)
    assert drive.machine.in_flight == 32

    drive.end(drive.log[0][1], Signals(400, Reason.CLIENT_ERROR, False), Ending.IGNORED)
    drive.to(61)
    assert drive.machine.in_flight > 40


def test_ten_failures_close_the_key_and_an_answer_opens_it() -> None:
    """Of the network or of the server; it is said once each, and the ramp begins anew."""
    drive = drive_of(slots=100)
    drive.machine.subscribe([Kind.OUTAGE, Kind.RECOVERED, Kind.FAILED])
    for _ in range(40):
        answer(drive, OK)
    for number in range(FAILURES_TO_CLOSE):
        ticket = drive.ask()
        if number % 2:
            drive.machine.failed(ticket, TransportFailure(kind=FailureKind.CONNECTION), now_ns=0)
            drive.end(ticket, None, Ending.IGNORED)
        else:
            drive.end(ticket, Signals(500, Reason.SERVER_ERROR, True), Ending.IGNORED)
    failed = (Kind.FAILED, {"failure": "connection", "sent_ns": 0})
    assert told(drive) == [failed] * 4 + [(Kind.OUTAGE, {"request_id": None}), failed]

    waiting = [drive.ask() for _ in range(20)]
    drive.machine.failed(waiting[0], TransportFailure(kind=FailureKind.OTHER), now_ns=0)
    drive.to(1)
    drive.end(waiting[0])
    assert told(drive)[1:] == [(Kind.RECOVERED, {})]
    assert sum(ticket.state is State.GRANTED for ticket in waiting) == 4


def test_a_failure_that_nobody_asked_about_is_not_told() -> None:
    """No event is made for a kind that is not wanted; the breaker counts it all the same."""
    drive = drive_of()
    for _ in range(FAILURES_TO_CLOSE):
        drive.machine.failed(drive.ask(), TransportFailure(kind=FailureKind.TIMEOUT), now_ns=0)

    assert told(drive) == []
    assert state_of(drive).breaker.open


def test_a_refusal_ends_an_outage_too() -> None:
    """A server that says no is there."""
    drive = drive_of(slots=100)
    for _ in range(FAILURES_TO_CLOSE):
        answer(drive, Signals(502, Reason.SERVER_ERROR, True))
    waits = drive.ask()
    drive.to(1)
    drive.end(waits, refusal(retry_after_s=1.0), Ending.IGNORED)

    assert not state_of(drive).breaker.open


def test_calls_leave_no_faster_than_three_times_the_limit() -> None:
    """Once a limit is known, the ramp grows gently above what that takes in flight."""
    drive = drive_of(slots=1000)
    ticket = drive.ask()
    drive.to(2)
    drive.end(ticket, Signals(200, readings=shows(599)))
    window = state_of(drive).window
    assert window.gentle_above == 3 * 2 * 10

    window.careful = True
    ticket = drive.ask()
    drive.to(3)
    drive.end(ticket, Signals(200, readings=shows(599)))
    assert window.gentle_above == 60, "at the end of the ramp it is no matter any more"


# -- others -----------------------------------------------------------------------


def test_while_others_spend_a_fair_pace_is_kept() -> None:
    """It is a bucket in force as long as they do, and half a minute longer."""
    drive = drive_of()
    left = 600.0
    for number in range(60):
        left = min(600, left + 2) - 1 - 1  # ten a second flow back, a fifth of a second: we take one, others take one
        answer(drive, Signals(200, readings=shows(int(left) - 3 * number)), at_s=number / 5)
    budget = state_of(drive).budget
    assert budget.shares
    assert [bucket.name for bucket in budget.by_unit["requests"]] == ["requests", "requests pace"]
    reserve = budget.by_unit["requests"][0].reserve
    assert reserve > 2 * budget.by_unit["requests"][0].brim // 100

    for second in range(12, 80):
        answer(drive, Signals(200, readings=shows(599)), at_s=float(second))
    assert not budget.shares
    assert [bucket.name for bucket in budget.by_unit["requests"]] == ["requests"]


def test_a_limit_that_was_cut_is_nobody_elses_spending() -> None:
    """The level fell by 540 because the limit did: no pace is kept for others who are not there."""
    drive = drive_of()
    for number in range(10):
        answer(drive, Signals(200, readings=shows(599 - number)), at_s=number / 10)
    for second in range(1, 5):
        answer(drive, Signals(200, readings=shows(55 - second, limit=60)), at_s=float(second))
    budget = state_of(drive).budget

    assert budget.by_unit["requests"][0].limit == 60
    assert budget.foreign_ppm(now_ns=drive.now_ns) == 0
    assert not budget.shares


def test_alone_nothing_is_shared_however_calls_overtake_each_other() -> None:
    """Readings of calls that were overtaken lack what came before them: noise, not strangers."""
    drive = drive_of(slots=1000)
    left = 599
    for number in range(200):
        drive.to(number / 9)
        calls = [drive.ask() for _ in range(2)]
        for ticket, order in zip(calls, (0, 1) if number % 3 else (1, 0), strict=True):
            if ticket.state is State.GRANTED:
                drive.end(ticket, Signals(200, readings=shows(left - order)))
        left = min(599, left - 2 + 1)

    assert not state_of(drive).budget.shares


# -- estimates --------------------------------------------------------------------


def test_what_a_refusal_says_of_a_price_is_learnt() -> None:
    """ "Requested 500" outweighs what snapshots suggest."""
    drive = drive_of()
    drive.machine.subscribe([Kind.ESTIMATED])
    before = state_of(_asked(drive)).estimator.price(Features(400))
    answer(drive, refusal(unit="tokens", limit=10_000, used=9_900, requested=2 * before), features=Features(400))

    assert state_of(drive).estimator.price(Features(400)) > before
    assert told(drive) == [(Kind.ESTIMATED, {"charged": 2 * before, "estimated": before})]


def _asked(drive: Drive) -> Drive:
    drive.end(drive.ask(), OK)
    return drive


def test_what_left_the_bucket_is_what_was_charged() -> None:
    """The readings of estimated calls teach the price, when nobody else spends and nothing is closed."""
    for gate_s, learns in ((0, True), (10**6, False)):
        drive = drive_of()
        left = 100_000
        for second in range(12):
            drive.to(100.0 * second)
            ticket = drive.ask(features=Features(400))
            left = 100_000 - 300
            state_of(drive).gate_ns = gate_s * S
            both = {**shows(599), **shows(left, limit=100_000, unit="tokens")}
            drive.end(ticket, Signals(200, readings=both))
            state_of(drive).gate_ns = 0
        assert (state_of(drive).estimator.price(Features(400)) > 200) is learns


def test_a_stated_cost_teaches_no_price() -> None:
    """There is no estimate it could correct."""
    drive = drive_of()
    answer(drive, refusal(unit="tokens", limit=10_000, used=9_900, requested=500), tokens=300)
    assert state_of(drive).estimator.ratio is None


# -- events -----------------------------------------------------------------------


def test_answers_and_refusals_are_told_with_their_facts() -> None:
    """Status, times from the first byte, the bucket that was named, the wait, and the request's id."""
    drive = drive_of()
    drive.machine.subscribe([Kind.ANSWERED, Kind.REFUSED])
    ticket = drive.ask()
    drive.machine.written(ticket, now_ns=S // 10)
    drive.to(1)
    drive.end(ticket, refusal(unit="requests", request_id="req_1", retry_after_s=2.0), Ending.IGNORED)

    whose = {"status": 429, "request_id": "req_1", "sent_ns": S // 10}
    assert told(drive) == [
        (Kind.REFUSED, {"unit": "requests", "wait_ns": 2 * S, **whose}),
        (Kind.ANSWERED, {"status": 429, "latency_ns": S - S // 10, "request_id": "req_1"}),
    ]


def test_of_many_answers_one_reading_in_five_milliseconds_is_used() -> None:
    """The next word comes soon enough; a refusal is always read."""
    drive = drive_of(slots=100)
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, Signals(200, readings=shows(100)), at_s=0.004)
    line = state_of(drive).budget.lines["requests"][0]
    assert line.series.server_remaining == 500
    answer(drive, refusal(unit="requests", readings=shows(90)), at_s=0.0045)
    assert line.series.server_remaining == 90
