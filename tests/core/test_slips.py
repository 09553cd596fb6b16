from __future__ import annotations

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S

OPENAI = ServerProfile(pays={"requests": "requests", "tokens": "tokens"}, refill=Refill.CONTINUOUS, reset_is_exact=True)


def scheduler() -> Scheduler:
    """One that knows no limit yet."""
    return Scheduler(profile=OPENAI, max_in_flight=100, dice=lambda: 0.5, now_ns=0)


def call(machine: Scheduler, tokens: int, signals: Signals, *, now_ns: int) -> Ticket:
    """One call from its submission to its end, answered at once."""
    ticket = machine.submit("m", cost=Cost(tokens=tokens), now_ns=now_ns)
    assert ticket.state is State.GRANTED
    machine.observe(ticket, signals, now_ns=now_ns)
    machine.release(ticket, Ending.IGNORED, now_ns=now_ns)
    return ticket


def test_a_slip_in_a_cost_leaves_no_debt_of_hours() -> None:
    """
    A call that states fifty times the limit is charged one full bucket, which a minute repays.

    The server refuses it (too large, or a plain 400) and charges nothing, so no
    reading would ever come to put a larger debt right.
    """
    machine = scheduler()
    shows = Signals(200, readings={"tokens": Reading(200_000, 199_900, 0.03)})
    call(machine, 100, shows, now_ns=0)

    call(machine, 10_000_000, Signals(400, Reason.CLIENT_ERROR, retryable=False), now_ns=S // 10)

    assert machine.next_wakeup() in (0, None)
    later = machine.submit("m", cost=Cost(tokens=100), now_ns=S // 5)
    while later.state is State.QUEUED:
        machine.poll(now_ns=max(S // 5, machine.next_wakeup() or 0))
        assert (machine.next_wakeup() or 0) < 62 * S


def test_an_exhausted_quota_lets_nobody_else_walk_into_it() -> None:
    """
    One answer says that the account is out of money; for a second no further call goes.
    """
    machine = scheduler()
    broke = Signals(429, Reason.QUOTA_EXHAUSTED, retryable=False)

    call(machine, 100, broke, now_ns=0)
    later = machine.submit("m", cost=Cost(tokens=100), now_ns=1)
    machine.poll(now_ns=1)

    assert later.state is State.QUEUED
    assert machine.next_wakeup() == S
    machine.poll(now_ns=S)
    assert later.state is State.GRANTED
