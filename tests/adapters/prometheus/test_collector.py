from __future__ import annotations

import asyncio
import gc
import os
import shutil
import subprocess
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from ratelimit_client import (
    Client,
    Limiter,
    ModelNotFound,
    QuotaExhausted,
    RetryPolicy,
    __version__,
    per_day,
    per_minute,
)
from ratelimit_client.adapters.prometheus import Collector, gauge, watch
from ratelimit_client.testing import Faults, run_virtual, serve_model
from tests.adapters.prometheus.scraping import scraped
from tests.canary import KEY, shows
from tests.sizes import SCALE

MANY = min(100_000, 20_000 * SCALE)
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}


def a_run(registry: CollectorRegistry, **server: Any) -> None:
    """Forty calls, two at a time wrong, against a server that fails now and then."""

    async def story() -> None:
        async with (
            serve_model(per_minute(requests=120), models=["gpt-4o"], latency=1.0, **server) as url,
            Client(url, api_key=KEY, name="mine", retry=RetryPolicy(budget=1.0)) as client,
        ):
            watch(client, registry)
            calls = [client.post("/chat/completions", json=CHAT) for _ in range(40)]
            calls += [client.post("/chat/completions", json=CHAT | {"model": "nope"}) for _ in range(2)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert sum(isinstance(result, ModelNotFound) for result in results) == 2

    run_virtual(story)


def test_a_run_in_numbers():
    """
    Outcomes add up to the calls, attempts to what was sent; levels, waits and durations are there.
    """
    registry = CollectorRegistry()
    a_run(registry, faults=Faults(server_error=0.2))
    found = scraped(registry)

    assert found["requests_total", "mine", "gpt-4o", "success"] == 40
    assert found["requests_total", "mine", "nope", "error"] == 2
    failed = found["attempts_total", "mine", "500", "gpt-4o"]
    assert failed > 0
    assert found["attempts_total", "mine", "200", "gpt-4o"] == 40
    assert found["retries_total", "mine", "gpt-4o", "server_error"] == failed
    assert found["tokens_total", "mine", "gpt-4o", "input"] == 40 * 3
    assert found["limit", "mine", "requests", "gpt-4o", "header", "60"] == 120
    assert 0 <= found["available", "mine", "requests", "gpt-4o"] <= 120
    assert found["in_flight", "mine", "gpt-4o"] == 0
    assert found["queue_depth", "mine", "gpt-4o", "0"] == 0
    assert found["attempt_duration_seconds_count", "mine"] == 42 + failed
    assert found["attempt_duration_seconds_bucket", "mine", "1.0"] == 42 + failed
    assert found["request_duration_seconds_count", "mine"] == 42
    assert found["request_duration_seconds_bucket", "mine", "+Inf"] == 42
    assert found["queue_wait_seconds_count", "mine"] == 42 + failed
    assert found["build_info", __version__] == 1


def test_what_waits_by_priority():
    """
    Calls, what they cost, and the longest wait, of each priority in which something waited; of two limiters of one
    name the sums, and the longer wait.
    """
    registry = CollectorRegistry()

    async def story() -> None:
        limiters = [Limiter(per_minute(requests=1, tokens=1000)) for _ in range(2)]
        calls = []
        for limiter in limiters:
            watch(limiter, registry)
            for priority in (0, 1, 1, -2):
                call = limiter.call(asyncio.sleep, 0, key="m", tokens=100, priority=priority)
                calls.append(asyncio.create_task(call))
            await asyncio.sleep(1)
        found = scraped(registry)
        assert [found["queue_depth", "default", "m", priority] for priority in ("-2", "0", "1")] == [2, 0, 4]
        assert [found["queued_tokens", "default", "m", priority] for priority in ("-2", "0", "1")] == [200, 0, 400]
        assert found["queue_oldest_wait_seconds", "default", "m", "1"] == pytest.approx(2.0, abs=0.01)
        assert found["queue_oldest_wait_seconds", "default", "m", "0"] == 0
        assert ("queue_depth", "default", "m", "2") not in found
        for limiter in limiters:
            limiter.close()
        await asyncio.gather(*calls, return_exceptions=True)

    run_virtual(story)


def test_how_good_estimates_are():
    """
    What answers show to have been charged, over what was estimated; a refusal that names the number counts, too.
    """
    registry = CollectorRegistry()

    async def story() -> None:
        async with serve_model(per_minute(requests=100, tokens=100_000)) as url, Client(url, api_key=KEY) as client:
            watch(client, registry)
            for _ in range(10):
                await client.post("/chat/completions", json=CHAT | {"max_tokens": 50})
                await asyncio.sleep(1)

    run_virtual(story)
    found = scraped(registry)
    count = found["token_estimate_ratio_count", "default"]
    assert count >= 5
    assert found["token_estimate_ratio_bucket", "default", "+Inf"] == count
    assert found["token_estimate_ratio_sum", "default"] > 0


def test_refusals_by_the_limit_they_name():
    """
    A rate limit by its name, and an empty account as "quota".
    """
    registry = CollectorRegistry()

    async def story() -> None:
        async with serve_model(quota_after=0) as url, Client(url, api_key=KEY) as client:
            watch(client, registry)
            with pytest.raises(QuotaExhausted):
                await client.post("/chat/completions", json=CHAT)
        limiter = Limiter(name="other")
        watch(limiter, registry)
        for headers in ({"x-ratelimit-limit-requests": "3", "x-ratelimit-remaining-requests": "0"}, {}):
            async with limiter.permit("m") as permit:
                permit.observe(429, headers)
        await limiter.drain()

    run_virtual(story)
    found = scraped(registry)
    assert found["rate_limited_total", "default", "quota", "gpt-4o"] == 1
    assert sum(value for (name, *rest), value in found.items() if name == "rate_limited_total" and "other" in rest) == 2
    assert found["attempts_total", "other", "429", "m"] == 2


def test_the_wait_that_a_server_asked_for():
    """
    Also where it named no limit; it runs down, and is 0 when nobody asked.
    """
    registry = CollectorRegistry()

    async def story() -> None:
        limiter = Limiter(name="mine")
        watch(limiter, registry)
        async with limiter.permit("m") as permit:
            permit.observe(429, {"retry-after": "30"})
        async with limiter.permit("n") as permit:
            permit.observe(200, {})
        await asyncio.sleep(10)
        found = scraped(registry)
        assert found["cooldown_seconds", "mine", "m"] == pytest.approx(20.5, abs=0.6)
        assert found["cooldown_seconds", "mine", "n"] == 0

    run_virtual(story)


def test_labels_are_bounded():
    """
    A thousand models are 32 and "other"; nothing is lost from the sums.
    """
    registry = CollectorRegistry()
    kept = []

    async def story() -> None:
        limiter = Limiter(per_day(requests=5))
        kept.append(limiter)
        watch(limiter, registry)
        for number in range(1000):
            async with limiter.permit(f"m{number}") as permit:
                permit.observe(200, {})
        await limiter.drain()

    run_virtual(story)
    counts = {key: value for key, value in scraped(registry).items() if key[0] == "attempts_total"}
    assert len(counts) == 33
    assert sum(counts.values()) == 1000
    assert counts["attempts_total", "default", "200", "other"] == 968
    assert len([key for key in scraped(registry) if key[0] == "available"]) == 32


def test_two_limiters_of_one_name():
    """
    One set of series: counts and queues add up, and go on when one is forgotten.
    """
    registry = CollectorRegistry()

    async def story() -> None:
        for _ in range(2):
            limiter = Limiter(per_day(requests=5))
            watch(limiter, registry)
            async with limiter.permit("m") as permit:
                permit.observe(200, {})
            await limiter.drain()

    run_virtual(story)
    gc.collect()
    assert scraped(registry)["attempts_total", "default", "200", "m"] == 2


def test_one_collector_in_each_registry():
    """
    Watching again, or another, registers nothing twice; a limiter is not kept alive by it.
    """
    registry = CollectorRegistry()
    limiter = Limiter()
    for _ in range(3):
        watch(limiter, registry)
        watch(Limiter(name="b"), registry)
    gc.collect()

    collectors = {id(found) for found in gc.get_objects() if isinstance(found, Collector) and found._limiters}
    assert len(collectors) == 1
    assert scraped(registry) == {("build_info", "0.1.0"): 1}


def test_numbers_of_somebody_else():
    """
    A gauge is read at the scrape; the same labels again replace it.
    """
    registry = CollectorRegistry()
    rows = {"done": 1.0}
    gauge("bulk_rows", {"job": "j", "state": "done"}, lambda: 99.0, registry)
    gauge("bulk_rows", {"job": "j", "state": "done"}, lambda: rows["done"], registry)
    gauge("bulk_rows", {"job": "j", "state": "failed"}, lambda: 0.0, registry)
    rows["done"] = 7

    found = scraped(registry)
    assert (found["bulk_rows", "j", "done"], found["bulk_rows", "j", "failed"]) == (7, 0)


def test_a_family_appears_with_its_first_value():
    """
    Before anything happened there is the version and nothing else; no secret is in any of it.
    """
    registry = CollectorRegistry()
    watch(Client("http://localhost:1/v1", api_key=KEY), registry)
    text = generate_latest(registry).decode()

    assert {key[0] for key in scraped(registry)} == {"build_info"}
    assert not shows(text)


def test_counts_are_of_a_model_and_levels_of_a_budget():
    """
    Two organizations behind one limiter: what was sent adds up, what is left does not.
    """
    registry = CollectorRegistry()

    async def story() -> Limiter:
        limiter = Limiter(name="mine")
        async with (
            serve_model(per_day(requests=120)) as url,
            Client(url, api_key=KEY, organization="org-1", limiter=limiter) as one,
            Client(url, api_key=KEY, organization="org-2", limiter=limiter) as two,
        ):
            for client in (one, two, two):
                watch(client, registry)
                await client.post("/chat/completions", json=CHAT)
        return limiter

    limiter, _ = run_virtual(story)
    found = scraped(registry)
    assert found["attempts_total", "mine", "200", "gpt-4o"] == found["requests_total", "mine", "gpt-4o", "success"] == 3
    levels = {name[3]: value for name, value in found.items() if name[0] == "available"}
    assert levels == {"gpt-4o": pytest.approx(119, abs=1), "gpt-4o @2": 117}
    assert limiter.statistics().keys.keys() == levels.keys()


def test_a_hundred_thousand_models_are_thirty_three():
    """
    Series, of counts and of gauges alike, and whatever is kept of their names; nothing is lost from the sums.
    """
    registry = CollectorRegistry()
    kept = []

    async def story() -> None:
        async with serve_model() as url, Client(url, api_key=KEY, name="mine") as client:
            watch(client, registry)
            tally, counts = client.tally, client.limiter.counts
            kept.append(client)
            for number in range(MANY):
                model = f"m{number}"
                tally.add(model, "success", 0.1)
                tally.tried_again(model, "connection")
                tally.ran_out(model)
                tally.used(model, {"prompt_tokens": 2})
                counts.answered(model, 200, None)

    run_virtual(story)
    found = scraped(registry)
    for name, total in (("requests_total", 1), ("retries_total", 1), ("tokens_total", 2), ("attempts_total", 1)):
        values = [value for at, value in found.items() if at[0] == name]
        assert (len(values), sum(values)) == (33, total * MANY)
    tally = kept[0].tally
    assert max(map(len, (tally.outcomes, tally.retries, tally.tokens, tally.exhausted))) <= 1025


def test_the_first_token_of_a_stream():
    """
    From the start of the attempt that was answered: neither the queue nor a refusal before it counts.
    """
    registry = CollectorRegistry()

    async def story() -> None:
        async with (
            serve_model(latency=0.3, faults=Faults(server_error=0.5), seed=3) as url,
            Client(url, api_key=KEY, retry=RetryPolicy(max_attempts=9, budget=1.0)) as client,
        ):
            watch(client, registry)
            for _ in range(5):
                async with client.stream("/chat/completions", json=CHAT) as stream:
                    async for _ in stream:
                        pass
            assert client.tally.retries.total() > 0

    run_virtual(story)
    found = scraped(registry)
    assert found["time_to_first_token_seconds_count", "default"] == 5
    assert found["time_to_first_token_seconds_bucket", "default", "0.5"] == 5
    assert found["time_to_first_token_seconds_sum", "default"] >= 5 * 0.29


def test_a_gauge_that_cannot_be_read(caplog: pytest.LogCaptureFixture):
    """
    Costs that one number, and one line in the log.
    """
    registry = CollectorRegistry()
    gauge("bulk_rows", {"job": "j", "state": "done"}, lambda: 1 / 0, registry)
    gauge("bulk_rows", {"job": "j", "state": "failed"}, lambda: 2.0, registry)
    for _ in range(2):
        found = scraped(registry)
    assert found["bulk_rows", "j", "failed"] == 2
    assert ("bulk_rows", "j", "done") not in found
    assert caplog.text.count("cannot be read") == 1


def test_a_hook_that_raises_costs_no_call_and_no_count():
    """
    Whatever a hook of the user's own does with an event, calls go on and are counted.
    """
    registry = CollectorRegistry()

    def hook(event: object) -> None:
        raise RuntimeError("no hook of ours")

    async def story() -> None:
        limiter = Limiter(on_event=hook)
        async with serve_model() as url, Client(url, api_key=KEY, limiter=limiter) as client:
            watch(client, registry)
            for _ in range(5):
                assert (await client.post("/chat/completions", json=CHAT)).status == 200

    run_virtual(story)
    assert scraped(registry)["requests_total", "default", "gpt-4o", "success"] == 5
    assert scraped(registry)["attempts_total", "default", "200", "gpt-4o"] == 5


def test_a_forked_child_counts_from_zero():
    """
    What the parent counted is the parent's: nothing is counted twice where pages of both are added up.
    """
    registry = CollectorRegistry()
    limiter = Limiter(name="mine")
    watch(limiter, registry)
    limiter.counts.answered("m", 200, None)
    read, write = os.pipe()
    if (pid := os.fork()) == 0:  # pragma: no cover - another process
        limiter.counts.answered("m", 200, None)
        os.write(write, str(scraped(registry)["attempts_total", "mine", "200", "m"]).encode())
        os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(read, 100) == b"1.0"
    assert scraped(registry)["attempts_total", "mine", "200", "m"] == 1
    os.close(read)
    os.close(write)


def test_promtool_finds_nothing_to_say():
    """
    Names, types and help are as Prometheus wants them.
    """
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    registry = CollectorRegistry()
    a_run(registry, faults=Faults(server_error=0.2))
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(registry), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
