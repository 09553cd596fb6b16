"""What the scheduler shows by priority, what it tells of estimates, and which server it takes itself to speak to."""

from __future__ import annotations

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.events import Kind
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.statistics import BandStatistics
from ratelimit_client.core.units import NS
from ratelimit_client.core.views import bands

PAYS = {"requests": "requests", "tokens": "tokens"}


def scheduler(*, max_in_flight: int = 100) -> Scheduler:
    profile = ServerProfile(pays=PAYS, refill=Refill.CONTINUOUS, reset_is_exact=True)
    return Scheduler(profile=profile, max_in_flight=max_in_flight, dice=lambda: 0.5, now_ns=0)


def test_what_waits_is_shown_by_priority() -> None:
    """Calls, tokens and the longest wait of each priority that was ever waited in, resting calls included, and of 0."""
    one = scheduler(max_in_flight=2)
    cost = Cost(1, tokens=100)
    first = one.submit("m", cost=cost, now_ns=0)
    second = one.submit("m", cost=cost, now_ns=0)
    assert bands(one.keys["m"], now_ns=0) == {0: BandStatistics()}

    one.submit("m", cost=cost, priority=1, now_ns=1 * NS)
    one.submit("m", cost=Cost(1), priority=1, now_ns=2 * NS)
    waits = one.submit("m", cost=cost, priority=-1, now_ns=3 * NS)
    for ticket in (first, second):
        one.observe(ticket, Signals(status=500, reason=Reason.SERVER_ERROR), now_ns=3 * NS)
    one.release(first, Ending.IGNORED, now_ns=3 * NS)
    one.requeue(first, not_before_ns=100 * NS, now_ns=3 * NS)
    assert bands(one.keys["m"], now_ns=4 * NS) == {
        0: BandStatistics(1, 100, 1.0),
        1: BandStatistics(2, 100, 3.0),
        -1: BandStatistics(1, 100, 1.0),
    }
    one.cancel(waits, now_ns=4 * NS)
    assert bands(one.keys["m"], now_ns=4 * NS)[-1] == BandStatistics()


def test_estimates_are_told_to_whoever_asked() -> None:
    """A refusal that names what the call costs is told beside what was estimated; without evidence nothing is."""
    one = scheduler()
    one.subscribe([Kind.ESTIMATED])
    refusal = Signals(status=429, reason=Reason.RATE_LIMITED, unit="tokens", limit=1000.0, used=990.0, requested=60.0)
    silent = Signals(status=200, readings={"requests": Reading(10.0, 9.0, 6.0, 60.0)})
    for signals in (refusal, silent):
        ticket = one.submit("m", features=Features(chars=400), now_ns=0)
        estimated = ticket.cost["tokens"]
        one.observe(ticket, signals, now_ns=NS)
        event = one.next_event()
        if signals is refusal:
            assert event is not None
            assert (event.kind, event.key) == (Kind.ESTIMATED, "m")
            assert event.facts == {"charged": 60, "estimated": estimated}
        else:
            assert event is None


def test_nobody_asked_nothing_is_told() -> None:
    """Evidence is learnt from all the same."""
    one = scheduler()
    ticket = one.submit("m", features=Features(chars=400), now_ns=0)
    refusal = Signals(status=429, reason=Reason.RATE_LIMITED, unit="tokens", requested=60.0)
    one.observe(ticket, refusal, now_ns=NS)
    assert one.next_event() is None
    assert one.keys["m"].estimator.evidences == 1


def test_another_kind_of_server_is_adopted() -> None:
    """By the keys there are and by those to come; what they learnt stays."""
    one = scheduler()
    ticket = one.submit("old", cost=Cost(1), now_ns=0)
    one.observe(ticket, Signals(status=200, readings={"requests": Reading(10.0, 9.0, 6.0, 60.0)}), now_ns=0)
    lines = one.keys["old"].budget.lines
    other = ServerProfile(pays=PAYS, refill=Refill.WINDOW)
    one.adopt(other)
    one.submit("new", cost=Cost(1), now_ns=0)
    assert one.keys["old"].budget.profile is one.keys["new"].budget.profile is other
    assert one.keys["old"].budget.lines is lines
    assert lines["requests"][0].bucket.limit == 10
