"""All buckets of one key: which of them a refusal names, and what settling moves."""

from __future__ import annotations

from ratelimit_client.core.budget import Budget
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.lines import Line, config_bucket
from ratelimit_client.core.profile import ServerProfile
from ratelimit_client.core.quota import per_day, per_hour, per_minute, per_second
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import Ticket
from ratelimit_client.core.units import NS as S
from tests.core.charging import key

MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S


# -- refusals -----------------------------------------------------------------------


def test_a_refusal_names_its_bucket_by_unit_then_limit_then_window() -> None:
    """Else it is the one that was read last, or the first."""
    one = key(*per_minute(requests=500), *per_day(requests=10_000))
    minute, day = one.budget.lines["requests"]

    def named(**how: float) -> Line | None:
        return one.budget.named(Signals(429, Reason.RATE_LIMITED, unit="requests", **how))  # type: ignore[arg-type]

    assert named() is minute
    assert named(limit=10_000) is day
    assert named(limit=777, window_s=86_400) is day
    assert named(limit=777, window_s=5) is minute
    one.read(requests=Reading(10_000, 9_000))
    assert named() is day
    assert one.budget.named(Signals(429, Reason.RATE_LIMITED)) is None
    assert one.budget.named(Signals(429, Reason.RATE_LIMITED, unit="images")) is None


def test_a_day_that_has_enough_left_is_not_what_said_no() -> None:
    """
    The unit alone is named, and a day's limit is all that is shown: with enough left there it is a limit that nobody
    shows. With too little, or nothing said of it, or the limit in the text, it is the day's.
    """
    one = key(*per_day(requests=10_000))
    (day,) = one.budget.lines["requests"]
    ticket = Ticket(0, "m", "", 0, Cost(3), None, None, 0)

    def named(remaining: float | None, **how: float) -> Line | None:
        readings = {"requests": Reading(10_000, remaining)}
        signals = Signals(429, Reason.RATE_LIMITED, readings=readings, unit="requests", **how)  # type: ignore[arg-type]
        return one.budget.named(signals, ticket)

    assert named(3) is None
    assert named(2) is day
    assert named(None) is day
    assert named(9_000, limit=10_000) is day
    assert one.budget.named(Signals(429, Reason.RATE_LIMITED, unit="requests"), ticket) is day

    minute = key(*per_minute(requests=500))
    signals = Signals(429, Reason.RATE_LIMITED, readings={"requests": Reading(500, 400)}, unit="requests")
    assert minute.budget.named(signals, ticket) is minute.budget.lines["requests"][0]


def test_a_refusal_that_names_nothing_may_show_what_was_missing() -> None:
    """The bucket of which less was left than the call needed; if there is none, it explains nothing."""
    one = key()
    one.read(requests=Reading(100, 5), tokens=Reading(1000, 500))
    ticket = Ticket(0, "m", "", 0, Cost(tokens=200), None, None, 0)

    def explained(**readings: Reading) -> Line | None:
        return one.budget.explained(ticket, Signals(429, Reason.RATE_LIMITED, readings=readings))

    assert explained(requests=Reading(100, 3), tokens=Reading(1000, 150)) is one.budget.lines["tokens"][0]
    assert explained(requests=Reading(100, 3), tokens=Reading(1000, 300)) is None
    assert explained(requests=Reading(100, 3), tokens=Reading(1000, 200)) is None, "what is left would have done"
    assert explained(requests=Reading(100, None), images=Reading(10, 0)) is None


def test_the_shown_rate_is_that_of_the_tightest_bucket() -> None:
    """In calls per 1000 s; what only the caller typed is not shown, and what a day holds says nothing of a minute."""
    one = key(*per_second(requests=1))
    assert one.budget.shown_rate() is None
    one.read(requests=Reading(600, 500, window_s=60.0))
    assert one.budget.shown_rate() == 10_000
    one.read(requests=Reading(8640, 8000, window_s=86_400.0))
    assert one.budget.shown_rate() == 10_000
    one.read(requests=Reading(60, 50, window_s=600.0))
    assert one.budget.shown_rate() == 100


def test_a_reset_that_is_no_time_to_full_tells_no_window() -> None:
    """A constant looks like an hour's limit when 60 are used; after three contradictions it is not looked at."""
    one = key()
    windows = []
    for number in range(1, 200):
        now_ns = number * S // 10
        ticket = one.charge(now_ns=now_ns)
        shown = {"requests": Reading(600, 600 - number, 360.0)}
        one.budget.read(ticket, Signals(200, readings=shown), refused=False, jitter_ns=0, now_ns=now_ns)
        windows.append(one.buckets(now_ns=now_ns)[0][1])
    assert set(windows[20:]) == {60}
    assert len(one.buckets(now_ns=20 * S)) == 1


def test_a_refusal_that_was_not_charged_tells_no_window() -> None:
    """A hundredth of a unit is missing: that is not what the refused call paid."""
    for refused, window in ((True, 60), (False, 1)):
        one = key()
        one.read(refused=refused, requests=Reading(60, 59, 0.016, 1.0))
        assert [window_s for _, window_s, _ in one.buckets()] == [window]


def test_a_window_read_off_a_constant_is_taken_back() -> None:
    """It had been an hour's when the third contradiction came."""
    one = key()
    for second, (used, reset_s) in enumerate([(60, 360.0), (61, 360.0), (90, 360.0), (150, 360.0), (250, 360.0)]):
        ticket = one.charge(now_ns=second * S)
        shown = {"requests": Reading(600, 600 - used, reset_s)}
        one.budget.read(ticket, Signals(200, readings=shown), refused=False, jitter_ns=0, now_ns=second * S)
        assert [window for _, window, _ in one.buckets(now_ns=second * S)] == [3600 if second < 4 else 60]


# -- settling ---------------------------------------------------------------------


def test_settling_corrects_what_nobody_else_does() -> None:
    """A bucket whose last reading is older than its window is on its own again."""
    one = key(*per_hour(tokens=1000))
    one.read(tokens=Reading(1000, 1000, window_s=3600.0))
    one.charge(tokens=500)
    one.budget.settle("tokens", 300, now_ns=0)
    assert one.buckets("tokens") == [(1000, 3600, 500)]

    one.charge(tokens=500, now_ns=HOUR + S)
    one.budget.settle("tokens", 300, now_ns=HOUR + S)
    assert one.buckets("tokens", now_ns=HOUR + S) == [(1000, 3600, 800)]
    one.budget.settle("images", 300, now_ns=HOUR + S)


def test_two_windows_read_off_one_limit_are_one_bucket() -> None:
    """Of a limit nobody typed the shorter window is kept; what a caller typed stays beside what a server shows."""
    one = key()
    for window_s, kept in ((86_400.0, 86_400), (60.0, 60), (3_600.0, 60)):
        one.read(requests=Reading(200, 150, window_s=window_s))
        assert [window for _, window, _ in one.buckets()] == [kept]
    one.read(requests=Reading(3, 2, window_s=86_400.0))
    assert [window for _, window, _ in one.buckets()] == [60, 86_400]

    typed = key(*per_minute(requests=200))
    for window_s in (60.0, 86_400.0):
        typed.read(requests=Reading(200, 150, window_s=window_s))
    assert [window for _, window, _ in typed.buckets()] == [60, 86_400]


def test_each_process_has_its_own_delay_of_a_step() -> None:
    """It is diced once for a bucket, so that the step does not jump about from reading to reading."""
    dice = iter([0.25, 0.75])
    budget = Budget(ServerProfile(), dice=lambda: next(dice))
    lines = [budget.add_line(config_bucket(quota, now_ns=0)) for quota in per_minute(requests=1, tokens=1)]

    assert [line.series.late_ppm for line in lines] == [250_000, 750_000]
