"""A budget for several limiters of one process."""

from __future__ import annotations

import asyncio

from ratelimit_client.core.lease import BucketId, Call, Fact, Renewal, Wish
from ratelimit_client.runtime.store import BudgetStore, InProcessStore


def test_the_store_of_one_process_lends_what_is_there() -> None:
    """To several who ask; each keeps what it was lent."""

    def asking(process: str) -> Call:
        fact = Fact(id=BucketId("requests", "requests", 60_000_000), limit=8, capacity=8, level=8)
        wishes = (Wish(unit="requests", spent=0, wants=5),)
        renewal = Renewal(budget="b", facts=(fact,), wishes=wishes)
        return Call(process=process, number=1, ttl_us=10**6, renewals=(renewal,))

    async def main() -> None:
        store = InProcessStore()
        assert isinstance(store, BudgetStore)
        lent = [(await store.renew(asking(process)))[0].grants[0].units for process in ("a", "b")]
        assert lent == [5, 3]
        await store.close()
        assert repr(store) == "<InProcessStore>"

    asyncio.run(main())
