"""What the live page is told: the numbers of a scrape, and beside them why a call waits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from ratelimit_client import Client, Limiter, RetryPolicy, per_minute
from ratelimit_client.adapters.prometheus import Collector, MetricsPage, gauge, progress, watch
from ratelimit_client.adapters.prometheus.history import History
from ratelimit_client.adapters.prometheus.state import as_json, state_of
from ratelimit_client.testing import Faults, run_virtual, serve_model
from tests.adapters.prometheus.scraping import scraped
from tests.canary import KEY

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}


def state(collector: Collector, history: History | None = None) -> Any:
    return json.loads(as_json(state_of(collector, history or History(), now_s=1.5)))


def test_it_says_what_a_scrape_says():
    """
    Counts, queues, calls under way, limits and levels are equal; texts and numbers that no scrape has stand beside.
    """
    registry = CollectorRegistry()
    collector = Collector(registry)

    async def story() -> None:
        faults = Faults(server_error=0.2)
        async with (
            serve_model(per_minute(requests=60), latency=0.5, faults=faults, seed=3) as url,
            Client(url, api_key=KEY, name="mine", retry=RetryPolicy(budget=1.0)) as client,
        ):
            collector.watch(client)
            calls = [client.post("/chat/completions", json=CHAT, priority=n % 2) for n in range(80)]
            everything = asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(20)
            shown, said = state(collector), scraped(registry)
            await everything

            (found,) = shown["clients"]
            (key,) = found["keys"]
            (bucket,) = (each for each in key["buckets"] if each["name"] == "requests")
            assert key["model"] == "gpt-4o"
            assert key["in_flight"] == said["in_flight", "mine", "gpt-4o"]
            assert key["window"] == said["concurrency_limit", "mine", "gpt-4o"]
            assert {each["priority"]: each["queued"] for each in key["queue"]} == {
                0: said["queue_depth", "mine", "gpt-4o", "0"],
                1: said["queue_depth", "mine", "gpt-4o", "1"],
            }
            assert bucket["limit"] == said["limit", "mine", "requests", "gpt-4o", "header", "60"]
            assert bucket["level"] == said["available", "mine", "requests", "gpt-4o"]
            assert bucket["server_remaining"] == said["server_remaining", "mine", "requests", "gpt-4o"]
            (counts,) = shown["counts"]
            for name in ("requests", "attempts", "retries", "tokens"):
                assert sum(counts[name].values()) == sum(n for at, n in said.items() if at[0] == f"{name}_total")
            assert key["queued"] > 0
            assert key["explanation"]["ready_in_s"] > 0
            assert key["explanation"]["reason"].startswith("waits ")
            assert key["first"]["binding"] == "requests"
            assert 0 < key["first"]["ready_in_s"] < key["explanation"]["ready_in_s"]

    run_virtual(story)


def test_of_many_models_those_with_a_label_have_an_entry():
    """
    Of 40 names 32 are told one by one; what waits and is under way in the others is one sum.
    """

    async def story() -> None:
        limiter = Limiter(name="mine")
        collector = Collector(None)
        collector.watch(limiter)
        permits = [limiter.permit(f"model-{number}") for number in range(40)]
        for permit in permits:
            await permit.__aenter__()
        (found,) = state(collector)["clients"]
        assert len(found["keys"]) == 32
        assert found["others"] == {"keys": 8, "queued": 0, "in_flight": 8}
        for permit in permits:
            await permit.__aexit__(None, None, None)

    run_virtual(story)


def test_whatever_somebody_calls_it():
    """
    A name that is no UTF-8, or without an end, is cut and told; a number that is none is null.
    """

    async def story() -> None:
        registry = CollectorRegistry()
        limiter = Limiter(name="</script>\ud800")
        watch(limiter, registry)
        async with limiter.permit("\udfff" + "x" * 1000):
            pass
        gauge("bulk_rows", {"job": "o", "state": "done"}, lambda: float("nan"), registry)
        progress("o", lambda: {"eta_s": float("inf"), "state": "\ud800", "odd": ["x", ("y", 0.1234567891)]}, registry)
        async with (
            MetricsPage("0", registry) as page,
            aiohttp.ClientSession() as session,
            session.get(f"{page.live_url}state.json") as answer,
        ):
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["Cache-Control"] == "no-store"
            shown = await answer.json()
        (found,) = shown["clients"]
        assert found["client"] == "</script>\\ud800"
        assert found["keys"][0]["model"] == "\\udfff" + "x" * 127
        told = {"eta_s": None, "state": "\\ud800", "odd": ["x", ["y", 0.123457]]}
        assert shown["jobs"] == [{"job": "o", "rows": {"done": None}, "progress": told}]

    asyncio.run(story())


def test_a_job_that_cannot_tell(caplog: Any):
    """
    Its rows are told all the same, and the log says once what is wrong.
    """
    collector = Collector(None)
    collector.gauge("bulk_rows", {"job": "o", "state": "failed"}, lambda: 2)
    collector.progress("o", lambda: {}["gone"])
    collector.progress("p", lambda: {"done": 1})
    for _ in range(2):
        assert state(collector)["jobs"] == [
            {"job": "o", "rows": {"failed": 2}, "progress": None},
            {"job": "p", "rows": {}, "progress": {"done": 1}},
        ]
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
