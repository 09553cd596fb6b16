"""The metrics as the contract lists them: names, types, labels, sums, and what they cost when nobody looks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from ratelimit_client import Client, ConfigurationError, Limiter, RetryPolicy, per_minute
from ratelimit_client.adapters.prometheus import MetricsPage, address_of, watch
from ratelimit_client.testing import Faults, serve_model
from tests.acceptance.library import CHAT, KEY, QUICK, tell

PREFIX = "ratelimit_client_"

# family -> (type, labels beside client and model), as far as a client with REST calls has them
FAMILIES = {
    "build_info": ("gauge", {"version"}),
    "requests_total": ("counter", {"client", "model", "outcome"}),
    "attempts_total": ("counter", {"client", "model", "code"}),
    "retries_total": ("counter", {"client", "model", "reason"}),
    "rate_limited_total": ("counter", {"client", "model", "limit"}),
    "tokens_total": ("counter", {"client", "model", "type"}),
    "queue_depth": ("gauge", {"client", "model", "priority"}),
    "queued_tokens": ("gauge", {"client", "model", "priority"}),
    "queue_oldest_wait_seconds": ("gauge", {"client", "model", "priority"}),
    "in_flight": ("gauge", {"client", "model"}),
    "concurrency_limit": ("gauge", {"client", "model"}),
    "limit": ("gauge", {"client", "model", "limit", "window", "source"}),
    "available": ("gauge", {"client", "model", "limit"}),
    "server_remaining": ("gauge", {"client", "model", "limit"}),
    "foreign_usage_ratio": ("gauge", {"client", "model", "limit"}),
    "cooldown_seconds": ("gauge", {"client", "model"}),
    "queue_wait_seconds": ("histogram", {"client"}),
    "request_duration_seconds": ("histogram", {"client"}),
    "attempt_duration_seconds": ("histogram", {"client"}),
}

# in the table too, and allowed to be missing: they are about things that need not happen in a story
OTHERS = {
    "queued_tokens": ("gauge", {"client", "model", "priority"}),
    "time_to_first_token_seconds": ("histogram", {"client"}),
}


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Labels -> value of one sample name."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == PREFIX + name
    }


def total(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return sum(value for at, value in samples(registry, name).items() if set(labels.items()) <= set(at))


def test_families_types_and_labels() -> None:
    """
    After a run with a retry and a refusal every family of the table is there, with its type and its labels.
    """

    async def story() -> CollectorRegistry:
        registry = CollectorRegistry()
        faults = Faults(server_error=0.2)
        async with (
            serve_model(per_minute(requests=60), latency=0.1, faults=faults, seed=3) as url,
            Client(url, api_key=KEY, retry=QUICK, name="mine") as client,
        ):
            watch(client, registry)
            watch(client, registry)
            calls = [client.post("/chat/completions", json={**CHAT, "user": f"{n}"}) for n in range(70)]
            await asyncio.gather(*calls, return_exceptions=True)
            # One call more than the bucket holds, past the limiter: a refusal is somebody else's doing.
            async with Client(url, api_key=KEY, name="mine", retry=RetryPolicy.none()) as careless:
                watch(careless, registry)
                await asyncio.gather(
                    *(careless.post("/chat/completions", json=CHAT) for _ in range(70)), return_exceptions=True
                )
        return registry

    registry = tell(story)
    found: dict[str, tuple[str, set[str]]] = {}
    for family in registry.collect():
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX)
            for suffix in ("_bucket", "_sum", "_count", "_created"):
                name = name.removesuffix(suffix)
            kind = "gauge" if family.type == "info" else family.type
            found[name] = (kind, set(sample.labels) - {"le"})
    assert FAMILIES.items() <= found.items()
    assert found.items() <= (FAMILIES | OTHERS).items()


def test_one_outcome_for_each_logical_call() -> None:
    """
    success, error, expired, cancelled, rejected add up to what was asked; attempts to what the server saw.
    """

    async def story() -> None:
        registry = CollectorRegistry()
        faults = Faults(server_error=0.3, reset=0.1)
        async with (
            serve_model(per_minute(requests=600), latency=1, faults=faults, seed=1) as url,
            Client(url, api_key=KEY, retry=RetryPolicy(max_attempts=2, budget=1.0)) as client,
        ):
            watch(client, registry)
            calls: list[asyncio.Task[Any]] = []
            for number in range(200):
                body = {**CHAT, "user": f"r{number}"}
                deadline = 0.5 if number % 10 == 0 else None
                calls.append(asyncio.create_task(client.post("/chat/completions", json=body, deadline=deadline)))
            await asyncio.sleep(2)
            for call in calls[50:60]:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await client.drain()
            await asyncio.gather(client.get("/models"), return_exceptions=True)  # the door is shut
            await asyncio.sleep(5)

            assert total(registry, "requests_total") == 201
            outcomes = {dict(at)["outcome"] for at in samples(registry, "requests_total")}
            assert outcomes <= {"success", "error", "expired", "cancelled", "rejected"}
            assert outcomes >= {"success", "error", "expired", "rejected"}
            heard = sum(1 for call in calls if not call.cancelled() and call.exception() is None)
            assert total(registry, "requests_total", outcome="success") == heard
            codes = {dict(at)["code"] for at in samples(registry, "attempts_total")}
            assert codes <= {"200", "500", "connection", "timeout", "protocol"}
            assert total(registry, "attempts_total", code="500") <= url.tally.statuses[500]
            for gauge in ("in_flight", "queue_depth"):
                assert total(registry, gauge) == 0

    tell(story)


def test_the_model_label_is_capped() -> None:
    """
    A hundred models: 32 by name, the rest as "other", and the counts still add up.
    """

    async def story() -> None:
        registry = CollectorRegistry()
        async with serve_model() as url, Client(url, api_key=KEY) as client:
            watch(client, registry)
            await asyncio.gather(
                *(client.post("/chat/completions", json={**CHAT, "model": f"m{n}"}) for n in range(100))
            )
        models = {dict(at)["model"] for at in samples(registry, "requests_total")}
        assert len(models) == 33
        assert "other" in models
        assert total(registry, "requests_total", outcome="success") == 100

    tell(story)


def test_two_clients_of_one_name_share_their_series() -> None:
    """
    Nobody crashes on a name that is there already: counts add up.
    """

    async def story() -> None:
        registry = CollectorRegistry()
        async with serve_model() as url, Client(url, api_key=KEY) as one, Client(url, api_key=KEY) as two:
            watch(one, registry)
            watch(two, registry)
            await one.post("/chat/completions", json=CHAT)
            await two.post("/chat/completions", json=CHAT)
        assert total(registry, "requests_total", client="default", outcome="success") == 2

    tell(story)


def test_the_key_is_in_no_metric() -> None:
    """
    A whole scrape holds neither the key nor a part of it.
    """

    async def story() -> bytes:
        registry = CollectorRegistry()
        async with serve_model() as url, Client(url, api_key=KEY, organization="org-1") as client:
            watch(client, registry)
            await client.post("/chat/completions", json=CHAT)
            return generate_latest(registry)

    assert KEY[3:].encode() not in tell(story)


def test_a_limiter_alone_is_watched_too() -> None:
    """
    What a limiter knows (queues, levels, attempts) is shown without a client.
    """

    async def story() -> None:
        registry = CollectorRegistry()
        limiter = Limiter(per_minute(requests=100), name="alone")
        watch(limiter, registry)
        async with limiter.permit() as permit:
            assert total(registry, "in_flight", client="alone") == 1
            permit.observe(200, {})
        await asyncio.sleep(0)
        assert total(registry, "available", client="alone", limit="requests") == 99
        assert total(registry, "limit", client="alone", source="config", window="60") == 100
        assert total(registry, "attempts_total", code="200") == 1

    tell(story)


def test_nothing_listens_unless_asked_and_then_on_loopback() -> None:
    """
    A page has an address of this machine unless a host is named, and a port that is taken is a warning.
    """

    async def story() -> None:
        registry = CollectorRegistry()
        async with MetricsPage("0", registry) as page:
            assert page.url is not None
            assert page.url.startswith("http://127.0.0.1:")
            port = page.url.split(":")[2].split("/")[0]
            async with MetricsPage(port, registry) as second:
                assert second.url is None

    asyncio.run(story())
    assert address_of("9464") == ("127.0.0.1", 9464)
    assert address_of("0.0.0.0:9464") == ("0.0.0.0", 9464)


def test_a_client_that_is_not_watched_never_loads_prometheus() -> None:
    """
    Importing and making a client costs no prometheus_client.
    """
    code = (
        "import sys; from ratelimit_client import Client, Limiter; Limiter(); Client('http://127.0.0.1:1');"
        "sys.exit('prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("text", ["", "x", "70000", "-1", ":9464", "host:"])
def test_what_is_no_address(text: str) -> None:
    """
    A sentence, not a traceback.
    """
    with pytest.raises(ConfigurationError):
        address_of(text)
