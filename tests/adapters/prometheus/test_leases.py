"""What a store does for its limiters, at a scrape."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, generate_latest

from ratelimit_client import Limiter, StoreUnavailable, per_minute
from ratelimit_client.adapters.prometheus import watch
from ratelimit_client.core.lease import Call, Lease
from ratelimit_client.runtime.store import InProcessStore


class Wavering(InProcessStore):
    """There, or not."""

    fails = False

    async def renew(self, call: Call) -> list[Lease]:
        if self.fails:
            raise StoreUnavailable("nobody there")
        return list(await super().renew(call))


def test_errors_latencies_and_whether_it_is_lost_are_shown() -> None:
    """Of limiters of one name together; of a limiter without a store nothing; and no bucket twice."""

    async def story() -> tuple[str, str]:
        store, registry = Wavering(), CollectorRegistry()
        limiters = [Limiter(per_minute(requests=60), store=store, name="shared") for _ in range(2)]
        watch(alone := Limiter(per_minute(requests=60), name="alone"), registry)
        async with alone.permit():
            pass
        without = generate_latest(registry).decode()
        for limiter in limiters:
            watch(limiter, registry)
            async with limiter.permit("m"):
                pass
        store.fails = True
        assert limiters[0].sharing is not None
        limiters[0].sharing._ring()
        for _ in range(10):
            await asyncio.sleep(0)
        return without, generate_latest(registry).decode()

    without, shown = asyncio.run(story())

    assert "shared_budget" not in without
    labels = '{client="shared",op="renew"}'
    assert f"ratelimit_client_shared_budget_errors_total{labels} 1.0" in shown
    assert f"ratelimit_client_shared_budget_fallback{labels} 1.0" in shown
    assert f"ratelimit_client_shared_budget_latency_seconds_count{labels} 2.0" in shown
    assert "leased" not in shown
    assert 'client="shared",limit="requests"' in shown
