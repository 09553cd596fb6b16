"""The budget of one process: what is wanted is had."""

from __future__ import annotations

import asyncio

from ratelimit_client.runtime.store import BudgetStore, InProcessStore, Renewal


def test_the_store_of_one_process_grants_every_wish() -> None:
    """For good, because nobody else draws on it."""

    async def main() -> None:
        store = InProcessStore()
        assert isinstance(store, BudgetStore)
        lease = await store.renew(Renewal(budget="b", wanted={"requests": 5}, spent={"requests": 3}))
        assert (lease.units, lease.expires_in_us) == ({"requests": 5}, None)
        await store.close()
        assert repr(store) == "<InProcessStore>"

    asyncio.run(main())
