"""What a limiter counts for whoever watches it."""

from __future__ import annotations

import attrs
import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.counts import MODELS_MAX, OTHER, PPM, Amounts, Counts, Names, as_label
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.observing import learn_from_unread
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.core.units import NS as S
from ratelimit_client.core.views import glance
from tests.core.driving import OK, OPENAI, Drive, scheduler

REFUSED = Signals(429, reason=Reason.RATE_LIMITED, unit="requests", request_id="req-1")


def counting(drive: Drive) -> Counts:
    counts = Counts()
    drive.machine.counts = counts
    return counts


def test_a_turn_of_each_kind_is_counted() -> None:
    """One that waited for nothing, one that waited 6 s, and one that waited 6 s more to be sent again."""
    drive = Drive(scheduler(per_minute(requests=10), slots=1), hold=True)
    counts = counting(drive)
    first, second = drive.ask(), drive.ask()
    drive.to(6)
    drive.end(first)
    drive.now_ns += 2 * S
    drive.end(second, REFUSED, Ending.IGNORED, polled=False)
    drive.machine.requeue(second, not_before_ns=drive.now_ns + 6 * S, now_ns=drive.now_ns)
    drive.to(60)

    assert counts.turns == 3
    assert sum(counts.waits.counts) == 2
    assert drive.when(second) is not None
    assert counts.waits.total == 6 * S + round(drive.when(second) * S) - 8 * S
    assert (sum(counts.held.counts), counts.held.total) == (2, 8 * S)
    assert counts.attempts == {"m": {200: 1, 429: 1}}
    assert counts.refused == {("m", "requests"): 1}
    assert counts.heard == {("m", 429): "req-1", ("m", "requests"): "req-1"}


def test_nothing_is_counted_before_somebody_watches() -> None:
    """From then on all of it is."""
    drive = Drive(scheduler(), hold=True)
    drive.end(drive.ask())
    counts = counting(drive)
    drive.end(drive.ask())

    assert (counts.turns, counts.attempts) == (1, {"m": {200: 1}})


def test_a_failure_counts_as_an_attempt() -> None:
    """By its name, under the name of its key."""
    drive = Drive(scheduler(), hold=True)
    counts = counting(drive)
    ticket = drive.ask()
    drive.machine.failed(ticket, TransportFailure(kind=FailureKind.TIMEOUT), now_ns=0)

    assert counts.attempts == {"m": {"timeout": 1}}


def test_an_estimate_is_compared_with_what_was_charged() -> None:
    """In millionths; one of nothing is not compared."""
    drive = Drive(scheduler(profile=attrs.evolve(OPENAI, settles=frozenset({"tokens"}))), hold=True)
    counts = counting(drive)
    ticket = drive.ask(features=Features(40))
    drive.machine.settle(ticket, {"tokens": 500}, now_ns=1)
    charged, estimated = drive.machine.keys["m"].estimator.last
    counts.estimated(7, 0)

    assert counts.estimates.total == charged * PPM // estimated
    assert sum(counts.estimates.counts) == 1


def test_a_refusal_that_names_nothing() -> None:
    """Is one of an unknown limit; who asked is kept only if the server said it."""
    counts = Counts()
    counts.was_refused("m", None, None)
    counts.answered("m", 503, None)
    counts.answered("m", 200, "req-2")

    assert counts.refused == {("m", "unknown"): 1}
    assert counts.heard == {}


def test_a_name_too_many_is_other() -> None:
    """The sum is that of all; what is remembered of keys has a bound, however many there are."""
    counts = Counts()
    for number in range(3000):
        counts.answered(f"m{number}", 200, None)
        counts.failed(f"m{number}", "timeout")
        counts.was_refused("m0", f"limit {number}", None)

    assert len(counts.attempts) == MODELS_MAX + 1
    assert counts.attempts[OTHER] == {200: 3000 - MODELS_MAX, "timeout": 3000 - MODELS_MAX}
    assert len(counts._rows) == 1024
    assert len(counts.refused) == 17
    assert counts.refused["m0", OTHER] == 3000 - 16


def test_a_limit_on_names_does_not_count_other_itself() -> None:
    """A key that is really called so is among the others, and takes no other's place."""
    names = Names(2)

    assert [names.of(name) for name in ("a", OTHER, "b", "c")] == ["a", OTHER, "b", OTHER]
    assert [names.shows(name) for name in ("a", "b", "c", OTHER)] == [True, True, False, False]


@pytest.mark.parametrize(("text", "label"), [("gpt-4o", "gpt-4o"), ("x" * 200, "x" * 128), ("a\ud800", "a\\ud800")])
def test_a_name_as_a_label(text: str, label: str) -> None:
    """Short, and text that can be written."""
    assert as_label(text) == label


@pytest.mark.parametrize(("amount", "place"), [(0, 0), (10, 0), (11, 1), (20, 1), (21, 2)])
def test_a_bound_belongs_to_what_is_below_it(amount: int, place: int) -> None:
    """As Prometheus has it: less than or equal."""
    amounts = Amounts((10, 20))
    amounts.add(amount)

    assert amounts.counts.index(1) == place


def test_two_that_counted_are_one_in_the_sum() -> None:
    """Every number of both; of examples the newer; and names have their bound here, too."""
    one, two = Counts(), Counts()
    for counts, request_id in ((one, "a"), (two, "b")):
        counts.turns += 1
        counts.waits.add(S)
        counts.answered("m", 500, request_id)
        counts.was_refused("m", "tokens", request_id)
    for number in range(MODELS_MAX):
        one.answered(f"m{number}", 200, None)
    two.answered("late", 404, "c")
    one.merge(two)

    assert one.turns == 2
    assert (sum(one.waits.counts), one.waits.total) == (2, 2 * S)
    assert one.attempts["m"] == {500: 2}
    assert one.attempts[OTHER] == {200: 1, 404: 1}
    assert one.refused == {("m", "tokens"): 2}
    assert one.heard == {("m", 500): "b", ("m", "tokens"): "b"}


def test_begun_again_nothing_has_happened() -> None:
    """The same object counts on from zero."""
    counts = Counts()
    counts.answered("m", 500, "a")
    counts.clear()

    assert (counts.attempts, counts.heard, counts.turns) == ({}, {}, 0)


def test_a_glance_leaves_out_keys_at_rest() -> None:
    """Those that are wanted are there, and those in which somebody waits or is under way."""
    drive = Drive(scheduler(slots=2), hold=True)
    drive.end(drive.ask("rests"))
    drive.end(drive.ask("wanted"))
    drive.ask("goes")
    drive.ask("goes")
    drive.ask("waits")
    found = {key: (state.in_flight, bands[0].queued) for key, state, bands in glance(
        drive.machine, lambda key: key == "wanted", now_ns=drive.now_ns
    )}  # fmt: skip

    assert found == {"wanted": (0, 0), "goes": (2, 0), "waits": (0, 1)}


def test_what_went_well_needs_no_example() -> None:
    """A success is counted and not remembered."""
    drive = Drive(scheduler())
    counts = counting(drive)
    drive.ask()

    assert (counts.heard, counts.attempts["m"][OK.status]) == ({}, 1)


def test_a_success_that_is_not_read_counts_as_well() -> None:
    """Whether its headers are looked at or not, an answer is an attempt."""
    drive = Drive(scheduler(), hold=True)
    counts = counting(drive)
    ticket = drive.ask()
    learn_from_unread(drive.machine, drive.machine.keys["m"], ticket, 201, now_ns=drive.now_ns)

    assert counts.attempts == {"m": {201: 1}}
