"""Trying to break it by lies: servers that say anything in any header, and what must hold nevertheless."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from ratelimit_client import CostExceedsQuota, Limiter, RetryPolicy, Throttled, WouldBlock, per_minute
from tests.acceptance.library import Response, at_zero, now_s, tell
from tests.sizes import SCALE

NUMBERS = (
    *(
        "0",
        "-1",
        "1",
        "3",
        "500",
        "1e9",
        "999999999999",
        "9" * 5000,
        "nan",
        "inf",
        "-inf",
        "",
        "x",
        "1_000",
        "١٢",
        "0.5",
    ),
    *(
        "1e400",
        "5, 7",
        "1767225600",
        "99999999999",
        "  7 ",
        "\x00",
        "+5",
        "0x10",
        "1;w=60",
        "60000",
        "10;w=0",
        "7;w=1e99",
    ),
)
TIMES = (
    *("0", "0s", "1s", "17ms", "45s", "-1s", "nan", "inf", "x", "", "1h" * 100, "5us", "59.9", "1m0.052s"),
    *("Thu, 01 Jan 1970 00:00:10 GMT", "Thu, 01 Jan 2026 00:00:10 GMT", "9" * 40, "1767225600"),
)
HINTS = ("0", "1", "5", "-1", "nan", "x", "17ms", "", "30", "0.25", "1e400")
COUNTED = (
    *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-limit-tokens"),
    *("x-ratelimit-remaining-tokens", "ratelimit-limit", "ratelimit-remaining", "x-ratelimit-limit"),
    *("x-ratelimit-remaining", "x-ratelimit-limit-input-tokens", "openai-processing-ms", "age"),
)
TIMED = ("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "ratelimit-reset", "x-ratelimit-reset", "date")
FIELDS = ('"default";r=0;t=1e9', "limit=0, remaining=0, reset=99", '"a";r=-5;t=5', "garbage;;;", '"default";r=9;t=9')
POLICIES = (
    '"default";q=0;w=0',
    '"default";q=100;w=60',
    '"default";q=100;w=999999999999',
    "100;w=60",
    ";;;",
    '"";q=1;w=1',
)


def lies(dice: random.Random) -> dict[str, str]:
    """The headers of one answer: each of them is there or not and says anything."""
    headers = {name: dice.choice(NUMBERS) for name in COUNTED if dice.random() < 0.7}
    headers |= {name: dice.choice(TIMES) for name in TIMED if dice.random() < 0.7}
    headers |= {name: dice.choice(HINTS) for name in ("retry-after", "retry-after-ms") if dice.random() < 0.5}
    if dice.random() < 0.3:
        headers["ratelimit"] = dice.choice(FIELDS)
        headers["ratelimit-policy"] = dice.choice(POLICIES)
    return headers


BODIES = (
    b"",
    b"<html>",
    b"\xff\xfe",
    b"[" * 5000,
    b'{"error": null}',
    b'{"error": {"message": 7, "code": ["x"], "type": {}}}',
    b'{"error": {"message": "Rate limit reached on requests per day (RPD): Limit -5, Used 1e99, Requested 0."}}',
    b'{"error": {"message": "Limit 1, Used 99999999999999999999, Requested 1. Please try again in 9999999999x."}}',
    b'{"error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "Limit 3, Used 3, Requested 1"}}',
)


async def call(limiter: Limiter, answer: Callable[[], Response], sent: list[float], **options: Any) -> None:
    async for attempt in limiter.attempts(**options):
        async with attempt:
            sent.append(now_s())
            await asyncio.sleep(0.1)
            await attempt.check(answer())
            return


@pytest.mark.parametrize("dialect", ["auto", "openai", "ietf"])
@pytest.mark.parametrize("seed", range(4 * SCALE))
def test_a_server_that_lies_in_every_header(seed: int, dialect: str) -> None:
    """
    Nothing raises what it should not, nobody waits for ever, what the user typed is never exceeded, and the books are
    even: 120 calls, a fifth of them refused, each answer with other lies. A lie about a limit of one unit a day is
    believed, so a call may wait for days; but none waits for ever.
    """
    dice = random.Random(f"lies {seed} {dialect}")

    def answer() -> Response:
        refused = dice.random() < 0.2
        body = dice.choice(BODIES) if refused else b""
        return Response(429 if refused else 200, lies(dice), body)

    async def story() -> None:
        limiter = Limiter("30/min", dialect=dialect, retry=RetryPolicy.bulk(max_hint_s=1e9))
        sent: list[float] = []
        tasks = [
            asyncio.create_task(call(limiter, answer, sent, tokens=dice.choice((None, 1, 10, 1000))))
            for _ in range(120)
        ]
        done, waiting = await asyncio.wait(tasks, timeout=86_400 * 20)
        gone = len(sent)
        if waiting:
            assert gone >= 20, str(limiter.explain())
            ready_s = limiter.explain().ready_in_s
            assert ready_s is None or ready_s <= 86_400 * 32 * len(waiting)
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting)
        # A limit of one unit, said twice, makes a call of ten impossible: that lie is believed as well.
        assert {type(task.exception()) for task in done} <= {type(None), CostExceedsQuota}
        # In no minute more than the bucket and what flows back in it.
        sent.sort()
        for first, last in zip(sent, sent[61:], strict=False):
            assert last - first >= 60
        assert at_zero(limiter)
        str(limiter.explain(tokens=3)), repr(limiter), limiter.statistics()

    tell(story)


def test_the_longest_lie_is_told_and_not_slept_through() -> None:
    """
    A wait of years in any form: at most the call that was told ends with Throttled, and its number is a number.
    """

    async def story() -> None:
        for headers in (
            {"retry-after": "999999999"},
            {"retry-after": "1e18"},
            {"retry-after-ms": "9" * 18},
            {"retry-after": "Thu, 01 Jan 2099 00:00:00 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"},
        ):
            limiter, sent = Limiter(retry=RetryPolicy(max_refusals=2)), list[float]()
            with pytest.raises(Throttled) as caught:
                await call(limiter, lambda headers=headers: Response(429, headers, b""), sent)  # type: ignore[misc]
            assert caught.value.signals is not None
            hint_s = caught.value.signals.retry_after_s
            assert hint_s is None or 0 < hint_s <= 31 * 86_400
            explanation = limiter.explain()
            assert explanation.ready_in_s is None or explanation.ready_in_s <= 31 * 86_400 + 1
            # Whoever has a deadline is let go by then, however long the server wants everybody to wait.
            began = now_s()
            with pytest.raises((Throttled, TimeoutError)):
                await call(limiter, lambda: Response(429, {}, b""), sent, deadline=5)
            assert now_s() - began <= 5.001
            assert at_zero(limiter)

    tell(story)


def shown(limit: int, remaining: int, **more: str) -> dict[str, str]:
    headers = {"x-ratelimit-limit-requests": str(limit), "x-ratelimit-remaining-requests": str(remaining)}
    return headers | {name.replace("_", "-"): value for name, value in more.items()}


NAMED = b'{"error": {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"}}'


def test_a_slice_learnt_of_a_large_limit_does_not_outlive_it() -> None:
    """
    Refused while 100 000 of a million were left: a slice of the rest is learnt. Then the server refuses at a limit of
    60, which counts at once: one a second goes.
    """

    async def story() -> None:
        limiter = Limiter(dialect="openai", retry=RetryPolicy.bulk())
        answers = [Response(200, shown(10**6, 100_000)), Response(429, shown(10**6, 99_999), NAMED)]
        answers += [Response(429, shown(60, 0), NAMED)] + [Response(200, shown(60, 30))] * 200

        def answer() -> Response:
            return answers.pop(0)

        began, sent = now_s(), list[float]()
        for _ in range(100):
            await call(limiter, answer, sent)
        assert now_s() - began <= 110
        assert limiter.statistics().keys["default"].buckets["requests"].limit == 60
        assert at_zero(limiter)

    tell(story)


def test_a_cut_limit_leaves_no_debt_of_hours() -> None:
    """
    Forty calls of 1000 tokens are out when the server refuses one and says that its limit is 100 a minute: two minutes
    later one of 50 goes, though the forty were charged 40 000.
    """

    async def story() -> None:
        limiter = Limiter(dialect="openai")

        def tokens(limit: int) -> dict[str, str]:
            return {"x-ratelimit-limit-tokens": str(limit), "x-ratelimit-remaining-tokens": str(limit - 1)}

        async with limiter.permit(tokens=1000) as permit:
            permit.observe(200, tokens(10**6))
        permits = []
        while len(permits) < 40:
            try:
                permits.append(limiter.permit_nowait(tokens=1000))
            except WouldBlock:
                await asyncio.sleep(0.1)
        permits[0].observe(429, tokens(100), NAMED.replace(b"requests", b"tokens"))
        for permit in permits:
            permit.finish()
        began = now_s()
        async with limiter.permit(tokens=50):
            assert now_s() - began <= 125
        assert at_zero(limiter)

    tell(story)


def test_a_window_of_ages_is_none() -> None:
    """
    An IETF policy of 31 000 years and nothing left: the next call goes within the window that is usual.
    """

    async def story() -> None:
        limiter = Limiter(dialect="ietf")
        async with limiter.permit() as permit:
            permit.observe(200, {"ratelimit-policy": '"default";q=100;w=999999999999', "ratelimit": '"default";r=0'})
        began = now_s()
        async with limiter.permit():
            assert now_s() - began <= 70

    tell(story)


@pytest.mark.parametrize(("limit", "remaining"), [(-1, -1), (0, 0), (5, -3), (5, 900), (10**18, 10**18)])
def test_numbers_that_cannot_be(limit: int, remaining: int) -> None:
    """
    Neither full nor empty: calls go on as the user's own quota says, or as the one limit that may be true.
    """

    async def story() -> None:
        limiter, began = Limiter(per_minute(requests=600)), now_s()
        for _ in range(300):
            async with limiter.permit() as permit:
                permit.observe(200, shown(limit, remaining, x_ratelimit_reset_requests="0s"))
        assert now_s() - began <= (300 / 5 * 60 if limit == 5 else 5)
        assert limiter.statistics().keys["default"].buckets["requests"].limit <= 600
        assert at_zero(limiter)

    tell(story)


def test_a_server_that_says_two_things_in_turn() -> None:
    """
    6000 a minute in one answer, 6 in the next: a single odd header changes nothing for good, and no call is stuck.
    """

    async def story() -> None:
        limiter, began, turn = Limiter(dialect="openai"), now_s(), 0

        def answer() -> Response:
            nonlocal turn
            turn += 1
            return Response(200, shown(6000, 5000) if turn % 2 else shown(6, 5))

        sent: list[float] = []
        await asyncio.gather(*(call(limiter, answer, sent) for _ in range(200)))
        assert now_s() - began <= 200 / 6 * 60
        assert at_zero(limiter)

    tell(story)
