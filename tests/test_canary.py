"""
The key is nowhere but on the wire: objects, pickles, metrics; and the watch that searches what tests leave behind.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from ratelimit_client import Client, Limiter, RetryPolicy, per_minute
from ratelimit_client.adapters.logging import LoggingInstrument
from ratelimit_client.adapters.prometheus import watch
from ratelimit_client.runtime.secret import Secret
from tests.adapters.aiohttp.rawserver import Move, RawServer, answer
from tests.canary import FIXED_KEYS, KEY, OTHER_KEY, TOKEN, Watch, clean, shows
from tests.reaching import reachable

ROOT = Path(__file__).parent.parent


async def post(client: Client, **options: Any) -> object:
    return await client.post("/v1/x", json={}, **options)


def test_no_object_of_a_client_shows_the_key():
    """
    After successes, refusals and failures, and with one call still on its way: every object within reach, its
    statistics, what explains it, its metrics and its events.
    """
    weather = [
        [answer(b'{"usage":{"total_tokens":5}}', x_request_id="req_1")],
        [answer(b'{"error":{"code":"rate_limit_exceeded"}}', status="429 X", retry_after="0.01")],
        [answer(status="503 X")],
        [Move.CLOSE],
        [answer(b'{"error":{"message":"Incorrect API key provided: %s"}}' % KEY.encode(), status="401 X")],
        [Move.SILENCE],
    ]

    async def story() -> list[str]:
        registry = CollectorRegistry()
        limiter = Limiter(per_minute(requests=600), on_event=LoggingInstrument(level=logging.DEBUG))
        options: dict[str, Any] = {"limiter": limiter, "headers": {"x-team": "a"}, "retry": RetryPolicy(max_attempts=2)}
        async with RawServer(*weather) as server:
            client = Client(server.url, api_key=lambda: KEY, **options)
            watch(client, registry)
            ends = []
            while len(server.requests) < len(weather) - 1:
                ends += await asyncio.gather(post(client, headers={"x-key": KEY}), return_exceptions=True)
            pending = asyncio.create_task(post(client))
            while len(server.requests) < len(weather):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)

            found = [*reachable(client, registry, *ends, but=asyncio.get_running_loop())]
            shown = [repr(one) for one in found] + [str(one) for one in found if isinstance(one, BaseException)]
            shown += [repr(limiter.statistics()), str(limiter.explain()), generate_latest(registry).decode()]
            shown += [repr(vars(client)), repr(pending)]
            pending.cancel()
            await asyncio.wait([pending])
            await client.close()
        return shown

    shown = asyncio.run(story())

    assert len(shown) > 50
    assert [text[:200] for text in shown if shows(text)] == []


def test_what_can_be_pickled_holds_no_key():
    """
    A client cannot be; a secret can, without its value, and so can everything a client answers.
    """

    async def story() -> list[object]:
        async with RawServer([answer()]) as server, Client(server.url, api_key=KEY) as client:
            reply = await client.post("/v1/x", json={})
            with pytest.raises(TypeError):
                pickle.dumps(client)
            return [Secret(KEY), client.limiter.statistics(), reply.rate_limits, reply.data]

    for one in asyncio.run(story()):
        again = pickle.dumps(one)
        clean(again, type(one).__name__)
        clean(repr(pickle.loads(again)), type(one).__name__)


# ---- the watch itself --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"Bearer {KEY}", True),
        (f"Bearer {OTHER_KEY}", True),
        (f"...{TOKEN[8:24]}...", True),
        (f"Bearer {FIXED_KEYS[0]}", True),
        (base64.b64encode(f"user:{KEY}".encode()).decode(), True),
        (base64.b64encode(f"a:{KEY}".encode()).decode(), True),
        (base64.b64encode(f"ab:{KEY}".encode()).decode(), True),
        (repr(Secret(KEY)), False),
        ("sk-CANARY-", False),
    ],
    ids=range(9),
)
def test_the_key_is_recognised(text: str, found: bool):
    """
    Whole, in pieces, either of them, within base64 wherever it begins; its mask is not it.
    """
    assert shows(text) == shows(text.encode()) == found


def test_the_watch_hears_a_record(tmp_path: Path):
    """
    The key as an argument, in an extra, or in a local of a frame of the traceback.
    """
    heard = Watch()
    logger = logging.getLogger("careless")
    logger.propagate = False  # this leak is none of the suite
    logger.addHandler(heard)

    logger.debug("asked for %s", "a model")
    assert heard.taken() == []
    logger.debug("sent %s", {"Authorization": KEY})
    logger.debug("sent", extra={"headers": KEY})
    try:
        key = KEY
        raise ValueError(len(key))
    except ValueError:
        logger.exception("failed")
    assert len(heard.taken()) == 3
    assert heard.taken() == []

    (tmp_path / "clean").write_text("x" * 2**21)
    (tmp_path / "pipe").symlink_to("/dev/zero")
    heard.walk(tmp_path)
    assert heard.taken() == []
    assert heard.files == 1
    (tmp_path / "clean").write_text("x" * (2**20 - 20) + KEY)  # across two blocks
    (tmp_path / OTHER_KEY).mkdir()
    heard.walk(tmp_path)
    assert len(heard.taken()) == 2
    (tmp_path / OTHER_KEY).rmdir()
    (tmp_path / "clean").unlink()


LEAKS = """
import logging, sys
from tests.canary import KEY

def test_log(): logging.getLogger("ratelimit_client.x").debug("sending %s", KEY)
def test_print(): print(KEY)
def test_file(tmp_path): (tmp_path / "out.jsonl").write_text(KEY)
def test_capture(capfd): print(KEY); capfd.readouterr()
def test_clean(tmp_path): (tmp_path / "out.jsonl").write_text("{}")
"""


def test_a_leak_fails_the_test_that_left_it(tmp_path: Path):
    """
    A log line at DEBUG, a print, a file, captured output: each a failure that names the place; a clean test passes.
    """
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    options = ["-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider", "--basetemp", "kept", "--tb", "line"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_leaks.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RLC_CANARY": TOKEN[::-1]},  # their key, not ours
        capture_output=True,
        text=True,
        check=False,
    )
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        path.unlink() if path.is_file() or path.is_symlink() else path.rmdir()

    assert "3 error" in done.stdout
    assert "1 failed" in done.stdout
    for place in ("logger 'ratelimit_client.x'", "Captured stdout", "out.jsonl", "the key is in stdout"):
        assert place in done.stdout
    assert "4 hits" in done.stdout or "3 hits" in done.stdout
