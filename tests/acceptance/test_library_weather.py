"""Trying to break it by weather: outages, faults by chance, slices, silence, outsiders, and all of them together."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import attrs
import pytest

from ratelimit_client import (
    Client,
    DeadlineExpiredInQueue,
    Limiter,
    Overloaded,
    Quota,
    Quotas,
    ResponseError,
    RetryPolicy,
    per_day,
    per_minute,
)
from ratelimit_client.testing import (
    Change,
    Faults,
    LogNormal,
    Outsiders,
    Ramp,
    RefusalText,
    Uniform,
    binding,
    fixed,
    longest,
    minute,
    own_cost,
    serve_model,
    shortest,
    silent,
    sliced,
    stale,
)
from tests.acceptance.library import CHAT, KEY, Judge, at_zero, now_s, tell, tell_and_time
from tests.sizes import SCALE


def run(
    limits: Any, rows: int, *, tokens: int = 0, policy: RetryPolicy | None = None, quotas: Any = (), **server: Any
) -> tuple[Judge, list[Any], float]:
    """So many calls at once through a patient limiter: the server, how each ended, the seconds."""

    async def story() -> tuple[Judge, list[Any], float]:
        judge = Judge(limits, **server)
        limiter = Limiter(quotas, retry=RetryPolicy.bulk() if policy is None else policy)
        began = now_s()
        calls = (judge.ask(limiter, f"r{number}", tokens=tokens) for number in range(rows))
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert at_zero(limiter)
        assert judge.tally.repeated == 0
        answered = {end for end in ends if isinstance(end, str)}
        assert answered == set(judge.tally.answered)
        return judge, ends, now_s() - began

    return tell(story)


@pytest.mark.parametrize("fault", ["reset", "server_error", "overloaded"])
def test_an_outage_of_five_minutes(fault: str) -> None:
    """
    Patient calls all get their answer, a quarter of an hour is not lost over it, and the server is not stormed: what
    arrives while it is down is those in flight and a probe after 1, 2, 4 ... 60 s.
    """
    faults = Faults(**{fault: 1.0}, from_s=30, until_s=330)
    judge, ends, seconds = run(per_minute(requests=600), 2000, latency=0.5, faults=faults)

    assert all(isinstance(end, str) for end in ends)
    assert judge.tally.refusals == 0
    assert judge.tally.calls <= 2000 + 64 + 12
    # 90 s without the outage; what had flowed back by its end goes at once, behind a ramp.
    assert seconds <= 330 + 60 + 90


def test_an_outage_with_the_usual_patience() -> None:
    """
    Without a deadline a call waits a minute for a server that is gone: then it is an error, sent or not; none hangs.
    """
    faults = Faults(reset=1.0, from_s=30, until_s=330)
    _judge, ends, seconds = run(per_minute(requests=600), 2000, latency=0.5, faults=faults, policy=RetryPolicy())

    failed = [end for end in ends if not isinstance(end, str)]
    assert {type(end) for end in failed} == {ConnectionResetError, DeadlineExpiredInQueue}
    assert len(ends) - len(failed) >= 800
    assert seconds <= 30 + 60 + 5


@pytest.mark.parametrize("seed", range(2 * SCALE))
def test_faults_by_chance(seed: int) -> None:
    """
    One answer in nine goes wrong in one of six ways: patient calls are answered all the same, each of them once.
    """
    faults = Faults(server_error=0.04, overloaded=0.02, slow_down=0.01, reset=0.02, truncated=0.01, slow=0.01)
    judge, ends, _ = run(per_minute(requests=6000), 1000, latency=0.5, faults=faults, seed=seed)

    # One in a million fails five times in a row by itself.
    assert sum(isinstance(end, str) for end in ends) >= 999
    assert judge.tally.refusals == 0


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_bad_weather_is_not_taken_for_overload(share: float) -> None:
    """
    Three kinds of faults that have nothing to do with how many calls are out.

    Cutting for each of them took minutes for what could go in five seconds.
    """
    faults, policy = Faults(overloaded=share, slow_down=share, reset=share), RetryPolicy.bulk(max_attempts=12)
    limits = per_minute(requests=6000)
    for seed in range(2 if SCALE > 1 else 1):
        judge, ends, seconds = run(limits, 3000, latency=0.5, faults=faults, seed=seed, policy=policy)
        assert len(judge.tally.answered) == len(ends)
        assert seconds < 60


@pytest.mark.parametrize("tokens", [0, 500])
def test_a_server_that_minds_how_fast_a_rate_grows(tokens: int) -> None:
    """
    Limits of sixty times what a minute may hold at first: read off real answers, it is learnt from a few of them.

    No call is lost, with the usual patience: an answer that says slow down is no failure of the call.
    """
    ramp = Ramp(floor=100 * (tokens or 1), unit="tokens" if tokens else "requests")
    limits, policy = per_minute(requests=6000, tokens=6_000_000), RetryPolicy()
    judge, ends, seconds = run(limits, 800, tokens=tokens, latency=0.5, policy=policy, ramp=ramp)

    assert len(judge.tally.answered) == len(ends) == 800
    assert judge.tally.errors["slow_down"] <= 40
    assert 360 <= seconds <= 600


def test_faults_by_chance_over_http() -> None:
    """
    The same through a client and real HTTP in memory: resets and cut bodies are noticed, every reply is the right one.
    """
    faults = Faults(server_error=0.05, reset=0.05, truncated=0.05, overloaded=0.02)
    policy = RetryPolicy.bulk(max_attempts=12)  # one row in seven thousand needs more than five

    async def story() -> None:
        async with (
            serve_model(per_minute(requests=6000), latency=0.3, faults=faults, seed=4) as url,
            Client(url, api_key=KEY, retry=policy) as client,
        ):
            bodies = [{**CHAT, "user": f"r{number}"} for number in range(400)]
            replies = await asyncio.gather(*(client.post("/chat/completions", json=body) for body in bodies))
            for number, reply in enumerate(replies):
                assert f"Answer to r{number}:" in reply.text
            assert url.tally.repeated == 0
            assert url.tally.broken_off["truncated"] > 5
            assert max(url.tally.client_request_ids.values()) == 1
            assert at_zero(client)

    tell(story)


@pytest.mark.parametrize(
    ("limits", "rows", "server", "ideal_s", "refusals"),
    [
        (600, 1500, {"enforcement": sliced(1)}, 150, 20),
        (600, 1500, {"enforcement": sliced(10)}, 140, 20),
        (600, 2000, {"enforcement": fixed(60)}, 180, 60),
        (600, 1500, {"headers": stale()}, 90, 20),
        (600, 1500, {"headers": stale(20)}, 95, 20),
        (600, 1500, {"headers": own_cost()}, 90, 20),
        (600, 1500, {"headers": silent()}, 90, 80),
        (600, 1500, {"headers": silent(), "charge_refusals": False}, 90, 80),
        (600, 1500, {"headers": silent(), "enforcement": sliced(1)}, 150, 100),
        (600, 1500, {"outsiders": Outsiders(per_s=2)}, 113, 30),
        (600, 1500, {"outsiders": Outsiders(burst=100, every_s=20)}, 180, 60),
        (600, 1500, {"max_in_flight": 8, "latency": 0.4}, 90, 0),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_servers_of_every_kind(limits: int, rows: int, server: dict[str, Any], ideal_s: float, refusals: int) -> None:
    """
    Slices, counters, caches, constants, silence, others on the key, few slots: all answered, soon, with few refusals.
    """
    judge, ends, seconds = run(per_minute(requests=limits), rows, **{"latency": 0.5, **server})

    assert all(isinstance(end, str) for end in ends)
    assert judge.tally.refusals <= refusals
    assert seconds <= 1.6 * ideal_s + 5


def times(judge: Judge) -> float:
    """Refusals for each answered row."""
    return judge.tally.refusals / max(1, len(judge.tally.answered))


@pytest.mark.parametrize("seed", range(3 if SCALE > 1 else 1))
@pytest.mark.parametrize("tokens", [0, 100])
@pytest.mark.parametrize(("latency", "refusal_latency"), [(0.15, 0.005), (2.0, 0.15)])
def test_a_counter_behind_headers_of_a_bucket(seed: int, tokens: int, latency: float, refusal_latency: float) -> None:
    """
    Its resets tell the time to the step. It is not taken for an hour's limit, and nothing is refused at the step.
    """
    limits = per_minute(requests=1200, tokens=100_000)
    server = {"enforcement": fixed(60), "latency": latency, "refusal_latency": refusal_latency, "seed": seed}
    judge, ends, seconds = run(limits, 3000, tokens=tokens, **server)

    assert all(isinstance(end, str) for end in ends)
    assert judge.tally.refusals <= 3
    # Wherever in a minute it begins, two or three steps are enough, and the opening of the last.
    assert seconds <= (120 if not tokens else 180) + 10


@pytest.mark.parametrize(("window_s", "amount"), [(1, 20), (10, 100), (3600, 600)])
def test_a_counter_over_any_window(window_s: int, amount: int) -> None:
    """
    A second's, ten seconds', an hour's: read off the resets, no faster and hardly slower than it steps.
    """
    limits, rows = Quotas([Quota("requests", amount, window_s)]), 5 * amount
    judge, ends, seconds = run(limits, rows, enforcement=fixed(window_s), latency=0.15)

    assert all(isinstance(end, str) for end in ends)
    assert judge.tally.refusals <= 3
    assert seconds <= 5.3 * window_s + 1


@pytest.mark.parametrize("reset", ["0s", "1ms", "1s", "60s", "6m0s", "24h0m0s"])
def test_a_reset_that_never_changes(reset: str) -> None:
    """
    It determines no window: the job ends as if there were none.
    """

    class Constant(Judge):
        async def __call__(self, **ask: Any) -> Any:
            response = await super().__call__(**ask)
            return attrs.evolve(response, headers={**response.headers, "x-ratelimit-reset-requests": reset})

    async def story() -> tuple[Judge, float]:
        judge, limiter, began = Constant(per_minute(requests=600), latency=0.5), Limiter(), now_s()
        await asyncio.gather(*(judge.ask(limiter, f"r{number}") for number in range(1500)))
        return judge, now_s() - began

    judge, seconds = tell(story)
    assert times(judge) <= 0.05
    assert seconds <= 1.2 * 90 + 5


@pytest.mark.parametrize("headers", [stale(), stale(20), own_cost()], ids=str)
@pytest.mark.parametrize("factor", [3, 10])
@pytest.mark.parametrize("told", [True, False])
def test_a_limit_cut_behind_headers_that_do_not_tell(headers: Any, factor: int, told: bool) -> None:
    """
    After half a minute a third, or a tenth, of what is shown is left, refused calls are charged: the rate is found.
    """
    server: dict[str, Any] = {"headers": headers, "changes": Change(30, per_minute(requests=600 // factor))}
    if not told:
        server |= {"retry_headers": False, "refusal_text": RefusalText.PLAIN}
    judge, ends, seconds = run(per_minute(requests=600), 1200, latency=0.15, **server)

    assert all(isinstance(end, str) for end in ends)
    assert times(judge) <= 0.3
    assert seconds <= 1.6 * (30 + 30 * factor)


@pytest.mark.parametrize("shows", [longest, shortest, binding])
@pytest.mark.parametrize(("a_minute", "a_day", "rows"), [(60, 10_000, 600), (500, 2_000, 1_900), (3, 200, 190)])
def test_two_quotas_behind_one_header(shows: Any, a_minute: int, a_day: int, rows: int) -> None:
    """
    Requests a minute and a day, one of them invisible until a refusal names it: no stall for a day, no flood.
    """
    limits = per_minute(requests=a_minute) + per_day(requests=a_day)
    judge, ends, seconds = run(limits, rows, latency=0.15, choice=shows)

    assert all(isinstance(end, str) for end in ends)
    assert judge.tally.refusals <= 10
    assert seconds <= 1.05 * 60 * (rows - a_minute) / a_minute + 5


@pytest.mark.parametrize(("a_minute", "a_day", "rows"), [(60, 10_000, 600), (500, 5_000, 1_900)])
def test_a_minute_behind_the_header_of_a_day_of_which_nobody_tells(a_minute: int, a_day: int, rows: int) -> None:
    """
    A refusal says "requests" and no number, the header shows those of the day: they are not taken for slices of it.
    """
    limits = per_minute(requests=a_minute) + per_day(requests=a_day)
    judge, ends, seconds = run(limits, rows, latency=0.15, choice=longest, refusal_text=RefusalText.PLAIN)

    assert all(isinstance(end, str) for end in ends)
    assert times(judge) <= 0.3
    assert seconds <= 1.3 * 60 * (rows - a_minute) / a_minute + 5


@pytest.mark.parametrize("per_s", [5, 9])
def test_others_in_the_same_slices(per_s: int) -> None:
    """
    They take half, or nine tenths, of slices that no header shows: what is refused stays far below what is answered.
    """
    judge, ends, seconds = run(
        per_minute(requests=600), 600, latency=0.5, enforcement=sliced(1), outsiders=Outsiders(per_s=per_s)
    )
    assert all(isinstance(end, str) for end in ends)
    assert times(judge) <= 0.35
    assert seconds <= 1.6 * 600 / (10 - per_s)


@pytest.mark.parametrize("per_minute_", [3, 10, 60])
@pytest.mark.parametrize("latency", [0.01, 1.0])
@pytest.mark.parametrize("refusal_latency", [0.005, 1.0])
@pytest.mark.parametrize("kind", [minute(), sliced(1)], ids=["minute", "sliced"])
def test_a_silent_server_with_a_small_limit(
    per_minute_: int, latency: float, refusal_latency: float, kind: Any
) -> None:
    """
    Neither limits nor hints, refused calls are charged, refusals come at once or as late as answers: the job goes on at
    a third of the ideal pace or better, and the server says no a few times for each row, not a thousand times.
    """
    rows = 5 * per_minute_
    server = {"latency": latency, "refusal_latency": refusal_latency, "headers": silent(), "enforcement": kind}
    judge, ends, seconds = run(per_minute(requests=per_minute_), rows, **server)

    ideal_s = 240 if kind == minute() else 300
    assert all(isinstance(end, str) for end in ends)
    assert seconds <= 3 * ideal_s
    assert judge.tally.refusals <= (10 if refusal_latency == 1.0 else 4) * rows


def forecast(seed: int) -> tuple[Any, int, dict[str, Any]]:
    """Limits, rows and server of one bad day, all of it by one seed."""
    dice = random.Random(f"weather {seed}")
    limits = per_minute(requests=dice.choice((60, 600, 6000)))
    if dice.random() < 0.5:
        limits += per_minute(tokens=dice.choice((5_000, 20_000, 200_000)))
    server: dict[str, Any] = {
        "latency": dice.choice((0.01, 0.5, Uniform(0.05, 3), LogNormal(1.0))),
        "refusal_latency": dice.choice((0.005, 0.005, 0.15, 1.0)),
        "enforcement": dice.choice((minute(), minute(), sliced(1), sliced(10), fixed(10), fixed(60))),
        "headers": dice.choice((True, True, True, silent(), stale(), stale(20), own_cost())),
        "charge_refusals": dice.random() < 0.6,
        "refusal_text": dice.choice(tuple(RefusalText)),
        "retry_headers": dice.random() < 0.7,
        "seed": seed,
    }
    if dice.random() < 0.3:
        server["faults"] = Faults(server_error=0.04, overloaded=0.02, slow_down=0.02, reset=0.02, truncated=0.01)
    elif dice.random() < 0.3:
        kind = dice.choice(("reset", "server_error", "overloaded"))
        server["faults"] = Faults(**{kind: 1.0}, from_s=dice.choice((2, 20)), until_s=dice.choice((60, 320)))
    slowest = min(quota.amount / 60 for quota in limits if quota.unit == "requests")
    if dice.random() < 0.3 and server["headers"] not in (stale(), stale(20), own_cost()):
        # A cache that shows the old limit for ever is a lie, and those are told elsewhere.
        factor = dice.choice((1 / 3, 1 / 10, 3, 10))
        after = Quotas(Quota(each.unit, max(1, int(each.amount * factor)), each.window_s) for each in limits)
        server["changes"] = Change(dice.choice((5, 30)), after)
        slowest *= min(1, factor)
    if dice.random() < 0.25:
        server["outsiders"] = Outsiders(per_s=slowest * dice.choice((0.1, 0.5)))
    return limits, dice.choice((50, 150, 300)), server


@pytest.mark.parametrize("seed", range(25 * SCALE))
def test_any_bad_day(seed: int) -> None:
    """
    Whatever comes together, mixed sizes, tenants and priorities: within a day of virtual time every row has its one
    answer or one typed error, nothing is answered twice, the server is not flooded, and the books are even.
    """
    limits, rows, server = forecast(seed)
    dice = random.Random(f"rows {seed}")

    async def story() -> tuple[Judge, list[Any]]:
        judge = Judge(limits, **server)
        limiter = Limiter(
            limits if dice.random() < 0.3 else (),
            max_in_flight=dice.choice((None, None, 5, 50)),
            retry=RetryPolicy.bulk(max_hint_s=86_400),
            dice=dice.random,
        )
        calls = []
        for number in range(rows):
            options = {"priority": dice.choice((-1, 0, 0, 2)), "tenant": dice.choice("ab")}
            tokens = dice.choice((1, 10, 10, 100, 400))
            calls.append(asyncio.create_task(judge.ask(limiter, f"r{number}", tokens=tokens, **options)))
        _, waiting = await asyncio.wait(calls, timeout=86_400)
        assert not waiting, f"{len(waiting)} of {rows} wait: {limiter.explain(key='gpt-4o', tokens=1)}"
        assert at_zero(limiter)
        return judge, await asyncio.gather(*calls, return_exceptions=True)

    judge, ends = tell(story, seed=seed)
    answered = {end for end in ends if isinstance(end, str)}
    assert answered == set(judge.tally.answered)
    assert judge.tally.repeated == 0
    # A patient row ends by its own bad luck alone: five failures while others succeed.
    assert {type(end) for end in ends} <= {str, ResponseError, Overloaded, ConnectionResetError}
    assert len(answered) >= rows - 2
    assert judge.tally.refusals <= 3 * rows + 60


def test_a_long_quiet_day_costs_nothing() -> None:
    """
    Thousands of calls that wait for a limit of one an hour: no timer but one, and a day passes in no time.
    """

    async def story() -> None:
        limiter = Limiter("1/hour", max_queue=5000)
        waiting = [asyncio.create_task(limiter.call(asyncio.sleep, 0)) for _ in range(3000)]
        await asyncio.sleep(86_400)
        assert sum(task.done() for task in waiting) in (24, 25)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert at_zero(limiter)

    _, seconds = tell_and_time(story)
    assert seconds == pytest.approx(86_400, abs=1)
