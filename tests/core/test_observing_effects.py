"""What an answer does to its key, effect by effect."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.events import Kind
from ratelimit_client.core.outage import FAILURES_TO_CLOSE
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.readings import Series
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import Patience, State
from ratelimit_client.core.units import NS as S
from tests.core.driving import OK, Drive
from tests.core.test_observing import answer, drive_of, refusal, shows, state_of, told


def series(drive: Drive, unit: str = "requests") -> Series:
    (line,) = state_of(drive).budget.lines[unit]
    return line.series


def names(drive: Drive, unit: str = "requests") -> list[str]:
    """The buckets in which a call pays."""
    return [bucket.name for bucket in state_of(drive).budget.by_unit[unit]]


def test_the_least_wait_of_a_vendor_grows_until_it_was_enough() -> None:
    """A minute, two, four, and after a success a minute again; the server's own word is taken as it is."""
    drive, waits_s = drive_of(), []
    least = refusal(retry_after_s=60.0, wait_grows=True)
    for signals in (least, least, refusal(retry_after_s=60.0), least, OK, least):
        ticket = drive.ask()
        while (wake_ns := drive.machine.next_wakeup()) is not None and drive.when(ticket) is None:
            drive.to(wake_ns / S)
        drive.end(ticket, signals, Ending.IGNORED)
        waits_s.append(round(max(0, state_of(drive).gate_ns - drive.now_ns) / S))

    assert waits_s == [60, 120, 60, 240, 0, 60]


# -- the ramp, the jitter, the count -------------------------------------------


def test_a_refusal_is_counted_and_a_success_is_not() -> None:
    """Whoever asks is told how often the server said no."""
    drive = drive_of()
    answers = (OK, refusal(), Signals(503, Reason.OVERLOADED, True), refusal(unit="requests"))
    for number, signals in enumerate(answers):
        answer(drive, signals, at_s=10_000.0 * number)

    assert state_of(drive).refused == 2


def test_a_slow_refusal_makes_silence_mean_less() -> None:
    """It took 400 ms from the first byte: only 800 ms without a word are good news."""
    drive = drive_of()
    ticket = drive.ask()
    drive.machine.written(ticket, now_ns=S // 10)
    drive.to(0.5)
    drive.end(ticket, refusal(), Ending.IGNORED)
    assert state_of(drive).window.silence_ns == 8 * S // 10

    drive.to(10)
    ticket = drive.ask()
    drive.to(11)
    drive.end(ticket, refusal(), Ending.IGNORED)
    assert state_of(drive).window.silence_ns == 2 * S, "counted from the grant where no first byte was reported"


@pytest.mark.parametrize(("worked_s", "jitter_s"), [(0.2, 0.8), (0.9, 0.25), (1.0, 0.25), (7.0, 0.25), (None, 0.25)])
def test_what_the_server_did_not_work_was_spent_on_the_way(worked_s: float | None, jitter_s: float) -> None:
    """An answer after a second that was worked on for a fifth of it was 0.8 s on its way, or before the door."""
    drive = drive_of()
    ticket = drive.ask()
    drive.to(1)
    drive.end(ticket, Signals(200, readings=shows(599), processing_s=worked_s))

    assert drive.machine.jitter.ns == round(jitter_s * S)


def test_a_processing_time_that_cannot_be_is_no_sample() -> None:
    """Sixteen answers that claim to have taken longer than they did measure nothing."""
    drive = drive_of()
    for second in range(1, 17):
        answer(drive, Signals(200, readings=shows(599), processing_s=0.0), at_s=float(second))

    assert drive.machine.jitter.ns == S // 4


# -- the breaker ---------------------------------------------------------------


def test_ten_server_errors_close_the_key() -> None:
    """An answer that is the server's fault is no sign of life, not even the tenth."""
    drive = drive_of()
    for _ in range(FAILURES_TO_CLOSE):
        drive.end(drive.ask(), Signals(500, Reason.SERVER_ERROR, True), Ending.IGNORED)

    assert state_of(drive).breaker.open
    assert drive.ask().state is State.QUEUED


def test_ten_server_errors_in_the_middle_of_answers_close_the_key_as_well() -> None:
    """And whoever waits, without a deadline, waits as long as it is patient."""
    drive = drive_of(slots=FAILURES_TO_CLOSE)
    tickets = [drive.ask() for _ in range(4)]
    waits = drive.ask(patience=Patience(outage_ns=S // 2))
    assert waits.state is State.QUEUED
    for number in range(FAILURES_TO_CLOSE):
        broken = Signals(500, Reason.SERVER_ERROR, True)
        drive.machine.heard(tickets[number % 4], broken, now_ns=drive.now_ns)
    assert state_of(drive).breaker.open

    drive.to(0.49)
    assert drive.expired == []
    drive.to(0.5)
    assert drive.expired == [waits]


def test_a_success_begins_the_count_anew_and_a_refusal_does_not() -> None:
    """Nine failures, something else, and one failure more."""
    for signals, closes in [(OK, False), (refusal(retry_after_s=0.1), True)]:
        drive = drive_of()
        for number in range(FAILURES_TO_CLOSE):
            if number == FAILURES_TO_CLOSE - 1:
                drive.end(drive.ask(), signals, Ending.IGNORED)
                drive.to(1)
            drive.end(drive.ask(), Signals(500, Reason.SERVER_ERROR, True), Ending.IGNORED)
        assert state_of(drive).breaker.open is closes


def test_an_outage_begins_the_patience_of_those_who_wait() -> None:
    """They were queued before it, without a deadline: five seconds after it began they have waited enough."""
    drive = drive_of(slots=1)
    under_way = drive.ask()
    waits = drive.ask(patience=Patience(5 * S))
    drive.to(100)
    for _ in range(FAILURES_TO_CLOSE - 1):
        state_of(drive).breaker.failed(now_ns=100 * S)
    drive.end(under_way, Signals(500, Reason.SERVER_ERROR, True), Ending.IGNORED, polled=False)
    drive.machine.in_flight = 1  # no probe goes
    drive.to(104.9)
    assert drive.expired == []
    drive.to(105)

    assert drive.expired == [waits]


# -- which readings are used ---------------------------------------------------


@pytest.mark.parametrize(("left", "good_for_s"), [(440, 0.005), (599, 0.05)])
def test_of_two_successes_in_a_row_one_is_read(left: int, good_for_s: float) -> None:
    """The second tells nothing that the first did not, and less so of a full bucket; an error is always read."""
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(left)), at_s=1.0)
    answer(drive, Signals(200, readings=shows(left - 1)), at_s=0.999 + good_for_s)
    assert series(drive).server_remaining == left
    answer(drive, Signals(200, readings=shows(left - 2)), at_s=1.0 + good_for_s)
    assert series(drive).server_remaining == left - 2
    answer(drive, Signals(400, Reason.CLIENT_ERROR, False, readings=shows(left - 3)), at_s=1.001 + good_for_s)
    assert series(drive).server_remaining == left - 3
    answer(drive, Signals(200, readings=shows(left - 4)), at_s=1.0 + 2 * good_for_s)
    assert series(drive).server_remaining == left - 3


def test_a_lower_limit_beside_a_no_counts_at_once() -> None:
    """Beside a success it is a first hint; a refusal, and a call that is too large, are proof."""
    for signals, limit in [
        (Signals(200, readings=shows(99, limit=100)), 600),
        (refusal(readings=shows(99, limit=100)), 100),
        (Signals(429, Reason.TOO_LARGE, False, readings=shows(99, limit=100)), 100),
    ]:
        drive = drive_of(per_minute(requests=600))
        answer(drive, signals)
        assert state_of(drive).budget.by_unit["requests"][0].limit == limit


def test_a_refusal_is_no_proof_of_what_never_fits() -> None:
    """It names the limit of 5000, but only "too large" says that 6000 never go."""
    for reason, firm in [(Reason.RATE_LIMITED, False), (Reason.TOO_LARGE, True)]:
        drive = drive_of()
        answer(drive, Signals(429, reason, True, unit="tokens", limit=5000, requested=6000), tokens=6000)
        assert state_of(drive).budget.by_unit["tokens"][0].firm is firm


def test_a_limit_above_the_ceiling_proves_nothing_of_ours() -> None:
    """The caller allows 4000, a header once showed 3000; that 9000 exceed the server's 5000 is another matter."""
    drive = drive_of(per_minute(tokens=4000))
    answer(drive, refusal(unit="tokens", readings=shows(0, limit=3000, unit="tokens")), tokens=10)
    answer(drive, Signals(429, Reason.TOO_LARGE, False, unit="tokens", limit=5000, requested=9000), at_s=60.0)
    (bucket,) = state_of(drive).budget.by_unit["tokens"]

    assert (bucket.limit, bucket.firm) == (4000, False)


# -- what a refusal closes and teaches -----------------------------------------


def test_a_dimension_that_was_only_shown_is_enforced_once_a_refusal_names_it() -> None:
    """No call is known to pay "images" here, until the server says that it was images."""
    drive = drive_of()
    shown = shows(0, limit=10, unit="images")
    answer(drive, Signals(200, readings=shown))
    assert "images" not in state_of(drive).budget.by_unit

    answer(drive, refusal(unit="images", readings=shown), at_s=1.0)
    assert names(drive, "images") == ["images"]


def test_a_refusal_without_a_number_lowers_a_level_that_lessons_leave_alone() -> None:
    """The series is asleep, so it teaches nothing; that the level was below the cost is true all the same."""
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(500)))
    series(drive).asleep = True
    answer(drive, refusal(unit="requests"), at_s=1.0)

    assert state_of(drive).budget.by_unit["requests"][0].level(now_ns=S) == 0


def test_a_hint_of_nothing_is_no_hint() -> None:
    """Retry after 0 s: the pause of the learnt rate is taken, as without one."""
    for hint_s in (0.0, None):
        drive = drive_of()
        answer(drive, refusal(retry_after_s=hint_s), at_s=1.0)
        assert state_of(drive).gate_ns == S + S // 10


def test_the_numbers_of_the_text_teach_a_slice_as_well() -> None:
    """Limit 6000, used 100, and refused: it enforces less than it says."""
    drive = drive_of(per_minute(tokens=6000))
    answer(drive, Signals(200, readings=shows(6000, limit=6000, unit="tokens")))
    answer(drive, refusal(unit="tokens", limit=6000, used=100, requested=50), tokens=50)

    assert names(drive, "tokens") == ["tokens", "tokens slice"]
    empty = drive_of(per_minute(tokens=6000))
    answer(empty, Signals(200, readings=shows(6000, limit=6000, unit="tokens")))
    answer(empty, refusal(unit="tokens", limit=6000, used=5900, requested=50), tokens=50)
    assert names(empty, "tokens") == ["tokens"], "a stranger's doing"


def test_half_a_text_is_no_number() -> None:
    """Used without a limit, or a limit of nothing: the bucket is named, and that is all."""
    drive = drive_of(per_minute(requests=600))
    answer(drive, refusal(unit="requests", used=5))
    answer(drive, Signals(429, Reason.TOO_LARGE, False, unit="images", limit=0, requested=9), at_s=1.0)

    assert names(drive) == ["requests", "learnt rate"]


def test_a_bucket_that_was_read_before_closes_for_calls_as_large_only() -> None:
    """The refusal tells no level, but readings did: what costs less goes on."""
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(9_000, limit=10_000, unit="tokens")))
    answer(drive, refusal(unit="tokens", retry_after_s=2.0), tokens=400)

    assert drive.ask(tokens=400, tenant="a").state is State.QUEUED
    assert drive.ask(tokens=100, tenant="b").state is State.GRANTED


def test_a_header_without_remaining_leaves_the_question_open() -> None:
    """The limit alone does not say whether it was a stranger or a slice; the next reading does, and it is told."""
    drive = drive_of()
    drive.machine.subscribe([Kind.SLICE_LEARNT])
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, refusal(unit="requests", readings={"requests": Reading(600, window_s=60.0)}), at_s=0.1)
    assert names(drive) == ["requests"]
    assert told(drive) == []

    answer(drive, Signals(200, readings=shows(519)), at_s=2.0)
    assert names(drive) == ["requests", "requests slice"]
    assert told(drive) == [(Kind.SLICE_LEARNT, {"unit": "requests", "burst": 99})], "501 were there after 0.1 s"


def test_a_call_that_was_priced_too_low_proves_no_slice() -> None:
    """Eleven thousand by our estimate, twelve by the server's words, and so much was not there: it explains itself."""
    for requested, slices in [(12_002, 0), (11_000, 1), (None, 1)]:
        drive = drive_of()
        answer(drive, Signals(200, readings=shows(60_000, limit=60_000, unit="tokens")))
        answer(drive, Signals(200, readings=shows(11_860, limit=60_000, unit="tokens")), tokens=48_140)
        no = refusal(unit="tokens", requested=requested, readings=shows(11_861, limit=60_000, unit="tokens"))
        answer(drive, no, tokens=11_000)
        assert len(names(drive, "tokens")) == 1 + slices


@pytest.mark.parametrize(
    ("hint", "level"),
    [
        ({"retry_after_s": 1.9}, -18),
        ({"retry_after_s": 2.0}, 0),
        ({"retry_after_s": 0.3}, -2),
        ({"retry_after_s": 0.05}, 0),
        ({"retry_after_s": 1.9, "wait_grows": True}, 0),
        ({}, 0),
    ],
)
def test_a_wait_to_the_fraction_of_a_second_tells_what_a_slice_owes(hint: dict[str, Any], level: int) -> None:
    """
    At ten a second one call is there after 1.9 s: the slice is 18 below nothing. A wait in whole seconds, or one
    that grows, says nothing of the kind, and 50 ms are what half a call takes.
    """
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, refusal(unit="requests", readings=shows(499)), at_s=0.01)
    (line,) = state_of(drive).budget.lines["requests"]
    assert line.lessons.slice is not None
    drive.to(1.0)
    answer(drive, refusal(unit="requests", readings=shows(200), **hint))

    assert line.lessons.strangers == 1
    assert line.lessons.slice.level(now_ns=S) == level


def test_that_a_slice_mended_is_no_event() -> None:
    """It was told once, when it was learnt."""
    drive = drive_of()
    drive.machine.subscribe([Kind.SLICE_LEARNT])
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, refusal(unit="requests", readings=shows(499)), at_s=0.01)
    assert len(told(drive)) == 1
    answer(drive, Signals(200, readings=shows(599)), at_s=6000.0)

    assert names(drive) == ["requests"]
    assert told(drive) == []


def test_nobody_asked_so_a_slice_is_learnt_in_silence() -> None:
    """The slice is in force; no event is kept for it."""
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, refusal(unit="requests", readings=shows(499)), at_s=0.1)

    assert names(drive) == ["requests", "requests slice"]
    assert told(drive) == []


def test_refused_again_though_the_slice_had_room_it_is_halved() -> None:
    """Each grant remembers what it found in the slice; a call that found too little for it proves nothing."""
    for tokens, burst in [(1000, 1500), (3500, 3000)]:
        drive = drive_of()
        answer(drive, Signals(200, readings=shows(60_000, limit=60_000, unit="tokens")))
        answer(drive, refusal(unit="tokens", readings=shows(60_000, limit=60_000, unit="tokens")), tokens=3000)
        (line,) = state_of(drive).budget.lines["tokens"]
        assert line.lessons.slice is not None
        line.lessons.slice.brim = 3000 * 60 * S
        drive.to(30.0)
        ticket = drive.ask(tokens=tokens)
        drive.to(40.0)
        assert drive.when(ticket) == 30.0
        drive.end(ticket, refusal(unit="tokens", readings=shows(60_000, limit=60_000, unit="tokens")), Ending.IGNORED)
        assert line.lessons.slice.capacity == burst


# -- a learnt rate -------------------------------------------------------------


def test_successes_let_a_learnt_rate_grow() -> None:
    """No reading is ever shown; a call each second at one a second earns half as much again."""
    drive = drive_of()
    answer(drive, refusal())
    learner = state_of(drive).budget.learner
    assert learner.bucket is not None
    assert learner.bucket.limit == 1000
    drive.to(1.0)
    drive.end(drive.ask())
    assert learner.bucket.limit == 1500


def test_a_rate_that_was_outlived_is_in_force_no_more() -> None:
    """A minute after such a refusal the shown limit is believed, and calls pay in its bucket only."""
    drive = drive_of()
    answer(drive, Signals(200, readings=shows(500)))
    answer(drive, refusal(readings=shows(508)), at_s=1.0)
    assert names(drive) == ["requests", "learnt rate"]
    answer(drive, OK, at_s=60.9)
    assert names(drive) == ["requests", "learnt rate"]
    answer(drive, OK, at_s=61.0)

    assert names(drive) == ["requests"]
