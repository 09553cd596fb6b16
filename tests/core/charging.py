"""A budget in the hand of a test: calls that are charged, and answers that are read."""

from __future__ import annotations

import attrs

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.budget import Budget
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.lines import Line
from ratelimit_client.core.profile import ServerProfile
from ratelimit_client.core.quota import Quota
from ratelimit_client.core.signals import Reading, Signals
from ratelimit_client.core.ticket import Ticket
from ratelimit_client.core.units import NS as S
from tests.core.driving import OPENAI

MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S


@attrs.define
class Key:
    """A budget and the calls it is charged for, in order."""

    budget: Budget
    order: int = 0

    def charge(self, requests: int = 1, *, now_ns: int = 0, jitter_ns: int = 0, **units: int) -> Ticket:
        self.order += 1
        ticket = Ticket(self.order, "m", "", 0, Cost(requests, **units), None, None, now_ns)
        ticket.order, ticket.granted_ns = self.order, now_ns
        self.budget.charge(ticket, jitter_ns=jitter_ns, now_ns=now_ns)
        return ticket

    def read(self, *, refused: bool = False, now_ns: int = 0, **readings: Reading) -> list[Line]:
        """Charge a call whose answer shows these; the lines that learnt something."""
        ticket = self.charge(now_ns=now_ns)
        signals = Signals(200, readings=readings)
        return [
            line for line, _ in self.budget.read(ticket, signals, refused=refused, jitter_ns=0, now_ns=now_ns)
        ]

    def buckets(self, unit: str = "requests", *, now_ns: int = 0) -> list[tuple[int, int, int]]:
        """(limit, seconds of the window, level) of every bucket in force."""
        return [
            (bucket.limit, bucket.window_ns // S, bucket.level(now_ns=now_ns))
            for bucket in self.budget.by_unit.get(unit, ())
        ]


def key(*quotas: Quota, profile: ServerProfile = OPENAI, shared: list[Bucket] | None = None) -> Key:
    budget = Budget(profile, shared or [])
    budget.set_quotas(quotas, now_ns=0)
    return Key(budget)
