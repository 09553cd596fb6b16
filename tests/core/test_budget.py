"""All buckets of one key: what a call pays, and which bucket a reading belongs to."""

from __future__ import annotations

import attrs
import pytest

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.budget import Budget, shared_buckets
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.quota import Quota, per_day, per_hour, per_minute
from ratelimit_client.core.readings import readings_of
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import Ticket
from ratelimit_client.core.units import NS as S
from tests.core.charging import key
from tests.core.driving import GENERIC, OPENAI

MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S


# -- paying -----------------------------------------------------------------------


def test_a_call_pays_in_every_bucket_of_its_units() -> None:
    """Two windows of one unit, and nothing in a unit it does not need."""
    one = key(*per_minute(requests=10, tokens=500), *per_day(requests=100))
    ticket = one.charge(tokens=0)

    assert one.buckets() == [(10, 60, 9), (100, 86_400, 99)]
    assert one.buckets("tokens") == [(500, 60, 500)]
    one.budget.give_back(ticket, now_ns=0)
    one.budget.give_back(ticket, now_ns=0)
    assert one.buckets() == [(10, 60, 10), (100, 86_400, 100)]


def test_what_flows_into_a_full_bucket_is_lost() -> None:
    """A key that was idle for a day has one full bucket, not a day's worth of them."""
    one = key(*per_minute(requests=60, tokens=600))
    one.charge(tokens=100, now_ns=DAY)
    assert one.buckets(now_ns=DAY) == [(60, 60, 59)]
    assert one.buckets("tokens", now_ns=DAY) == [(600, 60, 500)]

    one.charge(tokens=100, now_ns=DAY + S)
    assert one.buckets("tokens", now_ns=DAY + S) == [(600, 60, 410)]


def test_the_bucket_that_is_ready_last_binds() -> None:
    """The wait is that of the slowest, and it is known which it is."""
    one = key(*per_minute(requests=60, tokens=600))
    one.charge(60, tokens=300)
    ticket = Ticket(0, "m", "", 0, Cost(2, tokens=400), None, None, 0)

    assert one.budget.ready_at_ns(ticket, now_ns=0) == round(10.6 * S)
    assert one.budget.binding is one.budget.by_unit["tokens"][0]
    assert one.budget.lacking(ticket, now_ns=0).keys() == {"requests", "tokens"}
    assert one.budget.lacking(ticket, now_ns=3 * S).keys() == {"tokens"}
    assert one.budget.ready_at_ns(ticket, now_ns=11 * S) == 11 * S


def test_never_is_said_of_what_the_caller_typed_or_two_readings_agreed_on() -> None:
    """A limit that one answer showed, or that was learnt, is no proof."""
    ticket = Ticket(0, "m", "", 0, Cost(101), None, None, 0)
    typed = key(*per_minute(requests=100))
    assert typed.budget.never(ticket) is typed.budget.by_unit["requests"][0]

    shown = key()
    for second, sure in ((0, False), (1, True)):
        shown.read(requests=Reading(100, 90, 6.0), now_ns=second * S)
        assert (shown.budget.never(ticket) is not None) is sure


def test_one_odd_refusal_makes_no_never() -> None:
    """It lowers the limit at once, but what cost less than before may still be tried; a typed quota stands."""
    one = key(*per_minute(requests=1000))
    for second in range(3):
        one.read(requests=Reading(1000, 900, 6.0), now_ns=second * S)
    one.read(requests=Reading(10, 0, 6.0), refused=True, now_ns=3 * S)
    asks = [Ticket(0, "m", "", 0, Cost(amount), None, None, 0) for amount in (10, 11, 1000, 1001)]

    assert one.buckets(now_ns=3 * S) == [(10, 60, 0)]
    assert [one.budget.never(ticket) is not None for ticket in asks] == [False, False, False, True]


def test_the_share_of_a_call_is_its_largest_part_of_any_bucket() -> None:
    """In billionths; where no bucket is known, all calls are equal."""
    one = key(*per_minute(requests=100, tokens=1000))
    assert one.budget.share_of(Cost(1, tokens=5).pairs) == S // 100
    assert one.budget.share_of(Cost(1, tokens=100).pairs) == S // 10
    assert one.budget.share_of(Cost(0, images=3).pairs) == key().budget.share_of(Cost(5).pairs) == S // 1000
    huge = key(Quota("tokens", 10**12))
    assert huge.budget.share_of(Cost(tokens=5).pairs) == 1, "a sip of a sea is no thousandth of it"


def test_no_call_is_charged_more_than_a_server_could_admit() -> None:
    """A slip in a stated cost is charged as one full bucket of what the server shows."""
    one = key()
    one.read(tokens=Reading(1000, 1000, 0.0))
    one.charge(tokens=10**9)

    assert one.buckets("tokens") == [(1000, 60, 0)]


# -- quotas -----------------------------------------------------------------------


def test_a_quota_is_a_ceiling() -> None:
    """A header may lower it, at once with a refusal, and raise it back, but not above."""
    one = key(*per_minute(requests=100))
    one.read(requests=Reading(500, 499, 0.1))
    assert one.buckets()[0][0] == 100
    one.read(requests=Reading(50, 0, 60.0), refused=True, now_ns=S)
    assert one.buckets(now_ns=S)[0][0] == 50
    one.read(requests=Reading(500, 499, 0.1), now_ns=2 * S)
    assert one.buckets(now_ns=2 * S)[0][0] == 100


def test_under_a_ceiling_a_reading_may_lower_only() -> None:
    """The server counts against ten times what the caller allows: its "nearly full" is not ours."""
    one = key(*per_minute(requests=100))
    one.charge(60)
    for second in range(4):
        one.read(requests=Reading(1000, 939 - second, 3.7), now_ns=second)
    bucket = one.budget.lines["requests"][0]
    assert one.buckets() == [(100, 60, 36)]
    assert not bucket.series.asleep
    assert bucket.series.foreign_ppm(now_ns=0) == 0

    one.read(requests=Reading(1000, 10, 59.4), now_ns=4)
    assert one.buckets() == [(100, 60, 10)]


def test_new_quotas_take_the_place_of_the_old() -> None:
    """What a header showed stays, without its ceiling; what is used stays used; a lower shown limit stands."""
    one = key(*per_minute(requests=100), *per_hour(requests=1000))
    one.read(requests=Reading(80, 40, 30.0), refused=True)
    one.read(requests=Reading(80, 39, 30.8))
    assert one.buckets() == [(80, 60, 39), (1000, 3600, 998)]

    one.budget.set_quotas(per_minute(requests=200), now_ns=0)
    assert one.buckets() == [(80, 60, 39)]
    one.budget.set_quotas(per_minute(requests=60), now_ns=0)
    assert one.buckets() == [(60, 60, 39)]
    one.budget.set_quotas((), now_ns=0)
    bucket = one.budget.by_unit["requests"][0]
    assert one.buckets() == [(60, 60, 39)]
    assert (bucket.source, bucket.ceiling, bucket.firm) == ("header", None, False)
    one.budget.set_quotas(per_minute(requests=90), now_ns=0)
    assert one.buckets() == [(80, 60, 39)]
    assert one.budget.by_unit["requests"][0].source == "header"


def test_a_quota_that_only_the_caller_knows_goes_with_him() -> None:
    """No header showed it."""
    one = key(*per_minute(requests=100))
    one.budget.set_quotas((), now_ns=0)
    assert one.buckets() == []
    assert one.budget.lines["requests"] == []


def test_shared_buckets_are_charged_by_every_key() -> None:
    """The same bucket in two budgets."""
    shared = shared_buckets(per_minute(requests=10), now_ns=0)
    one, other = key(shared=shared), key(*per_minute(requests=5), shared=shared)
    one.charge()
    other.charge()

    assert one.buckets() == [(10, 60, 8)]
    assert other.buckets() == [(5, 60, 4), (10, 60, 8)]


def test_a_bucket_that_nobody_pays_in_is_not_in_force() -> None:
    """A dimension that no call is charged in is shown only, until a refusal names it."""
    one = key()
    one.read(**{"input-tokens": Reading(100, 1, 59.4)})
    line = one.budget.lines["input-tokens"][0]
    assert one.buckets("input-tokens") == []
    assert one.budget.ready_at_ns(Ticket(0, "m", "", 0, Cost(1, tokens=10), None, None, 0), now_ns=0) == 0

    named = one.budget.named(Signals(429, Reason.RATE_LIMITED, unit="input-tokens"))
    assert named is line
    one.budget.enforce(line)
    one.budget.enforce(line)
    assert one.buckets("input-tokens") == [(100, 60, 1)]


# -- which bucket -------------------------------------------------------------------


def test_a_reading_goes_to_the_bucket_whose_window_it_determines() -> None:
    """RPM and RPD under one name: each keeps its own, and the one no longer shown stays in force."""
    one = key()
    one.read(requests=Reading(500, 399, 12.12))
    one.read(requests=Reading(10_000, 9_988, 103.68), now_ns=1)
    one.read(requests=Reading(10_000, 9_987, 112.32), now_ns=2)

    assert one.buckets(now_ns=2) == [(500, 60, 397), (10_000, 86_400, 9_987)]


def test_else_to_the_one_whose_limit_equals() -> None:
    """Without a reset nothing tells the window, but the limit does."""
    one = key(*per_minute(requests=500), *per_day(requests=10_000))
    one.read(requests=Reading(10_000, 5_000))
    one.read(requests=Reading(500, 100))

    assert one.buckets() == [(500, 60, 100), (10_000, 86_400, 4_999)]


def test_else_where_it_last_went() -> None:
    """A limit nobody knows yet: it changed in the bucket that was shown last."""
    one = key(*per_minute(requests=500), *per_day(requests=10_000))
    one.read(requests=Reading(10_000, 5_000))
    one.read(requests=Reading(8_000, 4_000), refused=True, now_ns=1)

    assert [limit for limit, _, _ in one.buckets(now_ns=1)] == [500, 8_000]


def test_else_to_a_new_one_with_the_usual_window() -> None:
    """It is only assumed, and takes the window that is determined later, with its level."""
    one = key()
    one.read(requests=Reading(10_000, 9_989))
    assert one.buckets() == [(10_000, 60, 9_989)]
    assert one.budget.lines["requests"][0].provisional

    one.read(requests=Reading(10_000, 9_988, 103.68), now_ns=1)
    assert one.buckets(now_ns=1) == [(10_000, 86_400, 9_988)]
    assert not one.budget.lines["requests"][0].provisional


def test_a_window_that_was_assumed_and_then_typed_is_no_longer_assumed() -> None:
    """Ten thousand a minute were shown, and are then typed: a reset that tells of a day makes no day of them."""
    one = key()
    one.read(requests=Reading(10_000, 9_989))
    one.budget.set_quotas(per_minute(requests=10_000), now_ns=0)
    one.read(requests=Reading(10_000, 9_988, 103.68), now_ns=1)

    assert (10_000, 60) in [(limit, window) for limit, window, _ in one.buckets(now_ns=1)]


def test_a_new_window_forgets_what_was_learnt_in_the_old_one() -> None:
    """Slices, paces and what was set aside are in the credits of a window that never was."""
    one = key()
    one.read(requests=Reading(10_000, 5_000))
    line = one.budget.lines["requests"][0]
    line.lessons.slice = Bucket.full("slice", 100, MINUTE, pays="requests", now_ns=0)
    line.bucket.hold_for(object(), 5, now_ns=0)
    one.budget.rebuild()
    one.read(requests=Reading(10_000, 4_998, 43_217.28), now_ns=1)

    assert [window for _, window, _ in one.buckets(now_ns=1)] == [86_400]
    assert line.bucket.escrow is None
    assert not line.bucket.special


def test_a_bucket_whose_window_is_known_is_never_given_another() -> None:
    """An answer that determines a different one begins a bucket of its own."""
    one = key(*per_minute(requests=10_000))
    one.read(requests=Reading(10_000, 9_998, 17.28))

    assert [window for _, window, _ in one.buckets()] == [60, 86_400]


def test_an_unknown_limit_of_a_name_with_the_usual_window_is_that_bucket() -> None:
    """The caller's quota of a minute is what a reading without a window speaks of."""
    one = key(*per_minute(requests=500))
    one.read(requests=Reading(300, 200), refused=True)

    assert one.buckets() == [(300, 60, 200)]


def test_a_window_that_is_said_needs_no_numbers() -> None:
    """Nothing is inferred then; one of no length is none."""
    one = key(profile=GENERIC)
    one.read(requests=Reading(100, 50, 5.0, window_s=10.0))
    assert one.buckets()[0][:2] == (100, 10)

    odd = key(profile=GENERIC)
    odd.read(requests=Reading(100, 50, window_s=1e-12))
    odd.read(requests=Reading(100, 50, window_s=1e-12))
    assert odd.buckets() == [(100, 60, 50)]


def test_nothing_is_inferred_where_a_reset_is_no_time_to_full() -> None:
    """A generic server's reset may be anything: the usual window is assumed."""
    one = key(profile=GENERIC)
    one.read(requests=Reading(10_000, 9_998, 17.28))
    assert [window for _, window, _ in one.buckets()] == [60]


@pytest.mark.parametrize(
    "reading",
    [Reading(None, 50, 1.0), Reading(0, 0, 1.0), Reading(None, None, 5.0)],
    ids=["no limit", "a limit of nothing", "only a reset"],
)
def test_a_reading_without_a_limit_begins_no_bucket(reading: Reading) -> None:
    """There is nothing to fill."""
    one = key()
    assert one.read(requests=reading) == []
    assert one.buckets() == []


def test_a_server_cannot_fill_the_memory_with_names_or_windows() -> None:
    """At most 32 dimensions, and eight windows of each; what comes then goes where it last went."""
    one = key()
    for number in range(100):
        one.read(**{f"d{number}": Reading(10, 5)})
    assert len(one.budget.lines) == 32

    other = key(profile=GENERIC)
    for number in range(1, 100):
        other.read(requests=Reading(10 + number, 5, window_s=float(number)))
    assert [window for _, window, _ in other.buckets()] == list(range(1, 9))


@pytest.mark.parametrize(
    ("refill", "reset_s", "becomes"),
    [
        (Refill.UNKNOWN, None, Refill.CONTINUOUS),
        (Refill.UNKNOWN, 30.0, Refill.WINDOW),
        (Refill.WINDOW, None, Refill.WINDOW),
        (Refill.CONTINUOUS, 30.0, Refill.CONTINUOUS),
    ],
)
def test_a_server_nobody_knows_is_taken_for_a_window(refill: Refill, reset_s: float | None, becomes: Refill) -> None:
    """If it shows a reset; without one there is no step to wait for."""
    one = key(profile=ServerProfile(pays={"requests": "requests"}, refill=refill))
    one.read(requests=Reading(100, 50, reset_s))

    assert one.budget.by_unit["requests"][0].refill is becomes


# -- reading ----------------------------------------------------------------------


def test_a_reading_is_as_old_as_the_server_says() -> None:
    """Where its word lies between sent and received; else as late as the jitter allows; some look at the end."""
    budget = key().budget
    ticket = Ticket(0, "m", "", 0, Cost(), None, None, 0)
    ticket.granted_ns = 10 * S
    for processing_s, jitter_s, expected_s in (
        (2.0, 1, 18),
        (None, 1, 11),
        (15.0, 1, 11),
        (-1.0, 1, 11),
        (None, 30, 20),
    ):
        signals = Signals(200, processing_s=processing_s)
        assert budget.snap_ns(ticket, signals, jitter_ns=jitter_s * S, now_ns=20 * S) == expected_s * S

    at_end = Budget(ServerProfile(snapshot_at_end=True))
    assert at_end.snap_ns(ticket, Signals(200), jitter_ns=S, now_ns=20 * S) == 20 * S


def test_the_first_reading_ends_the_learning_of_a_rate() -> None:
    """What refusals alone taught is guesswork beside a server that tells."""
    one = key()
    one.charge()
    one.charge(now_ns=S)
    one.budget.learner.refused(S, 1, one.budget.debits, now_ns=S)
    one.budget.rebuild()
    assert [bucket.name for bucket in one.budget.by_unit["requests"]] == ["learnt rate"]

    one.read(requests=Reading(100, 50), now_ns=2 * S)
    assert [bucket.name for bucket in one.budget.by_unit["requests"]] == ["requests"]
    assert one.budget.learner.bucket is None


def test_marks_are_of_the_unit_that_is_paid() -> None:
    """A dimension by another name is compared with what calls pay there."""
    profile = ServerProfile(pays={"project-tokens": "tokens"}, refill=Refill.CONTINUOUS)
    one = key(profile=profile)
    ticket = one.charge(tokens=100)
    one.charge(tokens=30)
    signals = Signals(200, readings={"project-tokens": Reading(1000, 900)})
    one.budget.read(ticket, signals, refused=False, jitter_ns=0, now_ns=0)

    assert one.buckets("tokens") == [(1000, 60, 870)]


def test_the_text_of_a_refusal_is_a_reading_where_no_header_is() -> None:
    """Limit less used is what was left; beside a header of that name it is not needed."""
    text = Signals(429, Reason.RATE_LIMITED, True, unit="tokens", limit=1000, used=990, requested=50)
    assert readings_of(text) == [("tokens", Reading(1000, 10, None, None))]
    assert readings_of(attrs.evolve(text, used=None)) == [("tokens", Reading(1000, None, None, None))]
    shown = {"tokens": Reading(1000, 7)}
    assert readings_of(attrs.evolve(text, readings=shown)) == [("tokens", Reading(1000, 7))]
    assert readings_of(attrs.evolve(text, limit=None)) == readings_of(attrs.evolve(text, unit=None)) == []


@pytest.mark.parametrize(
    ("limit", "window_s", "told"),
    [(60, 60.0, True), (60, None, False), (10_000, 86_400.0, False), (10_000, 60.0, False)],
)
def test_a_quota_that_only_a_refusal_tells_of_is_a_reading_of_its_own(
    limit: int, window_s: float | None, told: bool
) -> None:
    """A header shows requests a day; the text names those a minute, which nobody had shown."""
    shown = {"requests": Reading(10_000, 9_940, 8.64)}
    signals = Signals(
        429, Reason.RATE_LIMITED, True, readings=shown, unit="requests", limit=limit, used=60, window_s=window_s
    )
    text = [("requests", Reading(limit, limit - 60, None, window_s))] if told else []
    assert readings_of(signals) == [*shown.items(), *text]


def test_a_quota_that_only_a_refusal_tells_of_is_a_bucket_of_its_own() -> None:
    """It is empty, it is the one that was named, and what the header shows goes on beside it."""
    one = key()
    day = Reading(10_000, 9_940, 518.4)
    ticket = one.charge()
    named = Signals(
        429, Reason.RATE_LIMITED, True, readings={"requests": day}, unit="requests", limit=60, used=60, window_s=60.0
    )
    one.budget.read(ticket, named, refused=True, jitter_ns=0, now_ns=0)
    assert one.buckets() == [(10_000, 86_400, 9_940), (60, 60, 0)]
    line = one.budget.named(named)
    assert line is not None
    assert line.bucket.limit == 60

    one.read(requests=Reading(10_000, 9_939, 527.04), now_ns=S)
    assert one.buckets(now_ns=S) == [(10_000, 86_400, 9_939), (60, 60, 0)]


def test_requests_are_asked_first_whatever_comes_first_in_the_answer() -> None:
    """A constant is found out by the requests; the tokens of that very answer are no more believed than they."""
    one = key(profile=ServerProfile(pays={"requests": "requests", "tokens": "tokens"}))
    slept = []
    for left in range(900, 400, -100):
        one.charge(10)
        signals = Signals(200, readings={"tokens": Reading(1000, left), "requests": Reading(600, 599)})
        one.budget.read(one.charge(tokens=100), signals, refused=False, jitter_ns=0, now_ns=0)
        slept.append([one.budget.lines[unit][0].series.asleep for unit in ("requests", "tokens")])

    assert slept == [[False, False]] + [[True, True]] * 4


@pytest.mark.parametrize(("name", "pays"), [("images", {}), ("pictures", {"pictures": "images"})])
def test_what_a_call_paid_tells_the_window_whatever_the_server_calls_it(name: str, pays: dict[str, str]) -> None:
    """It paid both of the two that are used: 1000 s for them is no window there is; for one of them it were a day."""
    one = key(profile=attrs.evolve(OPENAI, pays=pays))
    ticket = one.charge(images=2)
    readings = {name: Reading(100, 98, 1000.0)}
    one.budget.read(ticket, Signals(200, readings=readings), refused=False, jitter_ns=0, now_ns=0)

    assert [line.bucket.window_ns for line in one.budget.lines[name]] == [MINUTE]


def test_where_nothing_is_counted_nobody_else_is_seen_to_spend() -> None:
    """A key without a bucket of requests: there is nothing to tell it by."""
    assert key().budget.foreign_ppm(now_ns=0) == 0


def test_what_is_under_way_of_a_unit_that_only_the_caller_knows_is_not_there_twice() -> None:
    """Six of ten are shown to a call after which three more left: three are there."""
    one = key(Quota("images", 10, 60), profile=attrs.evolve(OPENAI, pays={}))
    for under_way, left, level in [(0, 8, 8), (3, 6, 3)]:
        ticket = one.charge(images=2)
        one.charge(images=under_way)
        signals = Signals(200, readings={"images": Reading(10, left, window_s=60.0)})
        one.budget.read(ticket, signals, refused=False, jitter_ns=0, now_ns=0)
        assert one.buckets("images") == [(10, 60, level)]
