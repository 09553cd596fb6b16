"""
A bulk job from its input to its output, and a bare loop that does the same calls and writes.

Law of this file: both talk through aiohttp to one server, on an event loop whose time is a number and
whose network is memory, so that what arrives together is the same in every run. What the server
and that network take is in both counts. Files are real.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import tempfile
from pathlib import Path
from typing import Any, Final

import aiohttp

from ratelimit_client import Client, RetryPolicy
from ratelimit_client.bulk.engines.local import LocalEngine
from ratelimit_client.bulk.job import Bounds, Job
from ratelimit_client.bulk.manifest import Manifest
from ratelimit_client.bulk.output import open_output
from ratelimit_client.bulk.source import Source
from ratelimit_client.bulk.walk import Walk
from ratelimit_client.core.units import NS
from ratelimit_client.testing.loop import VirtualLoop, run_virtual

from . import texts

ROWS: Final = 60
_IN_FLIGHT: Final = 16
_PORT: Final = 8000
_URL: Final = f"http://127.0.0.1:{_PORT}/v1"
_KEY: Final = "the-key-of-a-benchmark"
_LATENCY_S: Final = 0.005
_length = re.compile(rb"(?i)content-length: *(\d+)").search


def _answer(number: int) -> bytes:
    said = {**texts.answer_headers(number), "Content-Length": str(len(texts.ANSWER))}
    return b"HTTP/1.1 200 OK\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in said.items()) + b"\r\n" + texts.ANSWER


_ANSWERS: Final = [_answer(number) for number in range(64)]


class Server(asyncio.Protocol):
    """As little of a server as aiohttp's client needs: it finds the end of each request and answers a little later."""

    def __init__(self) -> None:
        self._held = b""
        self._transport: Any = None
        self._answered = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        held = self._held + data
        while (head := held.find(b"\r\n\r\n")) >= 0:
            found = _length(held, 0, head + 2)
            end = head + 4 + (int(found[1]) if found else 0)
            if len(held) < end:
                break
            held = held[end:]
            self._answered += 1
            loop = asyncio.get_running_loop()
            loop.call_later(_LATENCY_S, self._transport.write, _ANSWERS[self._answered % len(_ANSWERS)])
        self._held = held


def _write(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = {
                "custom_id": f"row-{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": texts.QUESTION,
            }
            file.write(json.dumps(row) + "\n")


def bare(rounds: int) -> None:
    """A semaphore, a session and one write for each answer, over so many inputs' worth of rows."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder, "in"), rounds * ROWS)

        async def main() -> None:
            async with await asyncio.get_running_loop().create_server(Server, "127.0.0.1", _PORT):
                await _run_bare(folder)

        run_virtual(main)
        assert len(Path(folder, "out").read_bytes().splitlines()) == rounds * ROWS


async def _run_bare(folder: str) -> None:
    gate = asyncio.Semaphore(_IN_FLIGHT)
    headers = {"Authorization": f"Bearer {_KEY}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:
        with open(f"{folder}/in", "rb") as source, open(f"{folder}/out", "wb", buffering=0) as out:

            async def call(row: dict[str, Any]) -> None:
                body = json.dumps(row["body"]).encode()
                async with gate, session.post(f"{_URL}/chat/completions", data=body) as response:
                    answer = json.loads(await response.read())
                line = {"custom_id": row["custom_id"], "response": {"status_code": response.status, "body": answer}}
                out.write(json.dumps(line).encode() + b"\n")

            async with asyncio.TaskGroup() as calls:
                for text in source:
                    calls.create_task(call(json.loads(text)))


def job(rounds: int) -> None:
    """The same rows through a bulk job, as ``ratelimit-client run`` makes it."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder, "in"), rounds * ROWS)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            async with await loop.create_server(Server, "127.0.0.1", _PORT):
                await _run_job(loop, folder)

        run_virtual(main)
        assert len(Path(folder, "out").read_bytes().splitlines()) == rounds * ROWS


async def _run_job(loop: VirtualLoop, folder: str) -> None:
    random.seed(1)  # the limiter's dice
    client = Client(_URL, api_key=_KEY, retry=RetryPolicy.bulk(), max_in_flight=_IN_FLIGHT, organization="", project="")
    source = Source.open(f"{folder}/in")
    output = open_output(f"{folder}/out", source, Manifest(input="in", base_url=_URL))
    job = Job(
        source,
        output,
        LocalEngine(client),
        Walk(output.ledger.table, glances=output.ledger.resumes),
        bounds=Bounds(),
        monotonic_ns=loop.clock.monotonic_ns,
        wall_s=lambda: loop.clock.wall_ns() / NS,
        rows_expected=source.count(),
    )
    await job.run()
    job.close_output()
    source.close()
    await client.close()
