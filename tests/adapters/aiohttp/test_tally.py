from __future__ import annotations

import asyncio

import pytest

from ratelimit_client import (
    Closed,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    Overloaded,
    QueueFull,
    Reason,
    ResponseError,
    RetryPolicy,
    Signals,
    Throttled,
    TransportError,
)
from ratelimit_client.adapters.aiohttp.tally import SECONDS, Tally, outcome_of
from tests.adapters.aiohttp.rawserver import Move, answer
from tests.adapters.aiohttp.running import QUICK, in_virtual_time, served


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (asyncio.CancelledError(), "cancelled"),
        (DeadlineExceeded(""), "expired"),
        (DeadlineExpiredInQueue(""), "expired"),
        (DeadlineUnreachable(""), "rejected"),
        (QueueFull(""), "rejected"),
        (Closed(""), "rejected"),
        (ResponseError(""), "error"),
        (TransportError(""), "error"),
        (ZeroDivisionError(), "error"),
    ],
)
def test_the_word_for_an_end(error: BaseException, outcome: str):
    """
    Five words for all ends.
    """
    assert outcome_of(error) == outcome


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, {"input": 3, "output": 4}),
        ({"input_tokens": 3, "output_tokens": 4}, {"input": 3, "output": 4}),
        (
            {
                "prompt_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 5},
                "output_tokens": 8,
                "output_tokens_details": {"reasoning_tokens": 6},
            },
            {"input": 9, "cached_input": 5, "output": 8, "reasoning": 6},
        ),
        ({"prompt_tokens": -3, "completion_tokens": "4", "prompt_tokens_details": []}, {}),
        ({"prompt_tokens": 10**18, "completion_tokens": True, "input_tokens": 2.5}, {}),
        (None, {}),
        ([1], {}),
    ],
)
def test_what_was_used(usage: object, counts: dict[str, int]):
    """
    In either vocabulary, and nothing of what cannot be.
    """
    tally = Tally()
    tally.used("m", usage)
    assert dict(tally.tokens) == {("m", kind): count for kind, count in counts.items()}


def test_durations():
    """
    A bound belongs to the calls that took exactly as long; beyond the last there is one more.
    """
    tally = Tally()
    for seconds in (0.0, SECONDS[0], SECONDS[0] + 0.001, 601.0):
        tally.add("m", "success", seconds)
    assert (tally.seconds[0], tally.seconds[1], tally.seconds[-1]) == (2, 1, 1)
    assert sum(tally.seconds) == tally.outcomes["m", "success"] == 4


def test_every_call_has_one_outcome():
    """
    Success, error, cancelled, expired, rejected: what came in is what is counted; retries by their reason.
    """

    async def story() -> None:
        wrong, silent = [answer(b"{}", status="400 X")], [Move.SILENCE]
        steps = ([Move.CLOSE], [answer(b"{}", status="500 X")], [answer()], wrong, silent, silent)
        async with served(*steps, retry=QUICK) as (_, client):
            await client.post("/v1/x", json={})
            with pytest.raises(ResponseError):
                await client.post("/v1/x", json={})
            with pytest.raises(DeadlineExceeded):
                await client.post("/v1/x", json={}, deadline=5.0)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.post("/v1/x", json={}), 5.0)
            await client.drain()
            with pytest.raises(Closed):
                await client.post("/v1/x", json={})

            counts = {outcome: count for (_, outcome), count in client.tally.outcomes.items()}
            assert counts == {"success": 1, "error": 1, "expired": 1, "cancelled": 1, "rejected": 1}
            assert dict(client.tally.retries) == {("default", "connection"): 1, ("default", "server_error"): 1}
            assert client.tally.total_s == pytest.approx(10.0, abs=0.1)

    in_virtual_time(story)


def test_an_empty_account_is_counted():
    """
    It is no rate limit, and is shown beside them.
    """

    async def story() -> None:
        body = b'{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}'
        async with served([answer(body, status="429 X")], retry=RetryPolicy.none()) as (_, client):
            with pytest.raises(ResponseError):
                await client.post("/v1/x", json={"model": "m"})
            assert dict(client.tally.exhausted) == {"m": 1}

    in_virtual_time(story)


def test_attempts_without_success_are_counted_by_what_came():
    """
    A status, or what came instead of an answer; and of refusals by a rate limit, which limit they named.
    """

    async def story() -> None:
        refused = answer(b'{"error": {"message": "Limit 5 RPM", "type": "requests"}}', status="429 X")
        async with served([refused], [answer(status="500 X")], [answer()], retry=QUICK) as (_, client):
            reply = await client.post("/v1/x", json={})
            assert client.tally.failures == {"429": 1, "500": 1}
            assert client.tally.refusals.total() == 1
            assert reply.latency_s is not None
            assert reply.latency_s + reply.queue_s == pytest.approx(client.tally.total_s)

    in_virtual_time(story)


def test_limits_that_servers_name_have_a_bound():
    """
    Sixteen are told apart, also when several tallies become one; a refusal that names none is "unknown".
    """
    tally, both = Tally(), Tally()
    for number in range(40):
        signals = Signals(status=429, reason=Reason.RATE_LIMITED, unit=f"u{number}")
        tally.went_wrong("429", Throttled("no", signals=signals, reason="rate_limited", status=429))
    tally.went_wrong("429", Throttled("no", reason="rate_limited", status=429))
    tally.went_wrong("500", Overloaded("no", reason="overloaded", status=500))
    both.merge(tally)
    both.merge(tally)

    assert tally.failures == {"429": 41, "500": 1}
    assert (len(tally.refusals), tally.refusals["unknown"], tally.refusals.total()) == (18, 1, 41)
    assert (len(both.refusals), both.refusals.total(), both.failures["429"]) == (18, 82, 82)


def test_names_from_outside_have_a_bound():
    """
    A thousand and twenty-four are told apart; tokens, retries and empty accounts of all later ones are "other".
    """
    tally = Tally()
    for number in range(1200):
        tally.used(f"m{number}", {"prompt_tokens": 1})
        tally.tried_again(f"m{number}", "timeout")
        tally.ran_out(f"m{number}")
    for counts, other in (
        (tally.tokens, ("other", "input")),
        (tally.retries, ("other", "timeout")),
        (tally.exhausted, "other"),
    ):
        assert (len(counts), counts[other]) == (1025, 176)
