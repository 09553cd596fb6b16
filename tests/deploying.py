"""
Reading what deploy/ asks of Prometheus, and something that answers to all of it.

Law of this file: no YAML is parsed here that promtool has not read; what is taken out of a file
is a line of a known form.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from ratelimit_client import Client, Limiter, QuotaExhausted, RetryPolicy, per_minute
from ratelimit_client.adapters.prometheus import gauge, watch
from ratelimit_client.core.lease import Call, Lease
from ratelimit_client.errors import StoreUnavailable
from ratelimit_client.runtime.store import InProcessStore
from ratelimit_client.testing import Faults, run_virtual, serve_model
from tests.canary import KEY

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 50}

_METRIC = re.compile(r"\b(ratelimit_client[a-z0-9_:]*)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_LISTS = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


def program(name: str) -> str:
    """Where it is; without it the test is skipped, which is a failure where skips are forbidden."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def promtool(*args: str, cwd: Path = PROMETHEUS) -> tuple[bool, str]:
    """Whether it is content, and what it says."""
    done = subprocess.run([program("promtool"), *args], cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def expressions_of(text: str) -> list[str]:
    """The expressions of a file of rules: on the line of the key, or indented below it."""
    found = re.findall(r"^( *)expr: (\|\n(?:\1 +.*\n)+|.+\n)", text, re.MULTILINE)
    return [" ".join(line.strip() for line in body.removeprefix("|\n").splitlines()) for _, body in found]


def asked_for(expression: str) -> dict[str, set[str]]:
    """Names of metrics -> labels that are matched of them."""
    found: dict[str, set[str]] = {}
    for name, matchers in _METRIC.findall(expression):
        found.setdefault(name, set()).update(_MATCHER.findall(matchers))
    return found


def grouped_by(expression: str) -> set[str]:
    """Labels that it groups by or joins on."""
    return {label.strip() for labels in _LISTS.findall(expression) for label in labels.split(",") if label.strip()}


class _Leaving(InProcessStore):
    """There, and after a while not."""

    gone = False

    async def renew(self, call: Call) -> Sequence[Lease]:
        if self.gone:
            raise StoreUnavailable("gone")
        return await super().renew(call)


_KEPT: list[Limiter] = []
"""Limiters that are to be there at the scrape, which only looks at those that somebody has."""


def everything() -> CollectorRegistry:
    """A registry in which every family has a value: refusals, retries, streams, estimates, an empty account, a job."""
    registry = CollectorRegistry()

    async def story() -> None:
        store = _Leaving()
        _KEPT.append(limiter := Limiter(per_minute(requests=60), store=store, name="mine"))
        watch(limiter, registry)
        async with limiter.permit("gpt-4o"):
            store.gone = True
            await asyncio.sleep(30)
        for state in ("pending", "running", "done", "failed"):
            gauge("bulk_rows", {"job": "out.jsonl", "state": state}, lambda: 1.0, registry)
        gauge("bulk_last_progress_timestamp_seconds", {"job": "out.jsonl"}, lambda: 1.0, registry)
        options: dict[str, Any] = {"latency": 0.5, "faults": Faults(server_error=0.2), "seed": 3}
        async with (
            serve_model(per_minute(requests=60, tokens=20_000), **options) as url,
            Client(url, api_key=KEY, name="mine", retry=RetryPolicy(budget=1.0)) as client,
            Client(url, api_key=KEY, name="careless", retry=RetryPolicy.none()) as careless,
        ):
            watch(client, registry)
            others = [careless.post("/chat/completions", json=CHAT) for _ in range(70)]
            calls = [client.post("/chat/completions", json=CHAT) for _ in range(70)]
            await asyncio.gather(*others, *calls, return_exceptions=True)
            async with client.stream("/chat/completions", json=CHAT) as stream:
                async for _ in stream:
                    pass
        async with serve_model(quota_after=0) as url, Client(url, api_key=KEY, name="mine") as client:
            watch(client, registry)
            with contextlib.suppress(QuotaExhausted):
                await client.post("/chat/completions", json=CHAT)

    run_virtual(story)
    return registry
