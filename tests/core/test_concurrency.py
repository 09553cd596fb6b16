"""How many calls may be under way: the ramp."""

from __future__ import annotations

import copy
import random

import attrs
import pytest

from ratelimit_client.core.concurrency import Ending, InFlightWindow
from ratelimit_client.core.units import NS as S
from tests.core.pressing import answer, greedy, overload, sent
from tests.sizes import SCALE

MS = S // 1000
SILENCE = 250 * MS


def test_four_calls_go_at_first() -> None:
    """The fifth waits, and can be told when."""
    window = InFlightWindow(100)

    assert greedy(window, now_ns=0) == 4
    assert not window.has_room(now_ns=0)
    assert window.opens_at_ns(now_ns=0) == SILENCE
    assert (window.size, window.growing, window.full) == (4, True, True)


def test_a_freed_slot_is_a_slot() -> None:
    """Where a call has ended another may go at once, without any growth."""
    window = InFlightWindow(100)
    greedy(window, now_ns=0)
    answer(window, 1, now_ns=10 * MS)

    assert window.opens_at_ns(now_ns=10 * MS) == 10 * MS
    assert not window.full
    assert greedy(window, now_ns=10 * MS) == 1


@pytest.mark.parametrize("ceiling", [1, 2, 3, 4])
def test_the_ceiling_holds_from_the_first_call_on(ceiling: int) -> None:
    """A caller who allows fewer than four gets no four, and has no ramp to wait for; nor after an outage."""
    window = InFlightWindow(ceiling)

    assert greedy(window, now_ns=0) == ceiling
    assert window.opens_at_ns(now_ns=0) is None
    assert (window.size, window.growing, window.full) == (ceiling, False, False)
    window.restart()
    assert window.size == ceiling


def test_an_answered_round_doubles_the_window() -> None:
    """
    After four answers the first new slot is open at once and the others follow evenly.

    Three answers are no round.
    """
    window = InFlightWindow(100)
    greedy(window, now_ns=0)
    answer(window, 3, now_ns=100 * MS)
    assert greedy(window, now_ns=100 * MS) == 3
    assert window.size == 4

    answer(window, 1, now_ns=110 * MS)
    assert greedy(window, now_ns=110 * MS) == 2  # the freed slot, and the first of the new ones
    assert window.size == 8
    assert sent(window, 110 * MS + SILENCE - 1, now_ns=110 * MS) == spread(110 * MS, 4)[1:3]


def test_nobody_asks_for_more_so_nothing_grows() -> None:
    """A window that was never full stays as it is, however many answers come and however long it is silent."""
    window = InFlightWindow(100)
    for second in range(20):
        window.granted(now_ns=second * S)
        assert window.has_room(now_ns=second * S)
        answer(window, 1, now_ns=second * S)

    assert window.size == 4
    assert window.allowed(now_ns=99 * S) == 4


def test_a_round_is_as_many_answers_as_the_window_has_slots() -> None:
    """After the first doubling seven answers are no round, and eight are."""
    window = InFlightWindow(100, waits_for_written=True)
    greedy(window, now_ns=0)
    answer(window, 4, now_ns=0)
    assert greedy(window, now_ns=0) == 5
    assert greedy(window, now_ns=SILENCE) == 3

    answer(window, 7, now_ns=S)
    assert greedy(window, now_ns=S) == 7
    answer(window, 1, now_ns=S)
    assert greedy(window, now_ns=S) == 2


def test_a_doubling_answers_one_wish() -> None:
    """Who wanted a fifth slot and never an ninth gets eight, whatever is answered later."""
    window = InFlightWindow(100)
    greedy(window, now_ns=0)
    for _ in range(4):
        window.answered(now_ns=0)
    assert window.has_room(now_ns=0)
    window.granted(now_ns=0)
    for second in range(1, 20):
        answer(window, 1, now_ns=second * S)
        assert window.has_room(now_ns=second * S)
        window.granted(now_ns=second * S)

    assert window.allowed(now_ns=20 * S) == 8


def test_silence_counts_from_the_first_written_request() -> None:
    """
    Where the caller tells when requests are written, a connect that takes a minute is no good news.

    Only the first of a round begins its silence, and says so if somebody waits for it.
    """
    window = InFlightWindow(100, waits_for_written=True)
    greedy(window, now_ns=0)

    assert window.opens_at_ns(now_ns=60 * S) is None
    assert window.written(60 * S - MS, now_ns=60 * S)
    assert not window.written(60 * S - MS, now_ns=60 * S + 5 * MS)
    assert window.opens_at_ns(now_ns=60 * S + 5 * MS) == 60 * S + SILENCE
    assert greedy(window, now_ns=60 * S + SILENCE - 1) == 0
    assert greedy(window, now_ns=60 * S + SILENCE) == 1


def test_each_round_has_a_silence_of_its_own() -> None:
    """What was written in an earlier round does not begin the next one's silence."""
    window = InFlightWindow(100, waits_for_written=True)
    greedy(window, now_ns=0)
    window.written(0, now_ns=0)
    assert greedy(window, now_ns=SILENCE) == 1
    assert greedy(window, now_ns=2 * SILENCE) == 3

    assert window.opens_at_ns(now_ns=60 * S) is None
    window.written(60 * S, now_ns=60 * S)
    assert window.opens_at_ns(now_ns=60 * S) == 60 * S + SILENCE


def test_a_written_request_that_nobody_waits_behind_wakes_nobody() -> None:
    """With room left there is nothing to do when the silence begins."""
    window = InFlightWindow(100, waits_for_written=True)
    window.granted(now_ns=0)

    assert not window.written(0, now_ns=MS)


def test_without_such_reports_silence_counts_from_the_grant() -> None:
    """The first grant of the round begins it, not the last."""
    window = InFlightWindow(100)
    for at_ms in (0, 50, 100, 150):
        assert window.has_room(now_ns=at_ms * MS)
        window.granted(now_ns=at_ms * MS)

    assert greedy(window, now_ns=150 * MS) == 0
    assert window.opens_at_ns(now_ns=150 * MS) == SILENCE


@pytest.mark.parametrize(
    ("connect_ms", "refusal_ms", "silence_ms"),
    [(0, 0, 250), (125, 0, 250), (126, 0, 252), (0, 400, 800), (300, 200, 600)],
)
def test_silence_is_twice_the_slowest_thing_seen(connect_ms: int, refusal_ms: int, silence_ms: int) -> None:
    """A refusal needs that long to come back: until then nothing heard means nothing."""
    window = InFlightWindow(100, waits_for_written=True)
    window.written(0, now_ns=connect_ms * MS)
    window.refused(0, now_ns=refusal_ms * MS)
    window.refused(0, now_ns=refusal_ms * MS // 2)

    assert window.silence_ns == silence_ms * MS


def spread(begins_ns: int, slots: int, *, over_ns: int = SILENCE) -> list[int]:
    """The first slot at once, the last when the round is over, the others evenly between."""
    return [begins_ns - (-over_ns * number // (slots - 1)) for number in range(slots)]


def test_a_doubling_is_spread_evenly_and_never_sent_at_once() -> None:
    """
    Greedy through a silence: four calls, then every round as many as are out, each at its own instant.
    """
    window = InFlightWindow(1000)
    window.heard = True  # so that the ramp goes on above 32

    expected = [0] * 4
    for number, slots in enumerate((4, 8, 16, 32, 64), start=1):
        expected += spread(number * SILENCE, slots)
    assert sent(window, 6 * SILENCE - 1) == expected[:-1]


def test_until_anything_was_heard_thirty_two_calls_are_out() -> None:
    """The ramp ends there; the head of one answer lets it go on."""
    window = InFlightWindow(1000)
    instants = sent(window, 60 * S)

    assert len(instants) == window.in_flight == 32
    assert window.opens_at_ns(now_ns=60 * S) is None
    assert not window.growing
    window.answered(now_ns=60 * S)
    assert window.growing
    assert greedy(window, now_ns=60 * S) == 1


def test_the_ramp_ends_at_the_ceiling() -> None:
    """A window of ten grows 4, 8, 10, and then nothing helps but an answer."""
    window = InFlightWindow(10)
    sent(window, 60 * S)

    assert window.in_flight == window.size == 10
    assert not window.growing
    assert window.opens_at_ns(now_ns=60 * S) is None


def test_the_last_slot_below_the_ceiling_promises_nothing_more() -> None:
    """The growth from four to five is used at once; there is no instant at which a sixth could go."""
    window = InFlightWindow(5)

    assert sent(window, SILENCE) == [0, 0, 0, 0, SILENCE]
    assert window.opens_at_ns(now_ns=SILENCE) is None


def test_above_three_times_the_known_limit_it_turns_gentle() -> None:
    """From sixteen calls on a doubling takes four times as long; up to there it does not."""
    window = InFlightWindow(1000, gentle_above=16)
    window.heard = True

    expected = [0] * 4 + spread(SILENCE, 4) + spread(2 * SILENCE, 8) + spread(3 * SILENCE, 16, over_ns=4 * SILENCE)
    assert sent(window, 7 * SILENCE - 1) == expected[:-1]


def test_an_outage_begins_the_ramp_anew() -> None:
    """After restart() four calls may be out again, and growth is a doubling, not a careful step."""
    window = InFlightWindow(1000)
    sent(window, 60 * S)
    answer(window, 27, now_ns=60 * S)
    overload(window, 5, granted_ns=S, now_ns=60 * S)
    assert window.careful
    window.restart()

    assert (window.size, window.careful, window.growing) == (4, False, True)
    assert sent(window, 61 * S + SILENCE, now_ns=61 * S)[:5] == [61 * S] * 4 + [61 * S + SILENCE]


def test_with_more_out_than_allowed_the_answer_is_the_first_instant_that_could_help() -> None:
    """Thirty calls are out when the ramp begins anew: the next round cannot begin before its answers have come."""
    window = InFlightWindow(1000)
    sent(window, 60 * S)
    window.restart()

    assert not window.has_room(now_ns=60 * S)
    assert window.opens_at_ns(now_ns=60 * S) is None
    for _ in range(8):
        window.answered(now_ns=61 * S)
    assert not window.has_room(now_ns=61 * S)
    assert window.size == 8
    assert window.opens_at_ns(now_ns=61 * S) is None
    for _ in range(8):
        window.answered(now_ns=61 * S)
    assert window.opens_at_ns(now_ns=61 * S) == 61 * S + SILENCE


def test_a_clock_that_steps_back_opens_nothing_more() -> None:
    """In the middle of a doubling an earlier instant is its beginning."""
    window = InFlightWindow(1000)
    sent(window, SILENCE)

    assert window.allowed(now_ns=SILENCE - 100 * MS) == 5


@attrs.define
class Caller:
    """Somebody who does whatever the dice say, but asks before he sends."""

    window: InFlightWindow
    dice: random.Random
    now_ns: int = 0

    def step(self) -> None:
        window, now_ns = self.window, self.now_ns
        match self.dice.choice(["wait", "wait", "send", "send", "send", "written", "answered", "ended", "refused"]):
            case "wait":
                self.now_ns += self.dice.choice([1, MS, 37 * MS, 80 * MS, 300 * MS])
            case "send":
                if window.has_room(now_ns=now_ns):
                    window.granted(now_ns=now_ns)
            case "written":
                window.written(now_ns - self.dice.randint(0, 300 * MS), now_ns=now_ns)
            case "answered":
                window.answered(now_ns=now_ns)
            case "ended" if window.in_flight:
                window.ended(Ending.SUCCEEDED, 0, now_ns=now_ns)
            case "refused" if self.dice.random() < 0.1:
                window.refused(now_ns - self.dice.randint(0, 400 * MS), now_ns=now_ns)

    def check(self) -> bool:
        """At the promised instant one more may go, one nanosecond before it may not."""
        if self.window.has_room(now_ns=self.now_ns):
            assert self.window.opens_at_ns(now_ns=self.now_ns) == self.now_ns
            return False
        opens_ns = self.window.opens_at_ns(now_ns=self.now_ns)
        if opens_ns is None:
            assert not copy.copy(self.window).has_room(now_ns=self.now_ns + 10**6 * S)
            return False
        assert opens_ns > self.now_ns
        assert not copy.copy(self.window).has_room(now_ns=opens_ns - 1)
        assert copy.copy(self.window).has_room(now_ns=opens_ns)
        return True


@pytest.mark.parametrize("seed", range(60 * SCALE))
def test_opens_at_is_exact(seed: int) -> None:
    """Whatever happened before, and whatever the ceiling, the promise is kept to the nanosecond."""
    dice = random.Random(seed)
    window = InFlightWindow(
        dice.choice([3, 5, 33, 1000]),
        waits_for_written=dice.random() < 0.5,
        careful=dice.random() < 0.2,
        gentle_above=dice.choice([None, 8, 64]),
    )
    caller = Caller(window, dice)
    promises = 0
    for _ in range(400):
        caller.step()
        promises += caller.check()

    assert promises or window.ceiling < 33 or window.careful
    assert window.in_flight <= window.ceiling


def test_after_an_outage_a_round_takes_as_many_answers_as_ever() -> None:
    """What was answered before it began anew counts for nothing: three answers are no round of four, the fourth is."""
    window = InFlightWindow(1000)
    greedy(window, now_ns=0)
    answer(window, 3, now_ns=1)
    window.restart()
    greedy(window, now_ns=2)
    assert not window.has_room(now_ns=2)
    for _ in range(3):
        window.answered(now_ns=3)
        assert not window.has_room(now_ns=3)
    window.answered(now_ns=4)

    assert window.has_room(now_ns=4)
