"""A permit learns from the events of a realtime session, for those who read the session themselves."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ratelimit_client import Limiter, Reason, per_day, per_minute
from ratelimit_client.core.concurrency import Ending
from ratelimit_client.testing import VirtualLoop
from tests.runtime.test_permit import endings
from tests.runtime.torture import at_rest, level, virtual

LIMITS = {
    "type": "rate_limits.updated",
    "rate_limits": [{"name": "requests", "limit": 100, "remaining": 40, "reset_seconds": 36.0}],
}
DONE = {"type": "response.done", "response": {"id": "r", "status": "completed", "usage": {"total_tokens": 30}}}
FAILED = {
    "type": "response.done",
    "response": {
        "id": "r",
        "status": "failed",
        "status_details": {"error": {"code": "rate_limit_exceeded", "message": "Please try again in 5s."}},
    },
}
BAD = {"type": "error", "error": {"type": "invalid_request_error", "code": "bad"}}
DELTA = {"type": "response.output_text.delta", "delta": "x"}


class Typed:
    """As an SDK hands it out."""

    def __init__(self, event: dict[str, Any]) -> None:
        self._event = event

    def model_dump(self) -> dict[str, Any]:
        return self._event


@pytest.mark.parametrize("as_given", [dict, json.dumps, lambda event: json.dumps(event).encode(), Typed])
def test_limits_in_an_event_move_levels(as_given: Any) -> None:
    """However the event was read: as a mapping, as text, as bytes, or as an SDK's own object."""

    async def main() -> None:
        limiter = Limiter(per_minute(requests=100))
        async with limiter.permit() as permit:
            signals = permit.observe_event(as_given(LIMITS))
            assert signals.readings["requests"].remaining == 40
            assert level(limiter) == 40
        at_rest(limiter)

    virtual(main)


def test_limits_behind_the_end_count_as_well() -> None:
    """That is where servers tell them: the place is free already, and another call may have been let out."""

    async def main() -> None:
        limiter = Limiter(per_minute(requests=100))
        async with limiter.permit() as permit:
            permit.observe_event(DONE)
        async with limiter.permit():
            permit.observe_event(LIMITS)
            assert level(limiter) == 39
        at_rest(limiter)

    virtual(main)


def test_who_waits_is_let_out_by_what_is_told_behind_the_end() -> None:
    """A limit that was learnt too low is found to be higher, and nobody sleeps on."""

    async def main() -> None:
        limiter = Limiter(per_day(requests=1000))
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        low = {"name": "requests", "limit": 1000, "remaining": 0, "reset_seconds": 86400.0}
        async with limiter.permit() as first, limiter.permit() as permit:
            first.observe_event({**LIMITS, "rate_limits": [low]})
        assert level(limiter) < 0
        waiting = asyncio.create_task(limiter.permit().__aenter__())
        await asyncio.sleep(1.0)
        assert not waiting.done()
        permit.observe_event({**LIMITS, "rate_limits": [{**low, "remaining": 500, "reset_seconds": 43200.0}]})
        (await asyncio.wait_for(waiting, 100.0)).finish()
        at_rest(limiter)

    virtual(main)


def test_a_response_that_failed_is_a_refusal() -> None:
    """Others of the key wait as long as it says; the place teaches nothing of concurrency."""

    async def main() -> None:
        limiter = Limiter(per_minute(requests=100))
        told = endings(limiter)
        loop = asyncio.get_running_loop()
        async with limiter.permit() as permit:
            signals = permit.observe_event(FAILED)
        assert (signals.reason, signals.retry_after_s, permit.signals) == (Reason.RATE_LIMITED, 5.0, signals)
        assert told == [Ending.IGNORED]
        began = loop.time()
        async with limiter.permit():
            assert loop.time() - began >= 5.0

    virtual(main)


def test_a_response_that_went_well_is_settled() -> None:
    """With what it used; and it is a success."""

    async def main() -> None:
        limiter = Limiter(per_minute(tokens=1000), dialect="discord")
        told = endings(limiter)
        async with limiter.permit(tokens=100) as permit:
            assert permit.observe_event(DONE).reason is Reason.OK
            assert permit.ticket.settled == {"tokens": 30}
        assert told == [Ending.SUCCEEDED]

    virtual(main)


@pytest.mark.parametrize("event", [DELTA, {}, None, 7, "", b"\xff", "[", BAD])
def test_what_says_nothing_of_limits_teaches_nothing(event: Any) -> None:
    """A piece of an answer, a mistake of the client's, and whatever is no event; nothing raises."""

    async def main() -> None:
        limiter = Limiter(per_minute(requests=100))
        async with limiter.permit() as permit:
            permit.observe_event(event)
            assert permit.signals is None
        assert level(limiter) == 99

    virtual(main)


def test_before_it_was_entered_there_is_nobody_to_learn() -> None:
    """As of ``observe``."""
    with pytest.raises(RuntimeError, match="not entered"):
        Limiter().permit().observe_event(LIMITS)
