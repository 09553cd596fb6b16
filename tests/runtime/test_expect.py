"""Limits that an earlier run knew, told to a limiter."""

from __future__ import annotations

import asyncio

from ratelimit_client import Limiter, per_minute
from ratelimit_client.testing import ManualClock


def test_what_is_expected_holds_until_the_server_speaks() -> None:
    """
    It is shown as a prior, bounds the first calls, and goes with the first reading.
    """
    asyncio.run(expecting())


async def expecting() -> None:
    limiter = Limiter(dialect="openai", clock=ManualClock())
    limiter.expect("m", per_minute(requests=100))
    limiter.expect("n", "2 requests/min")

    assert limiter.statistics().keys["m"].buckets["requests"].source == "prior"
    assert limiter.explain("n", tokens=1).admissible
    async with limiter.permit(key="m", tokens=1) as permit:
        permit.observe(200, {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499"})
    bucket = limiter.statistics().keys["m"].buckets["requests"]
    assert (bucket.limit, bucket.source) == (500, "header")
