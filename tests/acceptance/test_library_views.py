"""What a limiter shows of itself, and whose loop it is: statistics, explain, WrongLoop, fork."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import attrs
import pytest

from ratelimit_client import Limiter, RetryPolicy, WrongLoop, per_day, per_minute
from ratelimit_client.testing import Faults, Outsiders, silent, sliced
from tests.acceptance.library import Judge, at_zero, empty, now_s, tell

KEY_FIELDS = {
    *("queued", "oldest_wait_s", "in_flight", "window", "buckets", "granted", "refused", "estimate_ratio", "mode"),
}
BUCKET_FIELDS = {
    *("unit", "window_s", "limit", "level", "reserve", "server_remaining", "source", "gate_s", "learnt_burst"),
    *("foreign_ratio", "series"),
}


def test_statistics_have_the_documented_fields() -> None:
    """
    LimiterStatistics(name, keys) with totals; every field of a key and of a bucket, with the values of a small story.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=100, tokens=1000), name="mine")
        async with limiter.permit(key="a", tokens=300), limiter.permit(key="b", tokens=900):
            waiting = asyncio.create_task(limiter.call(asyncio.sleep, 0, key="b", tokens=700))
            await asyncio.sleep(2)
            statistics = limiter.statistics()
            assert {field.name for field in attrs.fields(type(statistics))} >= {"name", "keys"}
            assert (statistics.name, statistics.queued, statistics.in_flight) == ("mine", 1, 2)
            a, b = statistics.keys["a"], statistics.keys["b"]
            assert {field.name for field in attrs.fields(type(a))} >= KEY_FIELDS
            assert (b.queued, b.oldest_wait_s, b.in_flight, b.granted, b.refused) == (1, 2, 1, 1, 0)
            assert (a.queued, a.oldest_wait_s, a.window >= 1) == (0, 0, True)
            bucket = a.buckets["tokens"]
            assert {field.name for field in attrs.fields(type(bucket))} >= BUCKET_FIELDS
            assert (bucket.unit, bucket.window_s, bucket.limit, bucket.source) == ("tokens", 60, 1000, "config")
            assert bucket.level == pytest.approx(733, abs=1)
            assert (bucket.server_remaining, bucket.gate_s, bucket.learnt_burst) == (None, 0, None)
            assert (bucket.foreign_ratio, bucket.series) == (0, "none")
            assert bucket.reserve == pytest.approx(10)
        await waiting
        assert at_zero(limiter)

    tell(story)


@pytest.mark.parametrize(
    ("mode", "options", "calls"),
    [
        ("ramp", {"latency": 1.0}, 100),
        ("steady", {"latency": 0.1}, 700),
        ("learnt_rate", {"latency": 0.1, "headers": silent()}, 900),
        ("sharing", {"latency": 0.1, "outsiders": Outsiders(per_s=6)}, 900),
        ("outage", {"latency": 0.1, "faults": Faults(reset=1.0, from_s=3)}, 900),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_mode_says_how_a_key_finds_its_pace(mode: str, options: dict[str, Any], calls: int) -> None:
    """
    Each of the five modes is shown while it is true.
    """

    async def story() -> set[str]:
        judge, seen = Judge(per_minute(requests=600), **options), set()
        limiter = Limiter(retry=RetryPolicy.bulk())
        tasks = [asyncio.create_task(judge.ask(limiter, f"r{n}")) for n in range(calls)]
        for _ in range(60):
            await asyncio.sleep(0.5)
            if limiter.statistics().queued:
                seen.add(str(limiter.statistics().keys["gpt-4o"].mode))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert at_zero(limiter)
        return seen

    assert mode in tell(story)


def test_a_learnt_burst_is_shown_and_the_documented_level_is_not_forgotten() -> None:
    """
    A server that holds less than it shows: learnt_burst is about its slice, limit is what it shows.
    """

    async def story() -> None:
        judge, limiter = Judge(per_minute(requests=1200), latency=0.1, enforcement=sliced(1)), Limiter()
        await asyncio.gather(*(judge.ask(limiter, f"r{n}") for n in range(600)))
        bucket = limiter.statistics().keys["gpt-4o"].buckets["requests"]
        assert bucket.limit == 1200
        assert bucket.learnt_burst is not None
        assert bucket.learnt_burst < 400
        assert bucket.series == "alive"

    tell(story)


def test_explain_says_whether_when_and_why() -> None:
    """
    Explanation(admissible, ready_in_s, binding, ahead, reason); its str is the sentence; it changes nothing.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=60, tokens=6000), max_in_flight=500)
        fine = limiter.explain(tokens=100)
        assert (fine.admissible, fine.ready_in_s, fine.binding, fine.ahead) == (True, 0, None, 0)
        assert str(fine) == fine.reason

        async with limiter.permit(tokens=5000):
            pass
        late = limiter.explain(tokens=3000)
        assert (late.admissible, late.binding, late.ahead) == (False, "tokens", 0)
        assert late.ready_in_s == pytest.approx(20, abs=1)
        assert "tokens" in str(late)
        began = now_s()
        async with limiter.permit(tokens=3000):
            assert now_s() - began == pytest.approx(late.ready_in_s, abs=0.1)

        never = limiter.explain(tokens=6001)
        assert (never.admissible, never.ready_in_s, never.binding) == (False, None, "tokens")
        assert "6,001" in str(never)

        empty(limiter, tokens=1)
        waiting = [asyncio.create_task(limiter.call(asyncio.sleep, 0, tokens=1)) for _ in range(10)]
        await asyncio.sleep(0)
        behind = limiter.explain(tokens=1)
        assert behind.ahead == 10
        assert limiter.explain(tokens=1, priority=-1).ahead == 0
        assert "10 calls are ahead" in str(behind)
        await asyncio.gather(*waiting)
        assert at_zero(limiter)

    tell(story)


def test_explain_names_the_window_that_binds() -> None:
    """
    Of a quota a minute and one a day, the sentence is about the one that makes it wait.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=60) + per_day(requests=20))
        empty(limiter)
        sentence = str(limiter.explain())
        assert "of 20 per 86400 s" in sentence
        assert "of 60" not in sentence

    tell(story)


def test_explain_knows_slots() -> None:
    """
    All of max_in_flight are out: nobody knows when one comes back.
    """

    async def story() -> None:
        limiter = Limiter(max_in_flight=1)
        async with limiter.permit():
            shut = limiter.explain()
            assert (shut.admissible, shut.ready_in_s, shut.binding) == (False, None, "slots")
            assert "max_in_flight" in str(shut)
        assert limiter.explain().admissible

    tell(story)


def test_the_repr_tells_how_it_stands() -> None:
    """
    Name, level of each bucket, queued, in flight.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=500), name="openai")
        async with limiter.permit():
            assert "openai" in repr(limiter)
            assert "499/500 requests" in repr(limiter)
            assert "1 in flight" in repr(limiter)
        limiter.close()
        assert "closed" in repr(limiter)

    tell(story)


# -- whose loop it is --------------------------------------------------------------------------


def test_at_rest_it_moves_to_the_next_loop_and_keeps_what_it_learnt() -> None:
    """
    Three loops, one after the other, one budget.
    """
    limiter = Limiter(per_day(requests=10))

    async def story() -> int:
        async with limiter.permit():
            pass
        return limiter.statistics().keys["default"].buckets["requests"].level

    assert [asyncio.run(story()) for _ in range(3)] == [9, 8, 7]


def test_busy_it_refuses_another_loop_and_says_what_to_do() -> None:
    """
    WrongLoop from another thread, while the call of the first goes on undisturbed.
    """
    limiter = Limiter(name="busy")
    caught: list[BaseException] = []

    async def intruder() -> None:
        for use in (limiter.permit_nowait, limiter.close, lambda: limiter.set_quotas("1/s")):
            try:
                use()
            except WrongLoop as error:
                caught.append(error)
        try:
            async with limiter.permit():
                pass
        except WrongLoop as error:
            caught.append(error)

    async def story() -> int:
        async with limiter.permit():
            thread = threading.Thread(target=lambda: asyncio.run(intruder()))
            thread.start()
            await asyncio.to_thread(thread.join)
            # Looking is allowed from anywhere.
            return limiter.statistics().in_flight

    assert asyncio.run(story()) == 1
    assert len(caught) == 4
    assert "run_coroutine_threadsafe" in str(caught[0])
    assert "busy" in str(caught[0])
    assert at_zero(limiter)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_after_a_fork_the_child_starts_at_rest_with_empty_counters() -> None:
    """
    Forked with a call out and one queued: the child has none of them, and its own calls go.
    """

    async def story() -> None:
        limiter = Limiter(per_day(requests=5), max_in_flight=1)
        async with limiter.permit():
            waiting = asyncio.create_task(limiter.call(asyncio.sleep, 0))
            await asyncio.sleep(0)
            pid = os.fork()
            if not pid:
                code = 1
                try:
                    code = 0 if _child_is_fresh(limiter) else 2
                finally:
                    os._exit(code)
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            assert (limiter.in_flight, limiter.queued) == (1, 1)
        await waiting
        assert limiter.statistics().keys["default"].granted == 2
        assert at_zero(limiter)

    asyncio.run(story())


def _child_is_fresh(limiter: Limiter) -> bool:
    fresh = at_zero(limiter) and not limiter.statistics().keys
    done: list[int] = []

    def use() -> None:
        # A thread, because the forked one still believes that the parent's loop runs in it.
        async def call() -> None:
            async with limiter.permit():
                done.append(limiter.in_flight)

        asyncio.run(call())

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(10)
    return fresh and done == [1] and limiter.statistics().keys["default"].granted == 1
