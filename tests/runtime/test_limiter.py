"""The door: what a person types, and what the limiter tells about itself."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import pytest

from ratelimit_client import (
    ConfigurationError,
    InvalidQuota,
    Limiter,
    Quota,
    per_day,
    per_hour,
    per_minute,
    per_second,
)
from ratelimit_client.core.events import Event, Kind
from ratelimit_client.testing import ManualClock
from tests.runtime.torture import at_rest, level, virtual

# -- set up -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quotas",
    [
        per_hour(requests=60, tokens=1000),
        [Quota("requests", 60, 3600), "1000 tokens/hour"],
        Quota.parse("60 requests/hour") + Quota.parse("1k tokens/hour"),
        {"*": "60 requests/hour", "default": per_hour(requests=60, tokens=1000)},
    ],
)
def test_quotas_can_be_typed_in_many_ways(quotas: Any) -> None:
    """Quotas, text, lists of both, or a mapping by key: the same buckets."""

    async def main() -> None:
        limiter = Limiter(quotas)
        async with limiter.permit(tokens=100):
            pass
        assert (level(limiter), level(limiter, "tokens")) == (59, 900)

    virtual(main)


def test_quotas_hold_for_each_key_and_shared_ones_over_all() -> None:
    """Two keys have sixty each; the shared hundred is one."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), shared=per_day(requests=100))
        for key in ("a", "b", "b"):
            async with limiter.permit(key):
                pass
        keys = limiter.statistics().keys
        assert (keys["a"].buckets["requests"].level, keys["b"].buckets["requests"].level) == (59, 58)
        assert keys["a"].buckets["shared requests"].level == 97

    virtual(main)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"quotas": "lots"}, InvalidQuota),
        ({"quotas": {"a": "lots"}}, InvalidQuota),
        ({"shared": "lots"}, InvalidQuota),
        ({"max_in_flight": 0}, ConfigurationError),
        ({"max_in_flight": 1.5}, ConfigurationError),
        ({"max_queue": -1}, ConfigurationError),
        ({"dialect": "klingon"}, LookupError),
        ({"pacing": 0}, ConfigurationError),
    ],
)
def test_what_cannot_be_is_refused_at_once(wrong: dict[str, Any], error: type[Exception]) -> None:
    """A typing error is found in the constructor."""
    with pytest.raises(error):
        Limiter(**wrong)


def test_max_in_flight_leaves_files_for_others() -> None:
    """Without a number: 2000, or what the open-file limit allows less 128."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for limit, most in ((512, 384), (64, 1), (4096, 2000)):
            if hard != resource.RLIM_INFINITY and limit > hard:
                continue
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit, 64), hard))
            assert Limiter()._max_in_flight == most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert Limiter(max_in_flight=7)._max_in_flight == 7


def test_max_in_flight_is_over_all_keys() -> None:
    """Two keys share three places."""

    async def main() -> None:
        limiter = Limiter(max_in_flight=3)
        most = 0

        async def call(key: str) -> None:
            nonlocal most
            async with limiter.permit(key):
                most = max(most, limiter.in_flight)
                await asyncio.sleep(1)

        await asyncio.gather(*(call(key) for key in "ababab"))
        assert most == 3
        at_rest(limiter)

    virtual(main)


# -- what it tells ------------------------------------------------------------------------------


def test_it_explains_what_a_call_would_wait_for() -> None:
    """Admissible, or when and why not, as fields and as a sentence."""

    async def main() -> None:
        limiter = Limiter(per_second(requests=1), name="openai")
        assert limiter.explain(tokens=5).admissible
        async with limiter.permit():
            pass
        explanation = limiter.explain()
        assert not explanation.admissible
        assert explanation.binding == "requests"
        assert explanation.ready_in_s == pytest.approx(1, abs=0.05)
        assert str(explanation) == explanation.reason
        impossible = limiter.explain(cost={"requests": 2})
        assert (impossible.admissible, impossible.ready_in_s) == (False, None)

    virtual(main)


def test_it_explains_what_the_first_in_line_waits_for_and_its_own_end() -> None:
    """Nobody, then the one that waits; draining and closed, no call helps itself by waiting."""

    async def main() -> None:
        limiter = Limiter(per_second(requests=1))
        assert limiter.explain_first() is None
        waiting = [asyncio.create_task(limiter.call(asyncio.sleep, 0)) for _ in range(2)]
        await asyncio.sleep(0.25)
        first = limiter.explain_first()
        assert first is not None
        assert (first.binding, first.ready_in_s) == ("requests", pytest.approx(0.75, abs=0.05))
        assert "it has waited 0.2 s" in str(first)
        draining = asyncio.create_task(limiter.drain())
        await asyncio.sleep(0)
        assert (limiter.explain().binding, limiter.explain("new").binding) == ("draining", "draining")
        await asyncio.gather(draining, *waiting)
        await limiter.close()
        assert limiter.explain().binding == "closed"

    virtual(main)


def test_statistics_have_names_keys_and_totals() -> None:
    """A snapshot per key, and the sums."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), name="n", max_in_flight=1)
        async with limiter.permit("a"):
            waiting = asyncio.ensure_future(_enter(limiter, "b"))
            await asyncio.sleep(1)
            statistics = limiter.statistics()
            assert (statistics.name, statistics.queued, statistics.in_flight) == ("n", 1, 1)
            assert statistics.keys["b"].oldest_wait_s == pytest.approx(1)
            assert statistics.keys["a"].granted == 1
        await waiting

    virtual(main)


async def _enter(limiter: Limiter, key: str | None = None) -> None:
    async with limiter.permit(key):
        pass


def test_whoever_feeds_calls_in_is_told_when_one_was_let_out() -> None:
    """on_room() is called at each grant, from the queue or not, until it is ended; in_flight_of() counts by key."""

    async def main() -> None:
        limiter = Limiter(max_in_flight=1)
        told: list[tuple[int, int]] = []
        end = limiter.on_room(lambda: told.append((limiter.in_flight_of("a"), limiter.in_flight_of("b"))))
        async with limiter.permit("a"):
            waiting = asyncio.ensure_future(_enter(limiter, "b"))
            await asyncio.sleep(1)
        await waiting
        limiter.end_of_input("a")
        end()
        end()
        await _enter(limiter, "a")
        assert told == [(1, 0), (0, 1)]
        assert limiter.in_flight_of("a") == limiter.in_flight_of("unheard of") == 0

    virtual(main)


def test_the_repr_is_a_glance() -> None:
    """Levels, queue, flight, and when the next one goes."""

    async def main() -> None:
        limiter = Limiter(per_minute(requests=500, tokens=200_000), name="openai")
        assert repr(limiter) == "<Limiter openai: 0 queued, 0 in flight>"
        permits = [await limiter.permit(tokens=n) for n in (150_000, 19_000)]
        waiting = [asyncio.ensure_future(limiter.call(_sleep, tokens=60_000)) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        line = repr(limiter)
        assert line.startswith("<Limiter openai: 498/500 requests, 31k/200k tokens, 2 queued, 2 in flight, next in 9.")
        for permit in permits:
            permit.finish()
        await asyncio.gather(*waiting)
        limiter.close()
        assert repr(limiter).endswith("closed>")

    virtual(main)


async def _sleep() -> None:
    await asyncio.sleep(0)


# -- what can be changed ------------------------------------------------------------------------


def test_quotas_can_be_changed_while_calls_wait() -> None:
    """A raised quota lets go whoever waited for it; one key may differ; a wrong one changes nothing."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=1))
        await _enter(limiter)
        waiting = asyncio.ensure_future(_enter(limiter))
        await asyncio.sleep(1)
        assert not waiting.done()
        with pytest.raises(InvalidQuota):
            limiter.set_quotas("lots")
        limiter.set_quotas(per_second(requests=100))
        await waiting

        limiter.set_quotas("5 requests/hour", key="small")
        await _enter(limiter, "small")
        await _enter(limiter, "other")
        keys = limiter.statistics().keys
        assert keys["small"].buckets["requests"].limit == 5
        assert keys["other"].buckets["requests"].limit == 100
        limiter.set_quotas(shared=per_day(requests=50))
        await _enter(limiter, "other")
        assert limiter.statistics().keys["other"].buckets["shared requests"].limit == 50

    virtual(main)


def test_it_works_in_any_clock() -> None:
    """A clock and dice may be given."""
    clock = ManualClock(5)
    limiter = Limiter(per_hour(requests=60), clock=clock, dice=lambda: 0.0)
    asyncio.run(_enter(limiter))
    assert limiter._clock is clock


# -- who watches ----------------------------------------------------------------------------------


def test_events_are_told_outside_the_call_and_cannot_break_it() -> None:
    """A hook gets what happened, in order; one that raises is logged once and forgotten."""
    heard: list[Kind] = []

    def hook(event: Event) -> None:
        heard.append(event.kind)
        raise RuntimeError("broken hook")

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), max_in_flight=1, on_event=hook)
        async with limiter.permit() as permit:
            waiting = asyncio.ensure_future(_enter(limiter))
            await asyncio.sleep(0)
            permit.observe(200, {})
        await waiting
        await asyncio.sleep(0)
        at_rest(limiter)

    virtual(main)
    assert heard == [
        Kind.GRANTED,
        Kind.QUEUED,
        Kind.ANSWERED,
        Kind.RELEASED,
        Kind.GRANTED,
        Kind.RELEASED,
    ]
