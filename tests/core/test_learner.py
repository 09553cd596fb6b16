"""A rate for servers that say nothing but no."""

from __future__ import annotations

from bisect import bisect_right

import pytest

from ratelimit_client.core.debits import Debits
from ratelimit_client.core.learner import RateLearner
from ratelimit_client.core.units import NS as S


class Learner(RateLearner):
    """A learner, and the calls of its key."""

    def __init__(self) -> None:
        super().__init__()
        self.debits = Debits()
        self.sent_ns: list[int] = []

    def sent(self, *, now_ns: int) -> None:
        """One more call was let out."""
        if now_ns >= self.debits.closes_ns:
            self.debits.begin_part(jitter_ns=0, now_ns=now_ns)
        self.debits.last_ns = now_ns
        self.debits.till("requests").total += 1
        self.sent_ns.append(now_ns)

    def hears_no(self, granted_ns: int, *, most: int | None = None, now_ns: int) -> bool:
        """The last call that was let out at *granted_ns* was refused."""
        before = max(0, bisect_right(self.sent_ns, granted_ns) - 1)
        return self.refused(granted_ns, before, self.debits, most=most, now_ns=now_ns)


def rate(learner: RateLearner) -> float:
    """Calls a second."""
    assert learner.bucket is not None
    return learner.bucket.limit / 1000


def sends(learner: Learner, calls: int, per_s: float, *, from_s: float = 0.0) -> int:
    """So many calls, evenly; the instant of the last in nanoseconds."""
    at_ns = 0
    for number in range(calls):
        at_ns = round((from_s + number / per_s) * S)
        learner.sent(now_ns=at_ns)
    return at_ns


def test_the_first_refusal_halves_what_was_let_out_since_the_start() -> None:
    """The burst is in that number, so half of it is a guess."""
    learner = Learner()
    last_ns = sends(learner, 101, 100)

    assert learner.hears_no(last_ns, now_ns=last_ns + S // 50)
    assert rate(learner) == 50


def test_the_first_guess_looks_at_busy_times_only() -> None:
    """A call an hour for a day, and then eleven in a second: ten a second were let out, and not one in an hour."""
    learner = Learner()
    for hour in range(24):
        learner.sent(now_ns=hour * 3600 * S)
    last_ns = sends(learner, 11, 10, from_s=24 * 3600)

    learner.hears_no(last_ns, now_ns=last_ns + 1)
    assert rate(learner) == 5


@pytest.mark.parametrize(("rest_s", "expected"), [(9.999, 1 / 9.999 / 2), (10.0, 1.0)])
def test_a_rest_is_ten_seconds_without_a_call(rest_s: float, expected: float) -> None:
    """After one a refusal is that of a very first call; a call a second is no flood."""
    learner = Learner()
    last_ns = sends(learner, 2, 1 / rest_s)

    learner.hears_no(last_ns, now_ns=last_ns + 1)
    assert rate(learner) == pytest.approx(expected, abs=0.001)


def test_once_a_rate_was_learnt_a_rest_is_a_part_of_the_epoch() -> None:
    """Slow rates have long gaps: four calls in a minute are four calls in a minute."""
    learner = learnt()
    last_ns = sends(learner, 5, 1 / 15, from_s=10.000001)

    learner.hears_no(last_ns, now_ns=last_ns + 1)
    assert rate(learner) == pytest.approx(0.95 * 4 / 60, abs=0.002)


def test_a_refusal_of_a_call_sent_before_the_cut_teaches_nothing_new() -> None:
    """One cut per epoch."""
    learner = Learner()
    last_ns = sends(learner, 101, 100)
    learner.hears_no(last_ns, now_ns=last_ns + S // 50)

    assert not learner.hears_no(last_ns, now_ns=last_ns + S // 25)
    assert rate(learner) == 50


def test_what_was_let_out_between_two_refusals_is_the_rate() -> None:
    """The bucket was empty at both, so what came out is what flowed in; five per cent less is asked for."""
    learner = Learner()
    learner.hears_no(sends(learner, 101, 100), now_ns=S)
    last_ns = sends(learner, 41, 20, from_s=1.05)

    assert learner.hears_no(last_ns, now_ns=last_ns + S // 50)
    assert rate(learner) == pytest.approx(40 / (last_ns / S - 1) * 0.95, abs=0.002)


def test_while_nothing_is_admitted_the_key_pauses_twice_as_long_each_time() -> None:
    """The rate stands for a while, and is halved when that goes on."""
    learner = Learner()
    learner.hears_no(sends(learner, 101, 100), now_ns=S)
    pauses, rates, now_ns = [], [], S
    for _ in range(7):
        now_ns = learner.resumes_ns + 1
        learner.sent(now_ns=now_ns)
        learner.hears_no(now_ns, now_ns=now_ns + 1)
        pauses.append((learner.resumes_ns - now_ns) * 10 // S)
        rates.append(rate(learner))

    assert pauses == [2, 4, 8, 16, 32, 64, 128]
    assert rates == [50, 50, 50, 50, 25, 12.5, 6.25]


def learnt(let_out: int = 0) -> Learner:
    """Ten a second, learnt at second 10 from a first guess or, with *let_out*, between two refusals."""
    learner = Learner()
    if let_out:
        learner.hears_no(sends(learner, 2, 1), now_ns=S)
        seconds = let_out * 0.95 / 10
        last_ns = sends(learner, let_out + 1, let_out / seconds, from_s=10 - seconds)
        learner.cut_ns = last_ns - round(seconds * S)
        learner.hears_no(last_ns, now_ns=10 * S)
    else:
        learner.hears_no(sends(learner, 201, 20), now_ns=10 * S)
    assert rate(learner) == pytest.approx(10, rel=0.001)
    return learner


def admitted(learner: Learner, at_s: float, *, most: int | None = None) -> None:
    """The rate was used up, and a call sent a moment ago is answered."""
    assert learner.bucket is not None
    now_ns = round(at_s * S)
    learner.bucket.take(1, now_ns=now_ns)
    learner.admitted(now_ns - 1, most=most, now_ns=now_ns)


def test_only_admissions_earn_growth() -> None:
    """Time alone brings nothing, nor does an answer to a call that was sent before the cut."""
    learner = learnt()
    learner.admitted(10 * S, now_ns=11 * S)
    assert rate(learner) == 10

    admitted(learner, 11)
    assert rate(learner) == 15


@pytest.mark.parametrize(("let_out", "growth"), [(0, 1.5), (4, 1.2), (15, 1.2), (16, 1.05), (400, 1.05)])
def test_the_more_is_known_the_slower_it_grows(let_out: int, growth: float) -> None:
    """Half as much again a second after a guess, a fifth after a short measurement, 5 % after sixteen calls."""
    learner = learnt(let_out)
    for tenth in range(1, 11):
        admitted(learner, 10 + tenth / 10)

    assert rate(learner) == pytest.approx(10 * (1 + (growth - 1) / 10) ** 10, rel=0.002)


def test_an_hour_is_worth_a_second() -> None:
    """One admission after a long rest earns what one second earns."""
    learner = learnt()
    admitted(learner, 3610)

    assert rate(learner) == 15


def test_a_rate_that_is_not_used_up_earns_nothing() -> None:
    """
    A call every two seconds at ten a second proves nothing of eleven.

    Else a worker with little to do would after an hour know of a rate with a hundred digits.
    """
    learner = learnt()
    assert learner.bucket is not None
    for second in range(11, 5000, 2):
        learner.sent(now_ns=second * S)
        learner.bucket.take(1, now_ns=second * S)
        learner.admitted(second * S, now_ns=second * S + S // 2)

    assert rate(learner) == 10
    learner.bucket.take(1, now_ns=5001 * S)
    learner.admitted(5001 * S, now_ns=5001 * S + S // 20)
    assert rate(learner) > 10


def test_the_least_rates_grow_as_well() -> None:
    """One call in a thousand seconds, well measured: 5 % of it would be nothing, for ever."""
    learner = learnt(16)
    assert learner.bucket is not None
    learner.bucket.resize(1, now_ns=10 * S)
    for second in range(1000, 5001, 1000):
        admitted(learner, second)

    assert rate(learner) == 0.006


def test_where_the_server_shows_a_limit_the_rate_starts_at_half_and_never_exceeds_it() -> None:
    """300 a minute are five a second: 2.5, and after two seconds five, and no more."""
    learner = Learner()
    last_ns = sends(learner, 1001, 100)
    learner.hears_no(last_ns, most=5000, now_ns=10 * S)
    assert rate(learner) == 2.5
    for second, expected in [(11, 3.75), (12, 5.0), (13, 5.0)]:
        admitted(learner, second, most=5000)
        assert rate(learner) == expected


def test_where_the_server_shows_a_limit_the_rate_is_not_at_once_less_than_an_eighth() -> None:
    """Who shows ten a second means it, roughly: 1.25, and half of that each time a cut would go below."""
    learner = Learner()
    learner.hears_no(0, most=10_000, now_ns=0)
    rates = []
    for number in range(1, 6):
        now_ns = sends(learner, 10, 0.1, from_s=1000 * number)
        learner.hears_no(now_ns, most=10_000, now_ns=now_ns)
        rates.append(rate(learner))

    assert rates == [1.25, 0.625, 0.312, 0.156, 0.078]


def test_a_limit_of_last_week_does_not_hold_up_the_rate() -> None:
    """Halved or barren, it goes as low as it must; no pause is longer than a call at the least rate so far takes."""
    for let_out in (3, 0):
        learner = Learner()
        learner.hears_no(0, most=10_000, now_ns=0)
        for number in range(1, 30):
            least_ns = 800 * S // 1000 << learner._doubts
            now_ns = sends(learner, let_out + 1, 0.1, from_s=1000 * number)
            learner.hears_no(now_ns, most=10_000, now_ns=now_ns)
            assert learner.resumes_ns - now_ns <= min(2 * least_ns, 300 * S)
        assert rate(learner) < 0.01


def test_a_minute_without_such_a_refusal_outlives_the_rate() -> None:
    """Where a server shows a limit it is to be believed again; where nothing was learnt there is nothing to outlive."""
    learner = learnt()

    assert not RateLearner().outlived(now_ns=3600 * S)
    assert not learner.outlived(now_ns=70 * S - 1)
    assert learner.outlived(now_ns=70 * S)


def test_the_very_first_call_refused_is_one_a_second() -> None:
    """Nothing was measured, and one call a second is no flood; so it is when no grant was counted at all."""
    first, uncounted = Learner(), Learner()
    first.sent(now_ns=0)

    assert first.hears_no(0, now_ns=S // 50)
    assert uncounted.hears_no(0, now_ns=S // 50)
    assert rate(first) == rate(uncounted) == 1.0
    assert first.resumes_ns == S // 50 + S // 10


def test_a_learnt_rate_is_an_even_one() -> None:
    """It is empty at the cut, gives a call each tenth of a second, and saves up one call and a half at most."""
    bucket = learnt().bucket
    assert bucket is not None

    assert bucket.ready_at_ns(1, now_ns=10 * S) == 10 * S + S // 10
    bucket.take(1, now_ns=20 * S)
    assert bucket.ready_at_ns(1, now_ns=20 * S) == 20 * S + S // 20
    assert (bucket.pays, bucket.source, bucket.name) == ("requests", "learned", "learnt rate")


def test_an_epoch_is_never_shorter_than_fifty_milliseconds() -> None:
    """Eleven calls of one instant are two hundred a second, and not endlessly many: half of that is the guess."""
    learner = Learner()
    for _ in range(11):
        learner.sent(now_ns=7)

    learner.hears_no(7, now_ns=8)
    assert rate(learner) == 100


@pytest.mark.parametrize(("let_out", "expected"), [(1, 5), (3, 5), (4, 0.95 * 4), (8, 0.95 * 8)])
def test_an_epoch_of_fewer_than_four_calls_is_too_short_to_tell(let_out: int, expected: float) -> None:
    """Then the rate is halved; from four on it is measured, here over a second."""
    learner = learnt()
    last_ns = sends(learner, let_out + 1, let_out, from_s=10.0000001)

    learner.hears_no(last_ns, now_ns=last_ns + 1)
    assert rate(learner) == pytest.approx(expected, rel=0.001)
    assert learner.resumes_ns == last_ns + 1 + S // 10


def test_calls_that_left_after_the_refused_one_do_not_count() -> None:
    """While its refusal was on the way twenty more went out: they are of no epoch, neither of this one nor the next."""
    learner = learnt()
    sends(learner, 9, 8, from_s=10.001)
    refused_ns = round(11.001 * S)
    sends(learner, 20, 100, from_s=11.002)

    learner.hears_no(refused_ns, now_ns=12 * S)
    assert rate(learner) == pytest.approx(8 / 1.001 * 0.95, abs=0.002)
    last_ns = sends(learner, 5, 4, from_s=12.001)
    learner.hears_no(last_ns, now_ns=13 * S + S // 2)
    assert rate(learner) == pytest.approx(4 / 1.001 * 0.95, abs=0.002)


def test_a_call_sent_in_the_instant_of_the_cut_is_of_the_epoch_before() -> None:
    """Neither its refusal nor its success tells anything new."""
    learner = learnt()

    assert not learner.hears_no(10 * S, now_ns=11 * S)
    learner.sent(now_ns=10 * S + 1)
    assert learner.hears_no(10 * S + 1, now_ns=11 * S)


def test_before_anything_was_refused_an_admission_is_only_counted() -> None:
    """There is no rate to grow."""
    learner = Learner()
    learner.sent(now_ns=0)
    learner.admitted(0, now_ns=S)

    assert learner.bucket is None


def test_a_refusal_empties_the_bucket_also_when_the_rate_stands() -> None:
    """What was saved up during the pause was there when the server said no."""
    learner = learnt()
    assert learner.bucket is not None
    learner.sent(now_ns=11 * S)
    assert learner.bucket.level(now_ns=11 * S) == 1
    learner.hears_no(11 * S, now_ns=11 * S)

    assert learner.bucket.level(now_ns=11 * S) == 0
    assert rate(learner) == 10


def test_an_answer_ends_the_doubling_of_the_pauses() -> None:
    """0.2, 0.4, and after an admission 0.1 again."""
    learner = learnt()
    pauses = []
    for second, answered in [(11, False), (12, False), (13, True), (14, False)]:
        learner.sent(now_ns=second * S)
        if answered:
            learner.admitted(second * S, now_ns=second * S + S // 10)
        learner.hears_no(second * S, now_ns=second * S + S // 2)
        pauses.append((learner.resumes_ns - second * S - S // 2) * 10 // S)

    assert pauses == [2, 4, 1, 2]


def test_no_pause_is_longer_and_no_rate_less_than_one_call_in_143_s() -> None:
    """A server that refuses for a day is asked now and then, and what was measured before is forgotten."""
    learner = learnt(16)
    now_ns = 10 * S
    for _ in range(40):
        now_ns = learner.resumes_ns + 1
        learner.sent(now_ns=now_ns)
        learner.hears_no(now_ns, now_ns=now_ns)

    assert learner.resumes_ns - now_ns == 1000 * S // 7
    assert rate(learner) == 0.007
    for second in (1000, 2000):
        admitted(learner, now_ns / S + second)
    assert rate(learner) == 0.015
    learner.bucket.resize(100, now_ns=now_ns + 2001 * S)  # type: ignore[union-attr]
    admitted(learner, now_ns / S + 3000)
    assert rate(learner) == 0.15


def test_a_rate_that_has_to_be_learnt_again_soon_is_kept_for_twice_as_long() -> None:
    """A minute, two, four ... an hour; after four times as long in peace it is a minute for the next one, too."""
    learner, debits, now_ns, kept = RateLearner(), Debits(), 0, []
    for _ in range(8):
        assert learner.refused(now_ns, 0, debits, most=5000, now_ns=now_ns)
        cut_ns = now_ns
        while not learner.outlived(now_ns=now_ns):
            now_ns += S
        kept.append((now_ns - cut_ns) // (60 * S))
        learner = learner.forgotten(debits, now_ns=now_ns)
        assert learner.bucket is None
        now_ns += S
    assert kept == [1, 2, 4, 8, 16, 32, 60, 60]

    now_ns += 4 * 3600 * S
    learner.refused(now_ns, 0, debits, most=5000, now_ns=now_ns)
    assert learner.outlived(now_ns=now_ns + 3600 * S)
    assert not learner.outlived(now_ns=now_ns + 3600 * S - 1)


def test_short_epochs_tell_a_rate_together() -> None:
    """Two calls in each two seconds: after the second such epoch it is a call a second, and so it stays."""
    learner = Learner()
    learner.hears_no(sends(learner, 101, 100), now_ns=S)
    rates = []
    for _ in range(10):
        cut_ns = learner.cut_ns
        for second in (0.5, 1.0, 2.0):
            learner.sent(now_ns=cut_ns + round(second * S))
        learner.hears_no(cut_ns + 2 * S, now_ns=cut_ns + 2 * S)
        rates.append(rate(learner))

    assert rates[0] == 3.0, "two calls and four more by luck, in two seconds"
    assert rates[1:] == [0.95] * 9


def test_of_short_epochs_the_last_sixteen_calls_count() -> None:
    """A limit that was cut is not averaged with what was before."""
    learner = Learner()
    learner.hears_no(sends(learner, 101, 100), now_ns=S)
    for seconds, epochs in ((1, 20), (10, 5)):
        for _ in range(epochs):
            cut_ns = learner.cut_ns
            for part in (1, 2, 3, 4):
                learner.sent(now_ns=cut_ns + part * seconds * S // 4)
            learner.hears_no(cut_ns + seconds * S, now_ns=cut_ns + seconds * S)

    assert len(learner._epochs) <= 6
    assert rate(learner) == pytest.approx(0.3 * 0.95, rel=0.25)


def test_calls_counted_in_another_ledger_teach_nothing() -> None:
    """Keys that turn out to count together: what was sent before is of no epoch, and counting starts anew."""
    learner = learnt()
    other = Debits(closes_ns=1 << 62)
    other.till("requests").total = 1000
    learner.begin_anew(other, now_ns=20 * S)

    assert not learner.refused(20 * S, 900, other, now_ns=21 * S)
    other.till("requests").total = 1005
    assert learner.refused(21 * S, 1004, other, now_ns=21 * S)
    assert rate(learner) == pytest.approx(4 * 0.95)


def test_a_limit_that_fell_meanwhile_bounds_the_next_rate() -> None:
    """Fifty a second were let out between two refusals, but by now the server shows ten."""
    learner = Learner()
    first_ns = sends(learner, 101, 100)
    learner.hears_no(first_ns, most=100_000, now_ns=first_ns)
    last_ns = sends(learner, 100, 50, from_s=1.02)
    learner.hears_no(last_ns, most=10_000, now_ns=last_ns)

    assert rate(learner) == 10
