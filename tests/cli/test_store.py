"""``run --store``: several runs on one budget."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from ratelimit_client import per_minute
from ratelimit_client.testing import serve_model, sliced
from tests import canary
from tests.redis_server import RedisServer, free_port, running
from tests.sizes import SCALE, SIZE

PATIENCE_S = 240.0


def rows(folder: Path, count: int) -> Path:
    """A job."""
    path = folder / "rows.jsonl"
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}
    with path.open("w") as file:
        for number in range(count):
            row = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(row) + "\n")
    return path


async def run(folder: Path, base_url: str, *arguments: str) -> tuple[int, str, dict[str, object]]:
    """One run as a program: its exit code, what it said, its summary."""
    facts = folder / "summary.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ratelimit_client", "run", *arguments, "--summary-file", str(facts), "--progress", "none",
        env={**environment, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": canary.KEY},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        _, said = await process.communicate()
        raise AssertionError(f"a run did not end within {PATIENCE_S:g} s: {said[-2000:]!r}") from None
    canary.clean(said, "what a run said")
    return process.returncode or 0, said.decode(), json.loads(facts.read_text()) if facts.exists() else {}


async def several(folder: Path, store: str, count: int, parts: int, url: str) -> list[dict[str, object]]:
    """So many runs, each with its part of the rows."""
    path, runs = rows(folder, count), []
    for part in range(1, parts + 1):
        place = folder / str(part)
        place.mkdir()
        out = str(place / "out.jsonl")
        runs.append(run(place, url, str(path), "-o", out, "--store", store, "--shard", f"{part}/{parts}"))
    ended = await asyncio.gather(*runs)
    assert [code for code, _, _ in ended] == [0] * parts, [said for _, said, _ in ended]
    return [facts for _, _, facts in ended]


def test_four_runs_share_one_budget(tmp_path: Path) -> None:
    """
    No limit is typed and a fifth of the minute is enforced: all rows are answered, and few calls refused.

    At the larger size it takes longer than the bucket lasts, so that the rate counts and not the burst.
    """
    count, most = (240, 0.10) if SCALE < 10 else (2400, 0.015)

    async def story(server: RedisServer) -> None:
        limits = per_minute(requests=3000, tokens=10_000_000)
        async with serve_model(limits, api_keys=[canary.KEY], enforcement=sliced(12), latency=0.3) as url:
            facts = await several(tmp_path, server.url, count, 4, str(url))
        assert sum(int(str(each["ok"])) for each in facts) == count
        assert sum(int(str(each["refused_429"])) for each in facts) <= most * count

    with running(tmp_path) as server:
        asyncio.run(story(server))


if SIZE != "test":  # it takes its time

    def test_a_store_that_dies_half_way_loses_no_row(tmp_path: Path) -> None:
        """Each run goes on with its part, and few calls more are refused."""
        count, most = (240, 0.15) if SCALE < 10 else (2400, 0.03)

        async def story(server: RedisServer) -> None:
            limits = per_minute(requests=3000, tokens=10_000_000)
            async with serve_model(limits, api_keys=[canary.KEY], enforcement=sliced(12), latency=0.3) as url:
                runs = asyncio.create_task(several(tmp_path, server.url, count, 4, str(url)))
                while url.server.tally.calls < count / 2 and not runs.done():
                    await asyncio.wait([runs], timeout=0.05)
                server.kill()
                facts = await runs
            assert sum(int(str(each["ok"])) for each in facts) == count
            assert sum(int(str(each["refused_429"])) for each in facts) <= most * count

        with running(tmp_path) as server:
            asyncio.run(story(server))


def test_a_store_that_is_set_up_wrongly_ends_the_run_before_the_first_call(tmp_path: Path) -> None:
    """Exit code 2, and no password in what it says."""

    async def story(server: RedisServer) -> None:
        async with serve_model(api_keys=[canary.KEY]) as url:
            store = server.url.replace("//", f"//:{canary.KEY}@")
            code, said, _ = await run(
                tmp_path, str(url), str(rows(tmp_path, 2)), "-o", str(tmp_path / "out"), "--store", store
            )
            assert (code, url.server.tally.calls) == (2, 0)
            assert "refused the password" in said

    with running(tmp_path, "requirepass another") as server:
        asyncio.run(story(server))


def test_without_the_store_a_run_goes_on_and_says_so(tmp_path: Path) -> None:
    """With its part of the limits."""

    async def story() -> None:
        store = f"redis://:{canary.KEY}@127.0.0.1:{free_port()}"
        async with serve_model(per_minute(requests=600), api_keys=[canary.KEY]) as url:
            code, said, facts = await run(
                tmp_path, str(url), str(rows(tmp_path, 5)), "-o", str(tmp_path / "out"), "--store", store
            )
        assert (code, facts["ok"]) == (0, 5), said
        assert "no connection to the store redis://127.0.0.1" in said

    asyncio.run(story())


@pytest.mark.parametrize("url", ["http://host", "redis://", "redis://:a@host:port", "redis+sentinel://host"])
def test_what_is_no_store_is_refused(tmp_path: Path, url: str) -> None:
    """A usage error."""

    async def story() -> None:
        code, said, _ = await run(tmp_path, "http://127.0.0.1:1", str(rows(tmp_path, 1)), "-o", "-", "--store", url)
        assert code == 2
        assert ":a@" not in said

    asyncio.run(story())
