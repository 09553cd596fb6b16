"""Very many that wait: in blocks and in small heaps, and each comes out where it belongs."""

from __future__ import annotations

import random

from ratelimit_client.core.ends import Ends
from ratelimit_client.core.queue import Line
from ratelimit_client.core.ticket import State
from tests.core.queueing import call, cancel, grant, queue_of


def test_a_block_whose_calls_have_all_gone_is_dropped() -> None:
    """The first thousand give up; the sweep leaves the others, in their order."""
    line, tickets = Line(), [call(rank=number) for number in range(2500)]
    for ticket in tickets:
        line.push(ticket)
    for ticket in tickets[:1024]:
        ticket.state = State.ENDED
    while not line.sweep():
        pass
    assert len(line) == 1476
    assert line.head() is tickets[1024]
    assert list(line.live()) == tickets[1024:]


def test_many_tenants_are_swept_in_steps() -> None:
    """Forty tenants with a hundred calls each, all but the last of which give up: forty are left, and are served."""
    tenants = [chr(ord("A") + number) for number in range(40)]
    tickets = {tenant: [call(tenant) for _ in range(100)] for tenant in tenants}
    queue = queue_of(*(ticket for each in tickets.values() for ticket in each))
    for number in range(99):
        for tenant in tenants:
            cancel(queue, tickets[tenant][number])
    assert queue.waiting == 40
    lanes = [lane for band in queue.bands.values() for lane in band.lanes.values()]
    assert sum(len(line) for lane in lanes for line in lane.lines.values()) < 400
    assert {grant(queue).tenant for _ in range(40)} == set(tenants)


def test_ends_come_in_their_order_however_many_there_are() -> None:
    """Twenty thousand, nine of ten of which go; the others are due one after the other, and nothing is left."""
    dice, ends = random.Random(1), Ends()
    assert (ends.due(now_ns=0), ends.next_ns()) == (None, None)
    first = [call(rank=number) for number in range(20_000)]
    for ticket in first:
        ends.add(ticket, dice.randrange(10**6))
    for ticket in first:
        if ticket.seq % 10:
            ticket.state = State.ENDED
    later = [call(rank=number) for number in range(20_000, 41_000)]
    for ticket in later:
        ends.add(ticket, 10**6 + dice.randrange(10**6))
        ticket.state = State.ENDED if ticket.seq % 10 else ticket.state
    assert len(ends) < 20_000
    assert ends.due(now_ns=-1) is None

    seen, at_ns = [], ends.next_ns()
    while at_ns is not None:
        found = ends.due(now_ns=at_ns)
        assert found is not None
        seen.append((at_ns, found.seq))
        at_ns = ends.next_ns()
    assert [instant for instant, _ in seen] == sorted(instant for instant, _ in seen)
    assert {number for _, number in seen} == set(range(0, 41_000, 10))
    assert len(ends) == 0
