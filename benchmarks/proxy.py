"""
What the proxy adds to a call, and how many calls a second one core carries.

Three processes: the load, the proxy on a core of its own, and the model server without
limits in the way. Added latency is measured in pairs on one connection each: a call
direct, a call through, and so on. For the rate many connections ask at once; beside what
the clock says stand the calls for each second of the proxy's own CPU, because on a
machine of two cores the load and the server have to share the other one.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ratelimit_client.core.quota import per_minute
from ratelimit_client.testing.serve import serve_in_process

PAIRS = 2_000
CALLS = 20_000
CONNECTIONS = 64
WARM_UP = 500
_BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Who wrote Walden? " * 20}]}


class Caller(asyncio.Protocol):
    """One connection that asks the same again and again, as cheaply as it can be done."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._transport: Any = None
        self._answer = bytearray()
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, mark, body = self._answer.partition(b"\r\n\r\n")
        if mark and self._waiter is not None and len(body) >= _length(head):
            assert head.startswith(b"HTTP/1.1 200"), bytes(self._answer[:200])
            self._answer.clear()
            self._waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError("the connection ended"))

    async def ask(self) -> None:
        """One call."""
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(self._request)
        await self._waiter


def _length(head: bytes | bytearray) -> int:
    at = head.lower().index(b"content-length:") + 15
    return int(head[at : at + 12].split(b"\r")[0])


async def _caller(url: str) -> Caller:
    parts = urlsplit(url)
    body = json.dumps(_BODY).encode()
    lines = [
        f"POST {parts.path}/chat/completions HTTP/1.1",
        f"Host: {parts.netloc}",
        "Authorization: Bearer a-key-of-nobody",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Accept: application/json",
        "User-Agent: benchmark",
    ]
    head = "".join(f"{line}\r\n" for line in [*lines, ""])
    loop = asyncio.get_running_loop()
    _, caller = await loop.create_connection(
        lambda: Caller(head.encode() + body), str(parts.hostname), parts.port or 80
    )
    return caller


@contextmanager
def serving(upstream: str, core: int | None) -> Iterator[tuple[str, int]]:
    """A proxy in a process of its own, on one core: its base URL and the number of the process."""
    words = ["serve", "--port", "0", "--upstream", upstream, "--max-in-flight", "1000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ratelimit_client", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        yield line.rpartition("=")[2].strip(), process.pid
    finally:
        process.terminate()
        process.wait(10)


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _latency(direct: str, through: str, pairs: int) -> dict[str, float]:
    one, other = await _caller(direct), await _caller(through)
    spent: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + pairs):
        for caller, times in zip((one, other), spent, strict=True):
            began = time.perf_counter()
            await caller.ask()
            if number >= WARM_UP:
                times.append((time.perf_counter() - began) * 1e3)
    added = [b - a for a, b in zip(*spent, strict=True)]
    return {
        "direct_p50_ms": round(statistics.median(spent[0]), 3),
        "through_p50_ms": round(statistics.median(spent[1]), 3),
        "added_p50_ms": round(statistics.median(added), 3),
        "added_p99_ms": round(statistics.quantiles(added, n=100)[98], 3),
    }


async def _rate(through: str, process: int, calls: int, connections: int) -> dict[str, float]:
    callers = [await _caller(through) for _ in range(connections)]

    async def ask(caller: Caller, times: int) -> None:
        for _ in range(times):
            await caller.ask()

    await asyncio.gather(*(ask(caller, 1 + WARM_UP // connections) for caller in callers))
    cpu, began = _cpu_s(process), time.perf_counter()
    each = calls // connections
    await asyncio.gather(*(ask(caller, each) for caller in callers))
    spent_s, cpu_s = time.perf_counter() - began, _cpu_s(process) - cpu
    return {
        "calls": each * connections,
        "calls_per_s": round(each * connections / spent_s),
        "calls_per_cpu_s": round(each * connections / cpu_s),
        "cpu_us_per_call": round(cpu_s / (each * connections) * 1e6),
    }


def proxy(pairs: int = PAIRS, calls: int = CALLS) -> dict[str, Any]:
    """Added latency, and the rate of one core."""
    cores = sorted(os.sched_getaffinity(0))
    alone = len(cores) > 1
    try:
        if alone:
            os.sched_setaffinity(0, set(cores[1:]))  # the model server inherits it
        with (
            serve_in_process(per_minute(requests=10**9, tokens=10**12)) as url,
            serving(str(url), cores[0] if alone else None) as (through, process),
        ):
            latency = asyncio.run(_latency(str(url), through, pairs))
            rate = asyncio.run(_rate(through, process, calls, CONNECTIONS))
    finally:
        os.sched_setaffinity(0, set(cores))
    return {"pairs": pairs, **latency, "connections": CONNECTIONS, **rate}


if __name__ == "__main__":
    print(json.dumps(proxy(*map(int, sys.argv[1:])), indent=2))
