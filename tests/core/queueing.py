"""Short words for what happens to a queue."""

from __future__ import annotations

from ratelimit_client.core.cost import Cost
from ratelimit_client.core.queue import FairQueue
from ratelimit_client.core.ticket import State, Ticket

ONE = Cost()
_numbers = iter(range(1, 10**9))


def call(tenant: str = "", *, priority: int = 0, cost: Cost = ONE, share: int = 10, rank: int | None = None) -> Ticket:
    """A ticket that waits; a *share* of 10 is as good as any where all are equal."""
    ticket = Ticket(next(_numbers) if rank is None else rank, "gpt-4o", tenant, priority, cost, None, None, 0)
    ticket.share = share
    return ticket


def queue_of(*tickets: Ticket, now_ns: int = 0) -> FairQueue:
    queue = FairQueue()
    for ticket in tickets:
        queue.push(ticket, now_ns=now_ns)
    return queue


def grant(queue: FairQueue, ticket: Ticket | None = None) -> Ticket:
    """Let the first go, or another one that may pass by."""
    ticket = ticket or queue.first()
    assert ticket is not None
    queue.take(ticket)
    ticket.state, ticket.order = State.GRANTED, 0
    return ticket


def cancel(queue: FairQueue, ticket: Ticket) -> None:
    ticket.state = State.ENDED
    queue.remove(ticket)


def turns(queue: FairQueue, number: int) -> str:
    """The tenants of the next grants, one letter each."""
    return "".join(grant(queue).tenant for _ in range(number))


def send_back(queue: FairQueue, ticket: Ticket, not_before_ns: int, *, now_ns: int = 0) -> None:
    ticket.state, ticket.not_before_ns = State.QUEUED, not_before_ns
    queue.push(ticket, now_ns=now_ns)
