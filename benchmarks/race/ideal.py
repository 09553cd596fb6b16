"""
The least time a server allows: a client in virtual time that is told when it may ask.

Law of this file: the ideal is found by asking the server itself. A fresh model server of the
same seed is stepped through time; whoever plays the client looks into its meters, sends
the next row at the first instant at which it passes, is never refused, and learns of a fault
when the answer would have come. For a plain bucket that is (cost - burst) / rate + one
answer; where limits change, others spend or calls go wrong it is the same integral with
the server's own arithmetic, so nobody has to trust a second one.

Several calls may be under way at once without a bound: what the peers' bound on calls in
flight costs them, it costs them.
"""

from __future__ import annotations

import copy
import functools
import heapq
from collections import deque
from collections.abc import Mapping
from typing import Any

from ratelimit_client.core.units import NS
from ratelimit_client.testing.account import pays
from ratelimit_client.testing.charging import Ask
from ratelimit_client.testing.conduct import Change
from ratelimit_client.testing.endpoints import ENDPOINTS
from ratelimit_client.testing.model_server import ModelServer

from .scenarios import SCENARIOS, Scenario

_STEP_NS = 2_000_000
_BOUND_NS = 600 * NS


@functools.cache
def ideal_s(name: str, seed: int) -> float:
    """Seconds from the first row to the last answer; of one answer where no row can be answered."""
    return of(next(each for each in SCENARIOS if each.name == name), seed)


def of(scenario: Scenario, seed: int) -> float:
    """The same for a scenario of one's own."""
    if "quota_after" in scenario.server:
        return float(scenario.server["latency"])
    conduct = dict(scenario.server)
    changes: tuple[Change, ...] = conduct.pop("changes", ())
    server = ModelServer(scenario.limits, seed=seed, **conduct)
    waiting = deque(_ask(row["body"]) for row in scenario.rows(seed))
    due = deque(sorted(changes, key=lambda change: change.at_s))
    failing: list[tuple[int, int, Ask]] = []
    now_ns = end_ns = 0
    while waiting or failing:
        while due and due[0].at_s * NS <= now_ns:
            server.set_limits(due.popleft().limits, now_ns=now_ns)
        while failing and failing[0][0] <= now_ns:
            waiting.append(heapq.heappop(failing)[2])
        while waiting and _passes(server, waiting[0], now_ns):
            ask = waiting.popleft()
            answer = server.decide(ask, now_ns=now_ns)
            if not answer.admitted:
                raise RuntimeError(f"{scenario.name}: refused although its meters had room")
            end_ns = now_ns + answer.latency_ns
            if not answer.ok:
                heapq.heappush(failing, (end_ns, answer.number, ask))
        now_ns += _STEP_NS
        if now_ns > _BOUND_NS:
            raise RuntimeError(f"{scenario.name}: no end in sight")
    return end_ns / NS


def _ask(body: Mapping[str, Any]) -> Ask:
    return ENDPOINTS["chat/completions"].read(copy.deepcopy(dict(body)))


def _passes(server: ModelServer, ask: Ask, now_ns: int) -> bool:
    account = server.accounts.get(ask.model)
    if account is None:  # opened, full, by its first call
        return True
    account.advance(now_ns=now_ns)
    tokens = server.charge(ask)
    return all(meter.wait_ns(pays(meter.unit, 1, tokens, {})) == 0 for meter in account.meters)
