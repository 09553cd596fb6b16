"""The model server in a process of its own."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from ratelimit_client import InvalidQuota, Quotas, per_minute
from ratelimit_client.testing import ModelServer, fixed, minute, serve_in_process, sliced
from ratelimit_client.testing.serve import add_arguments, enforcement, limits_from, main, server_from

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


def post(url: str, body: Any = BODY) -> int:
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_it_runs_beside_us_and_tells_its_tally() -> None:
    """The child serves while we are there and is gone afterwards."""
    with serve_in_process(per_minute(requests=2), enforcement=sliced(60)) as url:
        assert [post(url, {**BODY, "user": row}) for row in ("a", "b", "c")] == [200, 200, 429]
        stats = url.stats(marks=True)
        assert (stats["admitted"], stats["refusals"]) == (2, 1)
        assert stats["answered"] == {"a": 1, "b": 1}
        assert "answered" not in url.stats()

    with pytest.raises(OSError, match="refused"):
        post(url)


def test_a_server_that_cannot_start_says_so() -> None:
    """An option it does not know ends the child; we are told and do not wait."""
    with pytest.raises(RuntimeError, match="ended at start"), serve_in_process(no_such_option=1):
        pass


def test_it_is_a_program() -> None:
    """It prints its URL, serves until it is interrupted, and leaves its tally on stderr."""
    command = [sys.executable, "-m", "ratelimit_client.testing.serve", "--port", "0", "--limit", "2 requests/min"]
    with subprocess.Popen(
        [*command, "--latency", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background ignore it, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert [post(url) for _ in range(3)] == [200, 200, 429]
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)

    assert process.returncode == 130
    assert json.loads(stderr)["refusals"] == 1


@pytest.mark.parametrize("wrong", [["--limit", "many"], ["--enforcement", "sometimes"], ["--port", "99999999"]])
def test_wrong_arguments_are_usage_errors(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 and a sentence, no traceback."""
    with pytest.raises(SystemExit) as caught:
        main(wrong)

    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def options(*arguments: str) -> ModelServer:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return server_from(parser.parse_args(arguments))


def test_the_options_make_the_server() -> None:
    """Each one is a property of the server; without any it is the default one."""
    server = options(
        "--limit", "300 requests/min", "--limit", "gpt-4o=5 requests/s", "--limit", "gpt-4o=1k tokens/min",
        "--enforcement", "sliced:5", "--latency", "0.15", "--no-headers", "--free-refusals", "--quota-after", "9",
        "--seed", "3",
    )  # fmt: skip

    assert server.limits == {"*": Quotas.of("300 requests/min"), "gpt-4o": Quotas.of(["5 requests/s", "1k tokens/min"])}
    assert server.enforcement["*"] == sliced(5)
    assert (server.headers.kind, server.charge_refusals, server.quota_after, server.seed) == ("silent", False, 9, 3)
    assert options().limits == ModelServer().limits


def test_limits_and_kinds_are_read() -> None:
    """Quotas for each model or for one; kinds by name."""
    assert limits_from([]) is None
    with pytest.raises(InvalidQuota):
        limits_from(["gpt-4o=lots"])
    assert enforcement("minute") == minute()
    assert enforcement("fixed:2.5") == fixed(2.5)
    for wrong in ("minute:3", "sliced", "fixed:x", ""):
        with pytest.raises(ValueError):
            enforcement(wrong)
