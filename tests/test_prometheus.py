"""A real Prometheus scrapes a real run with refusals, evaluates the rules that we ship, and answers queries."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from prometheus_client import CollectorRegistry

from ratelimit_client import Client, RetryPolicy, per_minute
from ratelimit_client.adapters.prometheus import MetricsPage, gauge, watch
from ratelimit_client.testing import Faults, serve_model, sliced
from tests.canary import KEY
from tests.deploying import PROMETHEUS, ROOT, program
from tests.sizes import SCALE, SIZE
from tests.test_deploy import filled

ROUNDS = 2
CALLS = 30 * min(SCALE, 5)
SUCCEEDED = 'sum(ratelimit_client_requests_total{client="mine", model="gpt-4o", outcome="success"})'
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}

_PATIENCE_S = 60.0

_CONFIG = """
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [%(rules)s/rules.yml, %(rules)s/alerts.yml]
scrape_configs:
  - job_name: test
    static_configs: [{targets: ["%(target)s"]}]
"""


@attrs.frozen
class Monitor:
    """A Prometheus that runs, and how to ask it."""

    url: str
    session: aiohttp.ClientSession

    async def get(self, path: str, **params: str) -> Any:
        async with self.session.get(f"{self.url}/api/v1/{path}", params=params) as answer:
            found = await answer.json()
        assert found["status"] == "success", found
        return found["data"]

    async def query(self, expression: str) -> dict[tuple[str, ...], float]:
        """Values of the labels in the order of their names -> value."""
        result = (await self.get("query", query=expression))["result"]
        return {
            tuple(value for name, value in sorted(each["metric"].items()) if name != "__name__"): float(
                each["value"][1]
            )
            for each in result
        }

    async def until(self, expression: str, right: Callable[[dict[tuple[str, ...], float]], bool]) -> None:
        """Ask until it is so; a scrape is never far."""
        found: dict[tuple[str, ...], float] = {}
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not right(found):
                    await asyncio.sleep(0.1)
                    found = await self.query(expression)
        except TimeoutError:
            raise AssertionError(f"{expression} stays {found}") from None


@contextlib.asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[Monitor]:
    """One that scrapes *target* twice a second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "prometheus.yml").write_text(_CONFIG % {"rules": PROMETHEUS, "target": target})
    process = await asyncio.create_subprocess_exec(
        program("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=error",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            monitor = Monitor(f"http://127.0.0.1:{port}", session)
            while True:
                with contextlib.suppress(aiohttp.ClientError, AssertionError):
                    if await monitor.query("up == 1"):
                        break
                await asyncio.sleep(0.1)
            yield monitor
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()


if SIZE != "test":  # it takes its time

    def test_a_real_prometheus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What it answers is what the client counted and the server saw; rules record, an alert is pending, panels
        have data, and an example names a request that the server answered.
        """
        program("prometheus")
        monkeypatch.syspath_prepend(str(ROOT / "scripts"))
        dashboard = import_module("dashboard")

        async def story() -> None:
            registry = CollectorRegistry()
            gauge("bulk_rows", {"job": "out.jsonl", "state": "pending"}, lambda: 7.0, registry)
            gauge("bulk_last_progress_timestamp_seconds", {"job": "out.jsonl"}, lambda: time.time() - 3600, registry)
            # A minute is enforced as its seconds, which the headers do not show: some calls are refused.
            options: dict[str, Any] = {"latency": 0.2, "faults": Faults(server_error=0.1), "enforcement": sliced(1)}
            async with (
                serve_model(per_minute(requests=300), seed=3, **options) as url,
                MetricsPage("0", registry) as page,
            ):
                assert page.url is not None
                async with prometheus(tmp_path, page.url.split("/")[2]) as monitor:
                    clients = []
                    for done in range(ROUNDS):
                        clients.append(await a_round(url, registry))
                        await monitor.until(SUCCEEDED, lambda found, calls=CALLS * (done + 1): found == {(): calls})
                    await look(monitor, {str(code): count for code, count in url.tally.statuses.items()})
                    rules = (await monitor.get("rules"))["groups"]
                    failed = [rule["lastError"] for group in rules for rule in group["rules"] if rule.get("lastError")]
                    assert failed == []
                    answered = [await monitor.query(filled(each)) for each in dashboard.expressions()]
                    assert sum(map(bool, answered)) > len(answered) / 2

        asyncio.run(asyncio.wait_for(story(), 200))


async def a_round(url: str, registry: CollectorRegistry) -> Client:
    """Calls of a client that knows nothing yet. A rate sees nothing of the counts with which series begin."""
    async with Client(url, api_key=KEY, name="mine", retry=RetryPolicy(max_attempts=9, budget=1.0)) as client:
        watch(client, registry)
        await asyncio.gather(*(client.post("/chat/completions", json=CHAT) for _ in range(CALLS)))
    return client


async def look(monitor: Monitor, codes: dict[str, int]) -> None:
    """At the end of a run all of it is there: *codes* is what the server answered."""
    assert codes["200"] == ROUNDS * CALLS
    assert codes["429"] > 0
    assert await monitor.query("sum by (code) (ratelimit_client_attempts_total)") == {
        (at,): n for at, n in codes.items()
    }
    refused = await monitor.query('sum(ratelimit_client_rate_limited_total{limit="requests"})')
    assert refused == {(): codes["429"]}
    assert await monitor.query("max(ratelimit_client_limit)") == {(): 300}
    assert await monitor.query("sum(ratelimit_client_queue_depth) + sum(ratelimit_client_in_flight)") == {(): 0}
    assert await monitor.query("sum by (exported_job, job, state) (ratelimit_client_bulk_rows)") == {
        ("out.jsonl", "test", "pending"): 7
    }
    await recorded(monitor)
    await exemplars(monitor)


async def recorded(monitor: Monitor) -> None:
    """The rules have seen the refusals of all rounds but the first; a job that stands still waits to be an alert."""
    await monitor.until('ratelimit_client:refused_ratio:rate5m{client="mine"} > 0', bool)
    assert list((await monitor.query("ratelimit_client:bulk_rows_left:sum")).values()) == [7]
    pending = 'sum by (alertname, exported_job) (ALERTS{alertstate="pending", alertname!~".*Refusals"})'
    await monitor.until(pending, lambda found: found == {("RateLimitClientBulkWithoutProgress", "out.jsonl"): 1})
    assert not await monitor.query('ALERTS{alertstate="firing"}')


async def exemplars(monitor: Monitor) -> None:
    """Of durations and of refusals."""
    for family in ("ratelimit_client_request_duration_seconds_bucket", "ratelimit_client_attempts_total"):
        found = await monitor.get("query_exemplars", query=family, start="0", end="9999999999")
        names = {each["labels"]["request_id"] for series in found for each in series["exemplars"]}
        assert names, json.dumps(found)
        assert all(name.startswith("req_") for name in names)
