"""A pace for a server that minds how fast a rate grows."""

from __future__ import annotations

import attrs
import pytest

from ratelimit_client.core.slowdown import Refused, SlowDown
from ratelimit_client.core.units import NS as S


@attrs.define(eq=False)
class Sender:
    """
    Whoever sends: calls of so many tokens, answered at once.

    Args:
        tokens: of each call; 0: none are paid.
        busy_s: when calls came after a rest.
    """

    tokens: int = 0
    learnt: SlowDown = attrs.field(factory=SlowDown)
    calls: int = 0
    spent: int = 0
    busy_s: float = 0.0

    def send(self, second: float) -> Refused:
        """One call goes; nothing is heard of it yet."""
        self.calls += 1
        self.spent += self.tokens
        return Refused(round(second * S), 1, self.tokens, self.calls, self.spent)

    def good(self, second: float) -> bool:
        """One call goes and is answered; True when a pace ended."""
        self.send(second)
        now_ns = round(second * S)
        return now_ns >= self.learnt.due_ns and self.learnt.note(self.calls, self.spent, now_ns=now_ns)

    def hear(self, call: Refused, second: float) -> bool:
        """It is said of this call now; True when that changed the pace."""
        busy_ns, now_ns = round(self.busy_s * S), round(second * S)
        return self.learnt.refused(call, sent=self.calls, busy_since_ns=busy_ns, now_ns=now_ns)

    def bad(self, second: float, count: int = 1) -> int:
        """So many calls go one after the other, and it is said of each; how often that changed the pace."""
        return sum(self.hear(self.send(second), second) for _ in range(count))

    def run(self, first_s: float, last_s: float, each_s: float, pattern: str = ".") -> int:
        """Calls at even distances, x meets it; how often that changed the pace."""
        changes = 0
        for number in range(int((last_s - first_s) / each_s)):
            second = first_s + number * each_s
            changes += self.bad(second) if pattern[number % len(pattern)] == "x" else self.good(second)
        return changes

    @property
    def pace(self) -> tuple[str | None, int] | None:
        """(unit, units a minute) or None."""
        pace = self.learnt.pace
        return None if pace is None else (pace.pays, pace.limit)

    def starts_s(self, second: float) -> float:
        """When a first call may go at the pace."""
        assert self.learnt.pace is not None
        return self.learnt.pace.ready_at_ns(1, now_ns=round(second * S)) / S


def test_nine_in_a_row_are_chance_and_ten_are_none() -> None:
    """The tenth cuts, once."""
    sender = Sender()
    sender.run(0, 60, 0.6)
    assert sender.bad(60, 9) == 0
    assert sender.pace is None
    assert sender.bad(60) == 1
    assert sender.pace is not None


@pytest.mark.parametrize(("pattern", "cuts"), [("x....", 0), ("x...", 1)])
def test_one_call_in_five_is_bad_weather(pattern: str, cuts: int) -> None:
    """However long it goes on; one in four is too many."""
    assert (Sender().run(0, 90, 0.1, pattern) > 0) == (cuts > 0)


def test_calls_count_in_the_order_in_which_they_were_sent() -> None:
    """Of 300 that are out for a minute every tenth comes back at once, before all others: that is still one in ten."""
    sender = Sender()
    out = [sender.send(0.01 * number) for number in range(300)]
    assert not any(sender.hear(call, 3.5) for call in out[::10])
    assert any(sender.hear(call, 3.6) for call in out[1::3])


def test_calls_sent_before_a_cut_teach_nothing_after_it() -> None:
    """Of forty that were out together the tenth cuts, and thirty change nothing."""
    sender = Sender()
    sender.run(0, 60, 0.6)
    out = [sender.send(60) for _ in range(40)]

    assert [sender.hear(call, 60.1) for call in out].count(True) == 1
    assert sender.pace == ("requests", 90)


def test_the_pace_is_nine_tenths_of_what_was_let_in_during_the_last_minute() -> None:
    """In tokens if the calls pay any; what was refused was not let in."""
    for tokens, unit, rate in ((0, "requests", 90), (2_000, "tokens", 180_000)):
        sender = Sender(tokens)
        sender.run(0, 60, 0.1)
        sender.run(60, 600, 0.6)
        sender.bad(600, 10)
        assert sender.learnt.pace is not None
        assert sender.pace == (unit, pytest.approx(rate, rel=0.02))
        assert sender.learnt.pace.capacity == max(1, sender.learnt.pace.limit // 60), "a second's worth goes at once"


def test_what_went_at_once_is_waited_out() -> None:
    """A hundred calls in two seconds are a minute's worth: until they are a minute old nothing goes."""
    sender = Sender()
    sender.run(0, 2, 0.02)
    sender.bad(2, 10)

    assert sender.pace == ("requests", 90)
    assert 60 <= sender.starts_s(2) <= 63


def test_no_minute_of_which_a_part_is_over_holds_more_than_the_pace() -> None:
    """Sixty a minute, then fifty at once: those are there until they are a minute old, and few may follow till then."""
    sender = Sender()
    sender.run(0, 600, 1)
    sender.run(600, 601, 0.02)
    sender.bad(601, 10)

    rate = (59 + 50) * 9 // 10
    assert sender.pace is not None
    assert abs(sender.pace[1] - rate) <= 5
    room = sender.pace[1] - 50
    assert abs(sender.starts_s(601) - (601 + 60 - room / rate * 60)) <= 5


def test_after_a_rest_the_clock_starts_anew() -> None:
    """An hour of silence before the burst makes it no slower."""
    sender = Sender()
    sender.run(0, 60, 1)
    sender.busy_s = 3660
    sender.run(3660, 3662, 0.02)
    sender.bad(3662, 10)

    assert sender.pace == ("requests", pytest.approx(90, abs=5)), "with what went since the last look before the rest"
    assert 3720 <= sender.starts_s(3662) <= 3723


def test_a_pace_is_held_for_a_quarter_of_an_hour_and_grows_by_half_in_the_next() -> None:
    """While it is used up."""
    sender = Sender()
    sender.run(0, 60, 0.06)
    sender.bad(60, 10)
    assert sender.pace == ("requests", 900)
    sender.run(120, 900, 1 / 15)
    assert sender.pace == ("requests", 900)
    for minute in range(16, 32):
        assert sender.pace is not None
        sender.run(minute * 60, minute * 60 + 60, 60 / sender.pace[1])

    assert sender.pace is not None
    assert 1300 <= sender.pace[1] <= 1400


def test_a_pace_that_is_not_used_up_does_not_grow_and_ends() -> None:
    """Half of it for a quarter of an hour: whoever asks for so little needs none."""
    sender = Sender()
    sender.run(0, 60, 0.06)
    sender.bad(60, 10)
    assert sender.run(120, 930, 2 / 15) == 0
    assert sender.pace == ("requests", 900)

    assert sender.run(930, 1100, 2 / 15) == 1
    assert sender.pace is None


def test_with_next_to_nothing_let_in_the_pace_is_a_guess() -> None:
    """
    Thirty calls a minute without a pause, whatever they pay: the next one may pay a thousand times as much. A minute
    later it doubles each quarter of a minute while it is used up.
    """
    sender = Sender(tokens=1)
    sender.bad(1, 10)
    assert sender.pace == ("requests", 30)
    assert sender.starts_s(1) == 3.0
    rates = []
    for quarter in range(6):
        assert sender.pace is not None
        sender.run(1 + 15 * quarter, 16 + 15 * quarter, 60 / sender.pace[1])
        rates.append(sender.pace[1])

    assert rates[:3] == [30, 30, 30]
    assert rates[-1] in (60, 120, 240)


def test_when_the_server_says_it_as_often_within_a_minute_the_pace_is_halved() -> None:
    """There is no new measure yet. A call in two seconds is the least, and is not halved."""
    sender = Sender()
    sender.run(0, 60, 0.6)
    sender.bad(60, 10)
    assert sender.pace == ("requests", 90)
    assert sender.bad(70, 10) == 1
    assert sender.pace == ("requests", 45)
    assert sender.bad(80, 10) == 1
    assert sender.pace == ("requests", 30)
    assert sender.bad(90, 100) == 0
    assert sender.pace == ("requests", 30)


def test_a_minute_later_what_was_let_in_is_a_measure_again() -> None:
    """Nine tenths of the last pace at most, and a quarter of it at least."""
    for each_s, rate in ((0.6, 81), (1, 54), (3, 22)):
        sender = Sender()
        sender.run(0, 60, 0.6)
        sender.bad(60, 10)
        sender.run(70, 190, each_s)
        sender.bad(190, 10)
        assert sender.pace is not None
        assert abs(sender.pace[1] - rate) <= 1, each_s


def test_a_cut_that_does_not_help_is_followed_by_others_and_then_by_none() -> None:
    """
    One call in eight is slowed down whatever we do: no evidence by itself, but a cut has to make it rarer.

    After the third the pace is given up, and for a quarter of an hour one in four is no evidence either.
    """
    sender = Sender()
    sender.run(0, 60, 0.6)
    sender.bad(60, 10)
    cuts, second = 1, 61
    while sender.pace is not None:
        second += 8
        cuts += sender.run(second, second + 8, 1, "x.......")
    assert cuts == 4, "the last change is its end"
    assert 60 + 3 * 60 < second < 60 + 3 * 180

    assert sender.run(second, second + 890, 0.5, "x...") == 0
    assert sender.run(second + 890, second + 899, 0.1, "xxxxx.") == 1
    assert sender.pace is not None


def test_a_cut_that_helped_stands() -> None:
    """One stray call in fifty afterwards is bad weather."""
    sender = Sender()
    sender.run(0, 60, 0.6)
    sender.bad(60, 10)

    assert sender.run(120, 600, 0.7, "x" + "." * 49) == 0
    assert sender.pace == ("requests", 90)


def test_cuts_that_are_far_apart_are_no_row() -> None:
    """One each twenty minutes: each is the first, and the pace is never given up."""
    sender = Sender()
    for number in range(6):
        sender.run(1200 * number, 1200 * number + 1100, 1)
        assert sender.bad(1200 * number + 1100, 10) == 1
        assert sender.pace is not None


def test_calls_without_tokens_get_a_pace_of_their_own() -> None:
    """The rate that is slowed down is theirs."""
    sender = Sender(tokens=1000)
    sender.run(0, 60, 0.6)
    sender.bad(60, 10)
    assert sender.pace == ("tokens", 90_000)
    sender.tokens = 0
    sender.run(70, 1070, 1)
    sender.bad(1070, 10)

    assert sender.pace is not None
    assert sender.pace[0] == "requests"


def test_another_ledger_begins_with_nothing_let_in() -> None:
    """The pace stands; calls of the other ledger are not measured, nor those counted before."""
    sender = Sender()
    sender.run(0, 60, 0.6)
    sender.bad(60, 10)
    sender.calls = 5000
    sender.learnt.begin_anew(5000, 0, now_ns=1000 * S)
    assert sender.pace == ("requests", 90)
    sender.run(1000, 1070, 1)
    sender.bad(1070, 10)

    assert sender.pace is not None
    assert abs(sender.pace[1] - 54) <= 1


@pytest.mark.parametrize(("early_ns", "grows"), [(1, False), (0, True)])
def test_a_pace_is_held_to_the_instant(early_ns: int, grows: bool) -> None:
    """A quarter of an hour after the cut it may grow, and not a nanosecond before."""
    sender = Sender()
    sender.run(0, 60, 0.06)
    sender.bad(60, 10)
    assert sender.pace == ("requests", 900)
    sender.learnt.note(sender.calls + 15 * 900, 0, now_ns=960 * S - early_ns)

    assert sender.pace == ("requests", 924 if grows else 900)


def test_a_pace_in_tokens_is_used_up_by_tokens() -> None:
    """Fifteen calls a minute of a thousand tokens each are all of 15 000: it neither ends nor stands still for ever."""
    sender = Sender(tokens=1000)
    sender.run(0, 60, 60 / 17)
    sender.bad(60, 10)
    assert sender.pace == ("tokens", 15_300)
    assert sender.run(130, 900, 4) == 0
    assert sender.pace == ("tokens", 15_300)
    assert sender.run(900, 1140, 4) == 0

    assert sender.pace is not None
    assert sender.pace[1] > 15_300


@pytest.mark.parametrize(("early_ns", "cuts"), [(1, 0), (0, 1)])
def test_whether_a_cut_helped_is_asked_from_a_minute_after_it(early_ns: int, cuts: int) -> None:
    """Five of the sixty-five calls that follow are bad enough then, and a nanosecond earlier nobody counts them."""
    sender = Sender()
    sender.run(0, 60, 0.06)
    sender.bad(60, 10)
    sender.learnt.note(sender.calls, 0, now_ns=120 * S - early_ns)
    changes = 0
    for _ in range(5):
        for _ in range(12):
            sender.send(121)
        changes += sender.bad(121)

    assert changes == cuts


def test_what_was_let_in_before_the_last_minute_is_no_measure() -> None:
    """A thousand calls, two minutes with one, five calls and ten that meet it: too few of late, so it is a guess."""
    sender = Sender()
    sender.run(0, 60, 0.06)
    for second in (100, 181, 187, 193, 199, 205):
        sender.good(second)
    sender.bad(210, 10)

    assert sender.pace == ("requests", 30)


@pytest.mark.parametrize(("early_ns", "rate"), [(1, 450), (0, 810)])
def test_a_minute_after_a_cut_there_is_a_measure_again(early_ns: int, rate: int) -> None:
    """As long as there is none the pace is halved; then it is what was let in, which is all of it, less a tenth."""
    sender = Sender()
    sender.run(0, 60, 0.06)
    sender.bad(60, 10)
    assert sender.pace == ("requests", 900)
    for number in range(1, 900):
        sender.good(60 + number / 15)
    now_ns = 120 * S - early_ns
    for _ in range(10):
        call = attrs.evolve(sender.send(120), granted_ns=now_ns)
        sender.learnt.refused(call, sent=sender.calls, busy_since_ns=0, now_ns=now_ns)

    assert sender.pace == ("requests", rate)


def test_at_forty_it_is_more_than_chance() -> None:
    """Nine in a row make thirty-seven; two calls on, the tenth makes forty. Three calls on it makes thirty-nine."""
    for between, cuts in [(1, 1), (2, 0)]:
        sender = Sender()
        sender.bad(60, 9)
        for _ in range(between):
            sender.send(60)
        assert sender.bad(60) == cuts
