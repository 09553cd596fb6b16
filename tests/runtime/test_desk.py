"""What a limiter's permits share: how answers are read, and by whose rules."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ratelimit_client import Limiter, RetryPolicy
from ratelimit_client.core.ticket import EVER_NS, Patience
from ratelimit_client.core.units import NS
from ratelimit_client.dialects import Dialect
from ratelimit_client.runtime.desk import patience_of
from ratelimit_client.testing.clock import ManualClock
from tests.runtime.torture import virtual

OPENAI = {
    "X-RateLimit-Limit-Requests": "60",
    "X-RateLimit-Remaining-Requests": "59",
    "X-RateLimit-Reset-Requests": "1s",
    "openai-version": "2020-10-01",
}


@pytest.mark.parametrize(
    "headers",
    [OPENAI, list(OPENAI.items()), iter(OPENAI.items()), ((k.encode(), v.encode()) for k, v in OPENAI.items())],
)
def test_headers_come_in_any_form(headers: Any) -> None:
    """Mappings, pairs, pairs once only, bytes: the first answer tells the language, and its readings count."""

    async def main() -> None:
        limiter = Limiter()
        async with limiter.permit() as permit:
            signals = permit.observe(200, headers)
        assert signals.readings["requests"].limit == 60
        assert limiter._desk.dialect is not None
        assert limiter._desk.dialect.name == "openai"
        budget = limiter._desk.dispatcher.scheduler.keys["default"].budget
        assert budget.profile is limiter._desk.dialect.profile

    virtual(main)


def test_an_answer_that_gives_nothing_away_decides_nothing() -> None:
    """The next one may still tell whose it is."""

    async def main() -> None:
        limiter = Limiter()
        for headers, known in (({}, False), ({"x-ratelimit-limit": "5"}, False), (OPENAI, True)):
            async with limiter.permit() as permit:
                permit.observe(200, headers)
            assert (limiter._desk.dialect is not None) == known

    virtual(main)


def test_a_language_that_was_told_is_kept() -> None:
    """By name or as a table of one's own, whatever the answers look like."""

    async def main() -> None:
        own = Dialect(name="acme")
        for dialect, name in (("generic", "generic"), (own, "acme")):
            limiter = Limiter(dialect=dialect)  # type: ignore[arg-type]
            async with limiter.permit() as permit:
                permit.observe(200, OPENAI)
            assert limiter._desk.dialect is not None
            assert limiter._desk.dialect.name == name

    virtual(main)


def test_a_vendor_replaces_what_any_gateway_may_say() -> None:
    """An answer of a gateway tells no more than a common language; the vendor's own, when it comes, holds for good."""
    gateway = {"RateLimit-Policy": '"default";q=100;w=60', "RateLimit": '"default";r=50;t=30'}

    async def main() -> None:
        limiter = Limiter()
        seen = []
        for headers in (gateway, {}, gateway, OPENAI, gateway, {}):
            async with limiter.permit() as permit:
                permit.observe(200, headers)
            assert limiter._desk.dialect is not None
            seen.append(limiter._desk.dialect.name)
            scheduler = limiter._desk.dispatcher.scheduler
            assert scheduler.profile is limiter._desk.dialect.profile
            assert scheduler.keys["default"].budget.profile is scheduler.profile
        assert seen == ["ietf", "ietf", "ietf", "openai", "openai", "openai"]

    virtual(main)


def test_a_success_is_read_when_somebody_asks() -> None:
    """What the limiter does not need is left alone until then; errors and first words are read at once."""

    class Counted(dict[str, str]):
        """Headers that tell whether anybody looked, whichever way."""

        reads = 0

        def look(self) -> None:
            if not vars(self).get("seen"):
                self.seen = True
                Counted.reads += 1

        def values(self) -> Any:
            self.look()
            return super().values()

        def items(self) -> Any:
            self.look()
            return super().items()

    async def main() -> None:
        clock = ManualClock()
        limiter = Limiter(dialect="openai", clock=clock)
        told = []
        for remaining in (59, 58, 57):
            async with limiter.permit() as permit:
                headers = Counted({**OPENAI, "X-RateLimit-Remaining-Requests": str(remaining)})
                told.append(permit.succeeded(200, headers))
                assert permit.place.name == "INSIDE"
        assert Counted.reads == 1  # the others came at the same instant
        assert [each.signals.readings["requests"].remaining for each in told] == [59, 58, 57]
        assert Counted.reads == 3
        assert told[2].signals is told[2].signals
        clock.advance(0.25)
        async with limiter.permit() as permit:
            permit.succeeded(200, Counted(OPENAI))
            assert Counted.reads == 4
            assert permit.signals is not None
            assert permit.signals.readings["requests"].limit == 60

    virtual(main)


def test_the_first_success_tells_the_language() -> None:
    """Until it is known every answer is read."""

    async def main() -> None:
        limiter = Limiter()
        async with limiter.permit() as permit:
            assert permit.succeeded(201, OPENAI).signals.status == 201
        assert limiter._desk.dialect is not None
        assert limiter._desk.dialect.name == "openai"

    virtual(main)


def test_a_date_is_read_by_this_machines_clock() -> None:
    """A Retry-After that is an instant becomes a duration at once."""

    async def main() -> None:
        limiter = Limiter()
        async with limiter.permit() as permit:
            # The clock of the virtual loop starts at 2026-01-01T00:00:00Z.
            signals = permit.observe(429, {"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"})
        assert signals.retry_after_s == pytest.approx(30, abs=1)

    virtual(main)


def test_patience_is_the_policys() -> None:
    """Seconds as nanoseconds; without a bound as long as it takes."""
    assert patience_of(RetryPolicy(max_outage_s=1.5)) == Patience(3 * NS // 2, 120 * NS)
    assert patience_of(RetryPolicy.bulk(max_hint_s=math.inf)) == Patience(None, EVER_NS)
