"""Whose turn it is, beside a queue that keeps one list and looks at all of it."""

from __future__ import annotations

from ratelimit_client.core.cost import Cost
from ratelimit_client.core.queue import BANDS, Line
from ratelimit_client.core.ticket import State
from tests.core.queueing import call, cancel, grant, queue_of, send_back, turns

# -- order ------------------------------------------------------------------------


def test_a_lane_is_served_in_the_order_of_arrival() -> None:
    """Whoever came first goes first, and then there is nobody."""
    first, second = call(), call()
    queue = queue_of(first, second)

    assert [grant(queue), grant(queue)] == [first, second]
    assert queue.first() is None
    assert queue.waiting == queue.ready == 0


def test_better_bands_go_first() -> None:
    """From -2, the best, to 2."""
    queue = queue_of(*(call(priority=priority) for priority in (1, 2, -2, 0, -1)))

    assert queue.waiting_bands() == list(BANDS)
    assert [ticket.priority for ticket in queue.heads()] == [-2, -1, 0, 1, 2]
    assert [grant(queue).priority for _ in BANDS] == [-2, -1, 0, 1, 2]
    assert queue.waiting_bands() == []


def test_tenants_take_turns_however_many_calls_each_has() -> None:
    """Ninety calls of one tenant before three of another do not keep it waiting."""
    queue = queue_of(*(call("a") for _ in range(90)), *(call("b") for _ in range(3)))

    assert turns(queue, 10) == "abababaaaa"


def test_heavier_calls_count_for_more() -> None:
    """Twice the share, half the calls."""
    queue = queue_of(*(call("a", share=20) for _ in range(5)), *(call("b") for _ in range(10)))

    assert turns(queue, 12) == "abbabbabbabb"


def test_tenants_that_wait_are_told_without_asking_each_call() -> None:
    """Of one that waits in two bands both are told, of one whose calls went nothing, and one that rests waits, too."""
    first = call("gone")
    queue = queue_of(first, *(call("a") for _ in range(9)), call("a", priority=1), call("b"))
    resting = call("rests")
    resting.not_before_ns = 5
    queue.push(resting, now_ns=0)
    grant(queue, first)

    assert sorted(queue.waiting_tenants()) == ["a", "a", "b", "rests"]


def test_absence_earns_nothing() -> None:
    """A tenant that comes late has no claim to the turns it did not ask for."""
    queue = queue_of(*(call("a") for _ in range(20)))
    turns(queue, 10)
    for _ in range(10):
        queue.push(call("b"), now_ns=0)

    assert turns(queue, 8) == "babababa"


def test_what_one_had_while_alone_is_not_held_against_it() -> None:
    """A thousand calls that never had to wait, and then another tenant comes: from there on they take turns."""
    queue = queue_of()
    for _ in range(1000):
        queue.charge(call("a"))
    for _ in range(10):
        queue.push(call("a"), now_ns=0)
        queue.push(call("b"), now_ns=0)

    assert turns(queue, 6) == "bababa"


def test_calls_that_never_waited_count_like_any_other() -> None:
    """Two grants on the fast path, and it is the turn of the other tenant, who had one."""
    queue = queue_of()
    queue.charge(call("b"))
    for _ in range(2):
        queue.charge(call("a"))
    for _ in range(4):
        queue.push(call("a"), now_ns=0)
        queue.push(call("b"), now_ns=0)

    assert turns(queue, 4) == "baba"


def test_the_true_cost_moves_the_turn() -> None:
    """Who used more than was charged waits longer; who used less gets it back, but no turn before the present one."""
    queue = queue_of(*(call("a") for _ in range(6)), *(call("b") for _ in range(6)))
    first = grant(queue)
    queue.correct(first, 20)
    assert (first.tenant, turns(queue, 4)) == ("a", "bbba")

    queue.correct(first, -1000)
    assert turns(queue, 2) == "ab"


def test_a_correction_of_a_tenant_that_is_away_is_remembered() -> None:
    """More than was charged counts when it comes back; less is nothing one could come back to."""
    queue = queue_of(call("a"))
    first = grant(queue)
    queue.correct(first, 30)
    for _ in range(6):
        queue.push(call("a"), now_ns=0)
        queue.push(call("b"), now_ns=0)
    assert turns(queue, 5) == "bbbba"

    late = queue_of(call("a"))
    first = grant(late)
    for _ in range(5):
        late.charge(call("b"))
    late.correct(first, 30)
    for tenant in "aaabbb":
        late.push(call(tenant), now_ns=0)
    assert turns(late, 3) == "bba", "counted from where service stands now"

    stranger = call("c")
    queue.correct(stranger, -5)
    assert "c" not in queue.bands[0].lanes


# -- kinds ------------------------------------------------------------------------


def test_each_kind_of_call_has_a_head_of_its_own() -> None:
    """A call that needs no tokens may be asked although one that does stands before it."""
    heavy, other, light = call(cost=Cost(tokens=9)), call(cost=Cost(tokens=1)), call()
    queue = queue_of(heavy, other, light)

    assert list(queue.heads()) == [heavy, light]
    assert not queue.alone(heavy)
    grant(queue, light)
    assert list(queue.heads()) == [heavy]
    assert queue.alone(heavy)
    grant(queue)
    assert list(queue.heads()) == [other]


def test_alone_is_who_has_the_queue_to_himself() -> None:
    """Calls of the own lane do not disturb; those of another lane or band do."""
    mine = call("a")
    queue = queue_of(mine, call("a"))
    assert queue.alone(mine)
    assert queue.alone(call("a", priority=2)), "nobody else is in its band"

    queue.push(call("b", priority=1), now_ns=0)
    assert not queue.alone(mine)


def test_the_look_ahead_is_sixteen_lanes() -> None:
    """However many tenants wait, a blocked queue is not searched to its end."""
    queue = queue_of(*(call(f"{number:03}") for number in range(100)))

    assert [ticket.tenant for ticket in queue.heads()] == [f"{number:03}" for number in range(16)]
    assert [ticket.tenant for ticket in queue.heads()] == [f"{number:03}" for number in range(16)], "and it stays so"


# -- sent back --------------------------------------------------------------------


def test_a_ticket_that_was_sent_back_keeps_its_rank_and_blocks_nobody_meanwhile() -> None:
    """It rests until its time has come, and then it is first again."""
    first, second, third = call(), call(), call()
    queue = queue_of(first, second, third)
    grant(queue)
    send_back(queue, first, 50)

    assert (queue.waiting, queue.ready, queue.wakes_at_ns()) == (3, 2, 50)
    assert queue.first() is second
    queue.wake(now_ns=49)
    assert queue.first() is second
    queue.wake(now_ns=50)
    assert queue.first() is first
    assert (queue.ready, queue.wakes_at_ns()) == (3, None)


def test_a_ticket_sent_back_at_once_is_first_at_once() -> None:
    """Without a wait it does not rest at all."""
    first, second = call(), call()
    queue = queue_of(first, second)
    grant(queue)
    send_back(queue, first, 0)

    assert queue.first() is first


def test_a_ticket_pays_once_over_all_its_attempts() -> None:
    """Sent back three times, it costs its tenant one turn."""
    queue = queue_of(*(call("a") for _ in range(3)), *(call("b") for _ in range(3)))
    first = grant(queue)
    for _ in range(3):
        send_back(queue, first, 0)
        grant(queue, first)

    assert (first.tenant, turns(queue, 4)) == ("a", "baba")


def test_a_resting_ticket_that_is_cancelled_never_wakes() -> None:
    """Its entry is dropped when it is met, and its time is nobody's wake-up any more."""
    first, second = call(), call()
    queue = queue_of(first, second)
    grant(queue)
    grant(queue)
    send_back(queue, first, 50)
    send_back(queue, second, 60)
    cancel(queue, first)

    assert queue.wakes_at_ns() == 60
    assert list(queue.tickets()) == [second]
    queue.wake(now_ns=50)
    assert queue.first() is None


def test_two_rests_of_one_ticket_are_not_mixed_up() -> None:
    """Cancelled before its time and met again by nobody: only the entry that still holds wakes it."""
    ticket, other = call(), call()
    queue = queue_of(ticket)
    grant(queue)
    send_back(queue, ticket, 80)
    queue._resting.append((90, ticket.seq, ticket))  # an entry of a rest that was cut short
    queue.push(other, now_ns=0)
    queue.wake(now_ns=100)

    assert {queue.first(), *queue.tickets()} == {ticket, other}
    assert queue.ready == 2


# -- cancelling -------------------------------------------------------------------


def test_a_cancelled_ticket_is_passed_over() -> None:
    """Wherever it stood: first, in the middle, or last of its lane."""
    tickets = [call("a") for _ in range(4)] + [call("b")]
    queue = queue_of(*tickets)
    for number in (0, 2, 4):
        cancel(queue, tickets[number])

    assert [grant(queue), grant(queue)] == [tickets[1], tickets[3]]
    assert queue.first() is None
    assert list(queue.heads()) == []


def test_dead_tickets_are_swept_when_they_are_the_most() -> None:
    """Cancelling ten thousand leaves no more than twice the living, and a few."""
    tickets = [call(str(number % 7)) for number in range(10_000)]
    queue = queue_of(*tickets)
    back = [grant(queue) for _ in range(200)]
    for ticket in back:
        send_back(queue, ticket, 10**9)
    for ticket in tickets[:-10]:
        if ticket.state is State.QUEUED:
            cancel(queue, ticket)

    kept = sum(len(line) for lane in queue.bands[0].lanes.values() for line in lane.lines.values())
    assert kept + len(queue._resting) < 200
    assert sorted(ticket.seq for ticket in queue.tickets()) == [ticket.seq for ticket in tickets[-10:]]


def test_a_sweep_keeps_what_was_sent_back() -> None:
    """The living of the heap stay, in order."""
    line = Line()
    tickets = [call(rank=rank) for rank in (9, 3, 5, 7, 2)]
    for ticket in tickets:
        line.push(ticket)
    tickets[4].state = State.ENDED
    assert line.head() is tickets[1]
    tickets[1].state = State.ENDED
    line.sweep()

    assert list(line.live()) == [tickets[0], tickets[2], tickets[3]]
    assert line.head() is tickets[2]
    assert not line.pop(tickets[3])
    assert line.pop(tickets[2])
    assert line.pop(tickets[3])
    assert line.pop(tickets[0])
    assert line.head() is None


def test_cancelling_costs_the_same_however_many_wait() -> None:
    """All sweeps together look at each of four thousand tickets three times at most."""
    tickets = [call(str(number % 5)) for number in range(4000)]
    queue = queue_of(*tickets)
    looks = 0
    for ticket in tickets[::2] + tickets[1::2]:
        dead = queue._dead
        cancel(queue, ticket)
        looks += dead + 1 + queue.waiting if queue._dead < dead else 0

    assert 0 < looks <= 3 * 4000


def test_tenants_that_owe_nothing_are_forgotten() -> None:
    """A hundred thousand tenants of one call each leave no hundred thousand lanes."""
    waited, passed = queue_of(), queue_of()
    for number in range(20_000):
        waited.push(call(str(number)), now_ns=0)
        grant(waited)
        passed.charge(call(str(number)))

    assert len(waited.bands[0].lanes) < 2200
    assert len(passed.bands[0].lanes) < 2200


def test_a_thousand_debtors_are_remembered() -> None:
    """Those that owe most: the others come back as if they had never been there."""
    queue = queue_of()
    for number in range(1500):
        queue.charge(call(f"{number:04}", share=1 + number))
    queue.bands[0]._forget()

    assert len(queue.bands[0].lanes) == 999
    assert min(queue.bands[0].lanes) == "0501"


# -- sums -------------------------------------------------------------------------


def test_what_waits_is_known_without_counting() -> None:
    """By unit, in one band or in this and all better ones; a new price takes the place of the old."""
    small, large = call(cost=Cost(tokens=5)), call(cost=Cost(tokens=100), priority=1)
    queue = queue_of(small, large)

    assert [queue.ahead("tokens", band) for band in BANDS] == [0, 0, 5, 105, 105]
    assert [queue.queued("requests", band) for band in BANDS] == [0, 0, 1, 1, 0]
    queue.reprice(small, Cost(tokens=7))
    assert (queue.ahead("tokens", 0), small.cost) == (7, Cost(tokens=7))
    cancel(queue, large)
    grant(queue)
    assert queue.ahead("tokens", 2) == queue.ahead("requests", 2) == 0
    assert queue.ahead("images", 2) == 0


def test_a_band_without_anybody_has_no_head() -> None:
    """Nor a lane that stands in the order no longer."""
    queue = queue_of(call(priority=1))
    cancel(queue, next(iter(queue.tickets())))

    assert queue.head_of(1) is None
    assert queue.first() is None


def test_a_correction_of_a_lane_that_was_passed_by_counts_from_where_it_stands() -> None:
    """While a's head was blocked b had four turns; what a's last call used more costs it one of those, not all."""
    queue = queue_of(*(call("a") for _ in range(6)), *(call("b") for _ in range(9)))
    first = grant(queue)
    for ticket in [each for each in queue.tickets() if each.tenant == "b"][:5]:
        grant(queue, ticket)
    queue.correct(first, 10)

    assert turns(queue, 5) == "aaaab"
