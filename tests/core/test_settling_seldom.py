"""Asking first whether a use counts spares the work and changes nobody's turn."""

from __future__ import annotations

import heapq
import itertools
import random
from typing import Any

import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.settling import matters
from ratelimit_client.core.signals import Reading, Signals
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from tests.core.driving import scheduler

TENANTS = {"much": 2000, "little": 100}  # tokens that a call uses, of the 500 that each is charged


def story(*, always: bool, workers: int, slots: int, rest_ns: int) -> tuple[list[tuple[int, str]], int]:
    """
    Every grant of two tenants in one minute, and how many uses were settled.

    Each worker makes one call after the other. The server shows its tokens, so that a use moves no level.
    """
    machine = scheduler(per_minute(requests=120, tokens=60_000), slots=slots)
    dice, ranks, log = random.Random(1), itertools.count(), []
    events: list[tuple[int, int, str | Ticket | None]] = [
        (0, next(ranks), tenant) for _ in range(workers) for tenant in TENANTS
    ]
    level, looked_ns, settled = 60_000 * S, 0, 0

    def granted(ticket: Any, now_ns: int) -> None:
        log.append((now_ns, ticket.tenant))
        heapq.heappush(events, (now_ns + dice.randrange(S // 4, S), next(ranks), ticket))

    while events and events[0][0] < 60 * S:
        now_ns, _, what = heapq.heappop(events)
        if isinstance(what, str):
            ticket = machine.submit("m", cost=Cost(tokens=500), tenant=what, now_ns=now_ns)
            if ticket.state is State.GRANTED:
                granted(ticket, now_ns)
        elif what is not None:
            level, looked_ns = min(60_000 * S, level + (now_ns - looked_ns) * 1000) - 500 * S, now_ns
            shown = Reading(limit=60_000, remaining=max(0, level // S))
            machine.observe(what, Signals(200, readings={"tokens": shown}), now_ns=now_ns)
            if always or matters(machine, machine.keys["m"], "tokens", now_ns=now_ns):
                machine.settle(what, {"tokens": TENANTS[what.tenant]}, now_ns=now_ns)
                settled += 1
            machine.release(what, Ending.SUCCEEDED, now_ns)
            heapq.heappush(events, (now_ns + dice.randrange(rest_ns + 1), next(ranks), what.tenant))
        for ticket in machine.poll(now_ns=now_ns).granted:
            granted(ticket, now_ns)
        if (wake_ns := machine.next_wakeup()) is not None:
            heapq.heappush(events, (max(wake_ns, now_ns + 1), next(ranks), None))
    return log, settled


@pytest.mark.parametrize(
    ("workers", "slots", "rest_ns"), [(1, 1, 0), (2, 2, 0), (5, 10, 0), (5, 2, S), (3, 3, 3 * S), (2, 1, 20 * S)]
)
def test_the_turns_are_the_same_whether_uses_are_settled_always_or_where_they_count(
    workers: int, slots: int, rest_ns: int
) -> None:
    """Two tenants whose calls use 2000 and 100 tokens: busy, or with rests in which one is alone."""
    always, _ = story(always=True, workers=workers, slots=slots, rest_ns=rest_ns)
    asked, _ = story(always=False, workers=workers, slots=slots, rest_ns=rest_ns)
    assert asked == always
    assert len({tenant for _, tenant in asked}) == 2


def test_where_nobody_waits_hardly_a_use_is_settled() -> None:
    """There are no turns to be changed; that is what asking is for."""
    log, settled = story(always=False, workers=1, slots=4, rest_ns=S)
    assert 0 <= settled < len(log) // 2
