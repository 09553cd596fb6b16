"""
The servers and jobs that are raced, with what is asked of us in each.

Limits are never told to us; every peer is told them, as the server has them at the start.

What is fair about the four in which no limit alone decides:

* **F**. The other spender insists: a burst of its calls is charged whatever is left, as by a
  job that asks until it got what it wants. So what is left is the same for everybody,
  and nobody is sooner by starving the other. No client is told of it.
* **G**. The limits fall to a third at 4 s and are whole again at 10 s, and every answer and
  every refusal says so in its headers. The limits a peer was told are the whole ones. What
  the server gives back when a limit rises (it remembers what was used, so the room grows
  by the difference at once) is there for everybody.
* **H**. Six rows of sixty want a fifth of a minute's tokens each. Rows may be sent in any
  order; the ideal is the same for all orders, because no bucket is ever full again.
* **I**. One call in twenty goes wrong after it was charged: a 500, a reset connection, a body
  that breaks off. The ideal pays for the repetition too. Which calls go wrong is drawn
  by the seed from the number of the call, so all meet the same bad luck.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ratelimit_client.core.quota import Quotas, per_minute
from ratelimit_client.testing.conduct import Change, Faults, Outsiders
from ratelimit_client.testing.enforcement import fixed, sliced

from .rows import Rows, mixed, plain, sized, some_heavy


@attrs.frozen(kw_only=True, eq=False)
class Scenario:
    """
    Args:
        name, says: the letter of the scenario, and what it is.
        rows: the input, by seed.
        limits: what the server holds; *server* the rest of its conduct.
        in_flight: --max-in-flight, None for the default.
        seconds_at_most, ratio_at_most, refused_at_most, calls_at_most: the bounds; None where there is none.
        exit_code: of our run.
        raced: whether peers run it too.
    """

    name: str
    says: str
    rows: Rows
    limits: Quotas
    server: Mapping[str, Any]
    in_flight: int | None = 64
    seconds_at_most: float | None = None
    ratio_at_most: float | None = None
    refused_at_most: int | None = None
    calls_at_most: int | None = None
    exit_code: int = 0
    raced: bool = True

    def per_minute(self, unit: str) -> int | None:
        """The limit of *unit* as a peer is told it; None where it has none worth telling."""
        return next((quota.amount for quota in self.limits if quota.unit == unit and quota.amount < _NO_LIMIT), None)


_NO_LIMIT = 100_000
"""Requests a minute beside token limits: so many that nobody meets them."""

_QUICK = {"latency": 0.15, "refusal_latency": 0.02}
_SLICES = {**_QUICK, "enforcement": sliced(5)}

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="requests",
        says="3000 requests/min, answers of 0.5 s, 4000 rows",
        rows=plain(4000),
        limits=per_minute(requests=3000),
        server={"latency": 0.5},
        in_flight=None,
        ratio_at_most=1.03,
        refused_at_most=10,
        raced=False,
    ),
    Scenario(
        name="tokens",
        says="300 000 tokens/min, answers of 0.5 s, 2000 rows of 40 to 4000 characters",
        rows=mixed(2000, 40, 4000),
        limits=per_minute(requests=_NO_LIMIT, tokens=300_000),
        server={"latency": 0.5},
        in_flight=None,
        ratio_at_most=1.04,
        refused_at_most=10,
        raced=False,
    ),
    Scenario(
        name="A",
        says="300 requests/min, 400 rows",
        rows=plain(400),
        limits=per_minute(requests=300),
        server=_QUICK,
        seconds_at_most=20.5,
        refused_at_most=9,
    ),
    Scenario(
        name="B",
        says="1200 requests/min in slices of 5 s, 300 rows",
        rows=plain(300),
        limits=per_minute(requests=1200),
        server=_SLICES,
        seconds_at_most=11.0,
        refused_at_most=9,
    ),
    Scenario(
        name="C",
        says="60 000 tokens/min, 360 rows",
        rows=sized(360, 830),
        limits=per_minute(requests=_NO_LIMIT, tokens=60_000),
        server=_QUICK,
        seconds_at_most=16.5,
        refused_at_most=9,
    ),
    Scenario(
        name="D",
        says="every answer insufficient_quota, 20 rows",
        rows=plain(20),
        limits=per_minute(requests=1200),
        server={"latency": 0.15, "quota_after": 0},
        calls_at_most=4,
        exit_code=3,
    ),
    Scenario(
        name="E",
        says="B without any rate-limit or retry header",
        rows=plain(300),
        limits=per_minute(requests=1200),
        server={**_SLICES, "headers": False},
        seconds_at_most=12.0,
        refused_at_most=40,
    ),
    Scenario(
        name="F",
        says="B beside a spender who takes 40 requests at once every 4 s, half of the limit; 280 rows",
        rows=plain(280),
        limits=per_minute(requests=1200),
        server={**_SLICES, "outsiders": Outsiders(burst=40, every_s=4, insist=True)},
    ),
    Scenario(
        name="G",
        says="B with a third of the limits from 4 s to 10 s, as the headers say; 340 rows",
        rows=plain(340),
        limits=per_minute(requests=1200),
        server={**_SLICES, "changes": (Change(4, per_minute(requests=400)), Change(10, per_minute(requests=1200)))},
    ),
    Scenario(
        name="H",
        says="60 000 tokens/min, 60 rows of which 6 want 12 000 tokens each",
        rows=some_heavy(60, 6, 300, 48_000),
        limits=per_minute(requests=_NO_LIMIT, tokens=60_000),
        server=_QUICK,
    ),
    Scenario(
        name="I",
        says="300 requests/min, 370 rows; of the calls 5 % end in a 500, a reset or a torn body",
        rows=plain(370),
        limits=per_minute(requests=300),
        server={**_QUICK, "faults": Faults(server_error=0.02, reset=0.015, truncated=0.015)},
    ),
    Scenario(
        name="B, fixed",
        says="B with slices that are fixed windows",
        rows=plain(300),
        limits=per_minute(requests=1200),
        server={**_SLICES, "enforcement": fixed(5)},
        raced=False,
    ),
    Scenario(
        name="B, 150 ms",
        says="B with refusals after 150 ms",
        rows=plain(300),
        limits=per_minute(requests=1200),
        server={**_SLICES, "refusal_latency": 0.15},
        raced=False,
    ),
)


def named(names: set[str] | frozenset[str]) -> tuple[Scenario, ...]:
    """The scenarios of those names, all without a name; ValueError for a name there is not."""
    unknown = names - {each.name for each in SCENARIOS}
    if unknown:
        raise ValueError(f"no such scenario: {', '.join(sorted(unknown))}")
    return tuple(each for each in SCENARIOS if not names or each.name in names)
