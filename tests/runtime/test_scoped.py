"""Clients of one limiter, before and after they turn out to be one organization's."""

from __future__ import annotations

import asyncio

import pytest

from ratelimit_client import Limiter, Signals, per_minute
from ratelimit_client.runtime.scoped import Scoped
from ratelimit_client.testing import run_virtual
from tests.runtime.torture import at_rest

ORIGIN = "https://api.example"


def two_of(limiter: Limiter) -> tuple[Scoped, Scoped]:
    return limiter.scope(ORIGIN, credential=b"a"), limiter.scope(ORIGIN, credential=b"b")


def named(organization: str | None) -> Signals:
    return Signals(200, organization=organization)


def test_who_waits_by_either_name_is_woken() -> None:
    """In the order of coming; one that is cancelled leaves the queue of both, and the ledger is even."""

    async def story() -> list[str]:
        limiter = Limiter(per_minute(requests=6))
        one, two = two_of(limiter)
        woken: list[str] = []
        clock = asyncio.get_running_loop().time
        began = clock()

        async def call(scoped: Scoped, name: str) -> None:
            async with limiter.permit(key=scoped.key("m"), tenant="all"):
                woken.append(f"{name} {clock() - began:.0f}")

        for scoped in (one, two):
            async with limiter.permit(key=scoped.key("m"), cost={"requests": 6}):
                pass
        waiting = [asyncio.create_task(call(scoped, name)) for scoped, name in ((two, "a"), (one, "b"), (two, "c"))]
        gone = asyncio.create_task(call(two, "gone"))
        await asyncio.sleep(0)
        one.heard(named("acme"), sent_ns=limiter._clock.monotonic_ns())
        two.heard(named(None), sent_ns=limiter._clock.monotonic_ns())
        assert (one.number, two.number, repr(two)) == (1, 2, "<Scoped @2>")
        two.heard(named("acme"), sent_ns=limiter._clock.monotonic_ns())
        assert (two.number, two.key("m")) == (1, "m")
        gone.cancel()
        await asyncio.gather(*waiting)
        assert limiter.statistics().keys.keys() == limiter.waiting().keys() == {"m"}
        assert limiter.statistics().keys["m"].granted == 5
        at_rest(limiter)
        return woken

    assert run_virtual(story)[0] == ["a 11", "b 21", "c 31"]  # and a reserve of 0.06 calls


def test_an_answer_that_is_no_news_changes_nothing() -> None:
    """Nor does one to a call that was sent before the last news."""

    async def story() -> None:
        limiter = Limiter()
        one, _ = two_of(limiter)
        for organization in ("acme", "acme", "beta"):
            one.heard(named(organization), sent_ns=0)
        assert one.number == 1

    run_virtual(story)


@pytest.mark.parametrize("key", ["m", "m @2"])
def test_permits_out_are_counted_for_a_key_and_for_one_of_its_scopes(key: str) -> None:
    """By the name of the key those of all scopes, by that in a scope those in it."""

    async def story() -> int:
        limiter = Limiter()
        one, two = two_of(limiter)
        async with limiter.permit(key=one.key("m")), limiter.permit(key=two.key("m")):
            return limiter.in_flight_of(key)

    assert run_virtual(story)[0] == (2 if key == "m" else 1)
