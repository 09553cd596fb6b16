"""A journal that was cut or zeroed anywhere: the same command always comes to the same result."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratelimit_client.adapters.aiohttp.client import Client
from ratelimit_client.adapters.aiohttp.reply import Reply
from ratelimit_client.bulk.engines.local import LocalEngine
from ratelimit_client.bulk.job import Bounds, Job
from ratelimit_client.bulk.manifest import Manifest
from ratelimit_client.bulk.output import open_output
from ratelimit_client.bulk.row import Row
from ratelimit_client.bulk.source import Source
from ratelimit_client.bulk.walk import Walk
from ratelimit_client.core.retry import RetryPolicy
from ratelimit_client.runtime.desk import Told
from tests.jobs import row, write

URL = "http://127.0.0.1:1/v1"


class AtOnce(LocalEngine):
    """Answers every row with its name, in the next turn of the loop; remembers which were sent."""

    sent: list[str]

    async def call(self, row: Row) -> Reply:
        self.sent.append(row.custom_id)
        await asyncio.sleep(0)
        content = json.dumps({"to": row.custom_id}).encode()
        told = Told(200, {}, None, 0)
        return Reply(status=200, headers={}, content=content, data={}, told=told, attempts=1, queue_s=0.0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a place: thousands of syncs wait for no disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        yield Path(path)


async def finish(folder: Path, client: Client) -> list[str]:
    """Run the job to its end; gives the names of the rows that were sent."""
    source = Source.open(str(folder / "in"))
    output = open_output(str(folder / "out"), source, Manifest(input="in", base_url=URL))
    engine = AtOnce(client)
    engine.sent = []
    job = Job(
        source,
        output,
        engine,
        Walk(output.ledger.table, glances=output.ledger.resumes),
        bounds=Bounds(),
        monotonic_ns=time.monotonic_ns,
        wall_s=time.time,
    )
    try:
        await job.run()
    finally:
        output.close()
        source.close()
    assert output.failed is None
    return sorted(engine.sent)


def in_lines(path: Path) -> list[bytes]:
    """The lines of a file, sorted."""
    return sorted(path.read_bytes().splitlines(keepends=True))


def whole_in(text: bytes, size: int) -> int:
    """How many lines of *text* are whole in its first bytes, be it without the newline."""
    ends = [place for place, byte in enumerate(text) if byte == ord("\n")]
    return sum(end <= size for end in ends)


@pytest.mark.parametrize("name", ["out", "out.errors.jsonl"])
@pytest.mark.parametrize("zeroed", [False, True])
def test_cut_or_zeroed_at_every_byte(folder: Path, name: str, zeroed: bool) -> None:
    """
    Every line is there once, as it was; the rows sent are those whose lines were not whole any more, and no other.
    """
    write(folder / "in", row("a"), row("b"), "no row", row("a"), row("\u2028"))
    files = [folder / "out", folder / "out.errors.jsonl"]

    async def every_byte() -> int:
        client = Client(URL, retry=RetryPolicy.bulk())
        assert await finish(folder, client) == ["a", "b", "\u2028"]
        before = {path: path.read_bytes() for path in files}
        expected = {path: in_lines(path) for path in files}
        text = before[folder / name]
        written = [json.loads(line)["custom_id"] for line in text.splitlines()]
        for size in range(len(text) + 1):
            for path in files:
                path.write_bytes(before[path])
            (folder / name).write_bytes(text[:size] + b"\0" * ((len(text) - size) * zeroed))

            sent = await finish(folder, client)

            assert {path: in_lines(path) for path in files} == expected, size
            assert sent == (sorted(written[whole_in(text, size) :]) if name == "out" else []), size
        await client.close()
        return len(text)

    assert asyncio.run(every_byte()) > 300


def test_zeros_in_the_middle_are_one_bad_line(folder: Path) -> None:
    """
    A page that never reached the disk, with later pages that did: its rows run again, the others do not.
    """
    write(folder / "in", *(row(f"r{number}") for number in range(5)))

    async def middle() -> None:
        client = Client(URL, retry=RetryPolicy.bulk())
        await finish(folder, client)
        lines = (folder / "out").read_bytes().splitlines(keepends=True)
        broken = b"\0" * 40 + lines[1][40:]
        (folder / "out").write_bytes(b"".join((lines[0], broken, *lines[2:])))

        name = json.loads(lines[1])["custom_id"]
        assert await finish(folder, client) == [name]
        assert (folder / "out").read_bytes() == b"".join((lines[0], broken, *lines[2:], lines[1]))
        assert await finish(folder, client) == []
        await client.close()

    asyncio.run(middle())
