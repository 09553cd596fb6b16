"""
The servers and jobs that are raced, with what is asked of each.

*ideal* is (total cost - burst) / rate + one answer: what a client that knew the
server's mind would take. Limits are never told to the client.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ratelimit_client.core.quota import Quotas, per_minute
from ratelimit_client.testing.charging import by_characters
from ratelimit_client.testing.enforcement import fixed, sliced

Rows = Callable[[int], list[dict[str, Any]]]


def _row(number: int, text: str) -> dict[str, Any]:
    body = {"model": "gpt-4o-2024-08-06", "user": f"row-{number}", "messages": [{"role": "user", "content": text}]}
    return {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def plain(count: int) -> Rows:
    """So many small rows."""
    return lambda seed: [_row(number, f"Say the number {number} in words.") for number in range(count)]


def sized(count: int, chars: int) -> Rows:
    """So many rows of one size."""
    return lambda seed: [_row(number, (f"{number}: " + "lorem ipsum " * chars)[:chars]) for number in range(count)]


def mixed(count: int, least: int, most: int) -> Rows:
    """So many rows of very different sizes (log-uniform)."""

    def rows(seed: int) -> list[dict[str, Any]]:
        dice = random.Random(seed)
        sizes = [int(least * (most / least) ** dice.random()) for _ in range(count)]
        return [_row(number, (f"{number}: " + "lorem ipsum " * size)[:size]) for number, size in enumerate(sizes)]

    return rows


@attrs.frozen(kw_only=True)
class Scenario:
    """
    Args:
        name, says: the letter of the scenario, and what it is.
        rows: the input, by seed.
        limits: what the server holds; *server* the rest of its conduct.
        unit: the unit that binds.
        burst: units in its bucket at the start.
        in_flight: --max-in-flight, None for the default.
        seconds_at_most, ratio_at_most, refused_at_most: the bounds; None where there is none.
        exit_code: of the run.
    """

    name: str
    says: str
    rows: Rows
    limits: Quotas
    server: Mapping[str, Any] = attrs.field(factory=dict)
    unit: str = "requests"
    burst: int = 0
    answer_s: float = 0.15
    in_flight: int | None = 64
    seconds_at_most: float | None = None
    ratio_at_most: float | None = None
    refused_at_most: int | None = None
    calls_at_most: int | None = None
    exit_code: int = 0

    def cost(self, rows: list[dict[str, Any]]) -> int:
        """Units of *unit* the rows cost together, as the server charges."""
        if self.unit == "requests":
            return len(rows)
        return sum(_charged(row) for row in rows)

    def ideal_s(self, rows: list[dict[str, Any]]) -> float:
        """The least time the server allows."""
        quota = next(quota for quota in self.limits if quota.unit == self.unit)
        rate = quota.amount / quota.window_s
        return max(0.0, self.cost(rows) - self.burst) / rate + self.answer_s


def _charged(row: dict[str, Any]) -> int:
    from ratelimit_client.testing.endpoints import ENDPOINTS

    return by_characters(ENDPOINTS["chat/completions"].read(json.loads(json.dumps(row["body"]))))


_SLICES = {"enforcement": sliced(5), "latency": 0.15, "refusal_latency": 0.02}

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="requests",
        says="3000 requests/min, answers of 0.5 s, 4000 rows",
        rows=plain(4000),
        limits=per_minute(requests=3000),
        server={"latency": 0.5},
        burst=3000,
        answer_s=0.5,
        in_flight=None,
        ratio_at_most=1.03,
        refused_at_most=10,
    ),
    Scenario(
        name="tokens",
        says="300 000 tokens/min, answers of 0.5 s, 2000 rows of 40 to 4000 characters",
        rows=mixed(2000, 40, 4000),
        limits=per_minute(requests=100_000, tokens=300_000),
        server={"latency": 0.5},
        unit="tokens",
        burst=300_000,
        answer_s=0.5,
        in_flight=None,
        ratio_at_most=1.04,
        refused_at_most=10,
    ),
    Scenario(
        name="A",
        says="300 requests/min, 400 rows",
        rows=plain(400),
        limits=per_minute(requests=300),
        server={"latency": 0.15, "refusal_latency": 0.02},
        burst=300,
        seconds_at_most=20.5,
        refused_at_most=9,
    ),
    Scenario(
        name="B",
        says="1200 requests/min in slices of 5 s, 300 rows",
        rows=plain(300),
        limits=per_minute(requests=1200),
        server=_SLICES,
        burst=100,
        seconds_at_most=11.0,
        refused_at_most=9,
    ),
    Scenario(
        name="C",
        says="60 000 tokens/min, 360 rows",
        rows=sized(360, 830),
        limits=per_minute(requests=100_000, tokens=60_000),
        server={"latency": 0.15, "refusal_latency": 0.02},
        unit="tokens",
        burst=60_000,
        seconds_at_most=16.5,
        refused_at_most=9,
    ),
    Scenario(
        name="D",
        says="every answer insufficient_quota, 20 rows",
        rows=plain(20),
        limits=per_minute(requests=1200),
        server={"latency": 0.15, "quota_after": 0},
        burst=1200,
        calls_at_most=4,
        exit_code=3,
    ),
    Scenario(
        name="E",
        says="B without any rate-limit or retry header",
        rows=plain(300),
        limits=per_minute(requests=1200),
        server={**_SLICES, "headers": False},
        burst=100,
        seconds_at_most=12.0,
        refused_at_most=40,
    ),
    Scenario(
        name="B, fixed",
        says="B with slices that are fixed windows",
        rows=plain(300),
        limits=per_minute(requests=1200),
        server={**_SLICES, "enforcement": fixed(5)},
        burst=100,
    ),
    Scenario(
        name="B, 150 ms",
        says="B with refusals after 150 ms",
        rows=plain(300),
        limits=per_minute(requests=1200),
        server={**_SLICES, "refusal_latency": 0.15},
        burst=100,
    ),
)
