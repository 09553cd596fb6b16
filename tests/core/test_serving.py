"""Who goes first, who may pass, and how long anybody has to wait."""

from __future__ import annotations

import pytest

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import ONE_REQUEST
from ratelimit_client.core.quota import Quota, per_day, per_minute, per_second
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from tests.core.driving import Drive, scheduler


def bucket(drive: Drive, unit: str = "tokens", key: str = "m") -> Bucket:
    return drive.machine.keys[key].budget.by_unit[unit][0]


def emptied(drive: Drive, tokens: int) -> Drive:
    """The same with *tokens* spent at time zero."""
    drive.ask(requests=0, tokens=tokens)
    drive.log.clear()
    return drive


# -- the first in line --------------------------------------------------------------


def test_calls_of_one_lane_go_in_order_as_the_bucket_refills() -> None:
    """Ten a second: one each tenth, the first of them once the hundredth that stays behind is back, too."""
    drive = Drive(scheduler(per_second(requests=10)))
    calls = [drive.ask() for _ in range(13)]
    drive.drain()

    assert [ticket for _, ticket in drive.log] == calls
    assert [second for second, _ in drive.log] == pytest.approx([0.0] * 9 + [0.01, 0.11, 0.21, 0.31])


def test_nobody_of_the_same_lane_passes_in_the_bucket_that_blocks() -> None:
    """A call that would fit waits behind one that does not, whatever else either of them needs."""
    drive = emptied(Drive(scheduler(per_second(requests=10, tokens=100))), 100)
    drive.ask(requests=8)
    heavy = drive.ask(requests=8, tokens=10)
    light = drive.ask(requests=1)
    drive.to(0.05)
    assert drive.when(light) is None, "two requests are left, but the heavy one came first"

    drive.drain()
    assert drive.when(heavy) < drive.when(light)  # type: ignore[operator]


def test_a_call_that_needs_nothing_of_the_blocked_bucket_passes() -> None:
    """Whoever waits for tokens does not keep back who needs none."""
    drive = emptied(Drive(scheduler(per_second(requests=10, tokens=100))), 100)
    heavy = drive.ask(tokens=50)
    light = drive.ask()

    assert (drive.when(heavy), drive.when(light)) == (None, 0.0)


def test_a_call_of_the_same_lane_goes_when_its_own_bucket_has_room_again() -> None:
    """
    Both buckets are empty. The large call waits 50 s for its tokens; the one behind it needs a request only, and
    somebody has to look when that is back.
    """
    drive = Drive(scheduler(per_minute(requests=60, tokens=6000), slots=1000))
    for _ in range(60):
        drive.ask(tokens=99)
    large, light = drive.ask(tokens=5000), drive.ask()
    drive.drain()

    assert drive.when(light) is not None
    assert drive.when(light) < 5 < 40 < drive.when(large)  # type: ignore[operator]


def test_a_better_band_goes_first() -> None:
    """Three bands wait for the same refill."""
    drive = emptied(Drive(scheduler(per_second(tokens=100))), 100)
    for priority in (2, 0, -2, 0, 2):
        drive.ask(tokens=50, priority=priority)
    drive.drain()

    assert [ticket.priority for _, ticket in drive.log] == [-2, 0, 0, 2, 2]


# -- heavy calls ------------------------------------------------------------------


def test_a_heavy_call_among_small_ones_waits_a_bounded_time() -> None:
    """
    Two tenants take whatever flows back; a call of nine tenths of the bucket still goes.

    Half of the refill is set aside for it, so it waits less than twice its own share of
    the time, and the small ones keep flowing meanwhile.
    """
    drive = Drive(scheduler(per_minute(tokens=6000), slots=100))
    drive.on_grant = lambda ticket: drive.ask(tokens=60, tenant=ticket.tenant, polled=False) if ticket.tenant else None
    emptied(drive, 6000)
    for tenant in "ab":
        drive.ask(tokens=60, tenant=tenant)
    heavy = drive.ask(tokens=5400, tenant="")
    drive.to(120)

    waited = drive.when(heavy)
    assert waited is not None
    assert waited <= 2 * 54 + 2
    small = sum(ticket.cost["tokens"] for second, ticket in drive.log if ticket is not heavy and second < waited)
    assert small >= 0.45 * waited * 100


def test_whoever_is_first_in_the_order_has_the_escrow() -> None:
    """A call that was sent back to the front of the lane takes over what was set aside behind it."""
    drive = Drive(scheduler(per_second(tokens=100)), hold=True)
    front = drive.ask(requests=0, tokens=100)
    behind = drive.ask(requests=0, tokens=60)
    drive.ask(requests=0, tokens=10, tenant="z")
    drive.to(0.5)
    assert bucket(drive).holds_for(behind)

    drive.end(front, None, Ending.IGNORED)
    drive.machine.requeue(front, not_before_ns=drive.now_ns, now_ns=drive.now_ns)
    drive.turn()
    assert bucket(drive).holds_for(front)
    drive.hold = False
    drive.drain()
    assert drive.when(front) < drive.when(behind)  # type: ignore[operator]


def test_even_alone_in_its_lane_a_call_that_came_back_is_not_held_up_by_one_behind_it() -> None:
    """The other lane left; what was set aside for the second is the first's."""
    drive = Drive(scheduler(per_second(tokens=100)), hold=True)
    front = drive.ask(requests=0, tokens=50)
    drive.ask(requests=0, tokens=50)
    behind = drive.ask(requests=0, tokens=90)
    other = drive.ask(requests=0, tokens=60, priority=1)
    drive.to(0.55)
    drive.machine.cancel(other, now_ns=drive.now_ns)
    drive.end(front, None, Ending.IGNORED)
    assert bucket(drive).holds_for(behind)

    drive.machine.requeue(front, not_before_ns=drive.now_ns, now_ns=drive.now_ns)
    drive.turn()
    assert drive.when(front) == 0.55


def test_a_cancelled_call_gives_its_escrow_back() -> None:
    """What was set aside for it is everyone's at once."""
    drive = emptied(Drive(scheduler(per_second(tokens=100))), 100)
    heavy = drive.ask(tokens=90)
    small = drive.ask(tokens=40, tenant="z")
    drive.to(0.6)
    assert drive.when(small) is None
    drive.machine.cancel(heavy, now_ns=drive.now_ns)
    drive.turn()

    assert drive.when(small) == 0.6
    assert bucket(drive).escrow is None


def test_three_tenants_with_two_buckets_never_lock_each_other_out() -> None:
    """Each wants most of one bucket and some of the other; one escrow for each bucket lets all of them go."""
    drive = Drive(scheduler(per_second(requests=100, tokens=100), slots=100))
    drive.ask(requests=100, tokens=100)
    for tenant, requests, tokens in (("a", 90, 40), ("b", 40, 90), ("c", 70, 70)) * 4:
        drive.ask(requests=requests, tokens=tokens, tenant=tenant)

    assert drive.drain(limit_s=30) <= 20


def test_a_full_bucket_serves_whoever_asks_first() -> None:
    """
    What is set aside in a full bucket grows no more, so it may keep nobody waiting.

    The heavy call of the better band and the share of the worse one would otherwise wait for each other.
    """
    drive = emptied(Drive(scheduler(per_second(requests=60, tokens=100))), 60)
    for priority in (-1, 0, 2):
        drive.ask(tokens=85, priority=priority)
        drive.ask(tokens=20, priority=priority)

    assert drive.drain(limit_s=20) < 6


# -- bands ------------------------------------------------------------------------


def test_a_waiting_band_gets_a_tenth_of_the_refill() -> None:
    """However much the better band has to do: at most nine tenths of what flows back are its own."""
    drive = Drive(scheduler(per_second(tokens=1000), slots=100))
    drive.on_grant = lambda ticket: drive.ask(tokens=10, priority=ticket.priority, polled=False) and None
    drive.ask(tokens=1000)
    for _ in range(5):
        drive.ask(tokens=10, priority=-1, polled=False)
        drive.ask(tokens=10, priority=1, polled=False)
    drive.to(20)

    late = [ticket for second, ticket in drive.log if second > 1]
    worse = sum(ticket.priority == 1 for ticket in late)
    assert 0.09 <= worse / len(late) <= 0.12
    assert len(late) >= 0.97 * 19 * 100


@pytest.mark.parametrize(("tokens", "second"), [(60, 360.0), (90, 541.2), (99, 594.0), (100, 600.0)])
def test_a_flood_of_the_best_band_starves_nobody(tokens: int, second: float) -> None:
    """
    A hundred tokens a minute and always somebody better waiting: a tenth is six a minute.

    The largest calls need a full bucket, and whoever asks first there would always be the better one.
    """
    drive = Drive(scheduler(per_minute(tokens=100), slots=100))

    def flood(ticket: Ticket) -> None:
        if ticket.priority < 0 and drive.now_ns < 700 * S:
            drive.ask(tokens=10, priority=-1, polled=False)

    drive.on_grant = flood
    for _ in range(15):
        drive.ask(tokens=10, priority=-1, polled=False)
    large = drive.ask(tokens=tokens, priority=1)
    drive.to(700)

    assert drive.when(large) == pytest.approx(second)


def test_who_waits_for_something_else_leaves_the_full_bucket_to_others() -> None:
    """It is owed all hundred tokens, but its request is a day away: the better ones, which need none, go on."""
    drive = Drive(scheduler([*per_minute(tokens=100), *per_day(requests=1)], slots=100))
    drive.ask()
    owed = drive.ask(tokens=100, priority=1)
    for minute in range(60):
        for _ in range(10):
            drive.ask(requests=0, tokens=10, priority=-1)
        drive.to(60 * (minute + 1))

    assert drive.when(owed) is None
    assert len(drive.log) > 500


def test_what_was_kept_for_a_band_is_free_when_it_waits_no_longer() -> None:
    """Served or cancelled: the last of its calls leaves nothing behind that would keep others back."""
    for cancelled in (True, False):
        drive = emptied(Drive(scheduler(per_second(tokens=100))), 100)
        drive.ask(tokens=20, priority=-1)
        worse = drive.ask(tokens=20, priority=1)
        drive.to(0.1)
        assert bucket(drive).bands is not None
        if cancelled:
            drive.machine.cancel(worse, now_ns=drive.now_ns)
        drive.drain()
        drive.turn()

        assert bucket(drive).bands is None
        assert not bucket(drive).special


# -- slots ------------------------------------------------------------------------


def test_calls_wait_for_slots_of_all_keys_together() -> None:
    """Four slots, two keys: the fifth call waits whatever its key has left, and goes when one ends."""
    drive = Drive(scheduler(), hold=True)
    calls = [drive.ask("ab"[number % 2]) for number in range(5)]
    assert drive.machine.next_wakeup() is None
    assert [ticket.state for ticket in calls] == [State.GRANTED] * 4 + [State.QUEUED]

    drive.end(calls[1])
    assert calls[4].state is State.GRANTED


def test_free_slots_go_to_the_key_that_was_served_least() -> None:
    """One key with a hundred calls and one with five share the slots evenly while both wait."""
    drive = Drive(scheduler(slots=1), hold=True)
    drive.ask("a")
    for _ in range(100):
        drive.ask("a", polled=False)
    for _ in range(5):
        drive.ask("b", polled=False)
    for _ in range(12):
        drive.end(drive.log[-1][1])

    assert drive.order("key")[:11].count("b") == 5


def test_a_key_that_was_away_does_not_take_every_slot() -> None:
    """A thousand calls of one key ago it was served last; now they take turns."""
    drive = Drive(scheduler(slots=1), hold=True)
    drive.ask("b")
    drive.end(drive.log[-1][1])
    for _ in range(1000):
        drive.ask("a")
        drive.end(drive.log[-1][1])
    drive.ask("c")
    for _ in range(20):
        for key in "ab":
            drive.ask(key, polled=False)
    for _ in range(20):
        drive.end(drive.log[-1][1])

    assert 9 <= drive.order("key")[-20:].count("b") <= 11


def test_a_slot_that_comes_free_is_not_stolen_before_the_next_turn() -> None:
    """Whoever asks between a release and the turn stands behind the keys that already wait."""
    drive = Drive(scheduler(slots=1), hold=True)
    first = drive.ask("a")
    waits = drive.ask("b")
    drive.end(first, polled=False)
    thief = drive.ask("a", polled=False)

    assert thief.state is State.QUEUED
    drive.turn()
    assert (waits.state, thief.state) == (State.GRANTED, State.QUEUED)


def test_slots_that_run_out_while_others_pass_by_are_waited_for() -> None:
    """The blocked call stays, the last slot goes to one that passes, and the rest wait for an answer."""
    drive = emptied(Drive(scheduler(per_second(tokens=100), slots=2), hold=True), 100)
    heavy = drive.ask(tokens=50)
    light = [drive.ask(tenant=tenant) for tenant in "xyz"]

    assert [ticket.state for ticket in light] == [State.GRANTED, State.QUEUED, State.QUEUED]
    drive.end(drive.log[-1][1])
    assert light[1].state is State.GRANTED
    assert heavy.state is State.QUEUED


def test_at_most_256_go_in_one_turn() -> None:
    """The rest is for the next one, which is due at once."""
    drive = Drive(scheduler(per_second(requests=1000), slots=1000), hold=True)
    machine = drive.machine
    drive.end(drive.ask(requests=1000))
    machine.keys["m"].window.base = 1000  # the end of the ramp
    calls = [drive.ask(polled=False) for _ in range(600)]
    drive.now_ns = 2 * S

    sizes = [len(machine.poll(now_ns=2 * S).granted) for _ in range(4)]
    assert sizes == [256, 256, 88, 0]
    assert all(ticket.state is State.GRANTED for ticket in calls)


def test_the_bound_of_a_turn_holds_while_others_pass_by() -> None:
    """Calls that need nothing of the blocked bucket come in turns of 256, too."""
    drive = emptied(Drive(scheduler(per_second(tokens=100), slots=1000), hold=True), 100)
    machine = drive.machine
    machine.keys["m"].window.base = 1000
    drive.ask(tokens=50)
    waiting = [machine.submit("m", cost=ONE_REQUEST, tenant="z", now_ns=0) for _ in range(300)]
    assert {ticket.state for ticket in waiting} == {State.QUEUED}

    assert len(machine.poll(now_ns=1).granted) == 256
    assert machine.next_wakeup() == 0
    assert len(machine.poll(now_ns=1).granted) == 44


def test_a_call_that_rests_is_woken_though_another_used_up_the_turn() -> None:
    """Two keys wake together and get one call each; what rests in the first still has its own time."""
    drive = Drive(scheduler(per_second(requests=10), slots=8), hold=True)
    rests = drive.ask("a")
    drive.end(rests, None, Ending.IGNORED)
    drive.machine.requeue(rests, not_before_ns=5 * S, now_ns=0)
    for key, spent in (("a", 8), ("b", 9)):
        drive.ask(key, requests=spent, tenant="z")
        drive.ask(key, requests=5, tenant="z")
    drive.to(4)
    assert drive.machine.queued == 1
    drive.to(10)

    assert drive.when(rests) == 5.0


def test_of_two_kinds_of_calls_of_one_lane_the_older_goes_first() -> None:
    """Three pass by one that is blocked; with two slots left it is those that came first."""
    drive = emptied(Drive(scheduler(per_second(requests=100, tokens=100), slots=4), hold=True), 100)
    drive.ask("other")
    drive.ask(tokens=50, requests=0, polled=False)
    calls = [drive.ask(requests=requests, polled=False) for requests in (0, 0, 1)]
    drive.turn()

    assert [ticket.state for ticket in calls] == [State.GRANTED, State.GRANTED, State.QUEUED]


def test_what_was_kept_for_a_band_is_free_with_its_last_call() -> None:
    """The first in line is not reckoned with a share that is nobody's any more."""
    drive = emptied(Drive(scheduler(per_second(tokens=100)), hold=True), 100)
    first, worse = drive.ask(tokens=50), drive.ask(tokens=5, priority=2)
    drive.drain()

    assert drive.when(worse) == pytest.approx(0.5)
    assert drive.when(first) == pytest.approx(0.56)


def test_what_was_kept_for_a_band_in_a_shared_bucket_is_news_for_all_keys() -> None:
    """The last call of the worse band went: a call of another key is due earlier than it had been told."""
    drive = Drive(scheduler(shared=[Quota("tokens", 100, 1.0)]), hold=True)
    drive.ask("x", requests=0, tokens=100)
    better, worse = drive.ask("x", tokens=60), drive.ask("y", tokens=5, priority=1)
    drive.ask("x", tokens=90)  # x is looked at again, now that a share is kept for y
    drive.drain()

    assert drive.when(worse) == pytest.approx(0.5)
    assert drive.when(better) == pytest.approx(0.66)


def test_a_call_that_waits_for_a_slot_of_the_ramp_has_nothing_set_aside() -> None:
    """Its bucket has room, so nobody who comes later is kept from what is there."""
    drive = Drive(scheduler(per_second(requests=100, tokens=100), slots=1000), hold=True)
    drive.ask(tokens=80, tenant="a")
    drive.ask(tokens=80, tenant="a")
    drive.to(1)
    assert [ticket.tenant for _, ticket in drive.log] == ["a", "a"]
    for tenant in "abcdef":
        drive.ask(tokens=1, tenant=tenant)

    assert drive.machine.queued > 0
    assert [each.escrow for unit in ("requests", "tokens") for each in (bucket(drive, unit),)] == [None, None]


def test_nothing_is_held_for_those_who_have_all_left() -> None:
    """Whoever comes after them goes at once, without a turn in which it could be tidied up."""
    drive = emptied(Drive(scheduler(per_second(tokens=100))), 100)
    gone = [drive.ask(tokens=90), drive.ask(tokens=40, tenant="z")]
    drive.to(0.6)
    assert bucket(drive).escrow is not None
    for ticket in gone:
        drive.machine.cancel(ticket, now_ns=drive.now_ns)

    assert bucket(drive).escrow is None
    assert drive.when(drive.ask(tokens=50, polled=False)) == 0.6
