"""``serve``: the proxy as a program, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratelimit_client.cli import main
from tests.jobs import KEY, serving, start
from tests.proxy.talking import CHAT, STREAMED, TARGET, Line, Said

PATIENCE_S = 30.0


@contextlib.contextmanager
def served(*arguments: str, upstream: str | None = None, **environment: str) -> Iterator[tuple[Any, str]]:
    """The program, serving; and the base URL it says."""
    upstream = upstream or os.environ["OPENAI_BASE_URL"]
    words = ["--port", "0", "--upstream", upstream, *arguments]
    process = start(*words, command=("serve",), env={**os.environ, **environment})
    try:
        line = process.stdout.readline().decode()
        assert line.startswith("listening on http://127.0.0.1:"), line + process.stderr.read().decode()
        yield process, line.rpartition("OPENAI_BASE_URL=")[2].strip()
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Its exit code, and what it said to people."""
    _, said = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said.decode()


def asked(url: str, body: Any = CHAT, **headers: str) -> Said:
    async def story() -> Said:
        async with Line(url) as line:
            return await line.ask(TARGET, body, headers=headers)

    return asyncio.run(story())


def test_it_says_where_it_is_and_what_to_set() -> None:
    """
    One line on stdout; calls go with the caller's key, though there is one of its own in the environment.
    """
    with serving(api_keys=[KEY]) as server, served() as (process, url):
        refused = asked(url)
        answered = asked(url, Authorization=f"Bearer {KEY}")
        process.send_signal(signal.SIGTERM)
        code, said = ended(process)

    assert (refused.status, answered.status) == (401, 200)
    assert code == 0
    assert "calls go with the caller's key" in said
    assert "WARNING" not in said
    assert "answered 2 calls" in said
    assert server.tally.calls == 2


def test_it_lends_its_key_when_it_is_told_to(tmp_path: Path) -> None:
    """
    To whoever asks; and what it learnt of limits begins the next one.
    """
    state = tmp_path / "limits"
    with serving("6000 requests/min", api_keys=[KEY]):
        with served("--credentials", "own", "--state", str(state)) as (process, url):
            answered = asked(url, Authorization="Bearer nothing")
            process.send_signal(signal.SIGINT)
            code, said = ended(process)
        with served("--credentials", "own", "--state", str(state)) as (_, again):
            facts = json.loads(fetched(again.removesuffix("v1") + "healthz"))

    assert (answered.status, code) == (200, 0)
    assert "OPENAI_API_KEY, lent to every program on this machine" in said
    learnt = json.loads(state.read_text())["limits"]
    assert [(one["model"], one["unit"], one["limit"]) for one in learnt] == [("gpt-4o", "requests", 6000)]
    assert facts["status"] == "ok"


def test_others_are_let_in_with_a_warning() -> None:
    """
    Loud, and with what they could do.
    """
    with serving(), served("--host", "0.0.0.0", "--credentials", "own") as (process, _):
        process.send_signal(signal.SIGTERM)
        code, said = ended(process)

    assert code == 0
    assert "WARNING: listening on 0.0.0.0 for more than this machine" in said
    assert "lent to every program that reaches it" in said
    assert "whoever reaches it spends with the key of this proxy" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_streams_end(number: signal.Signals) -> None:
    """
    Nobody is let in any more, the stream comes whole, and the exit code is 0.
    """

    async def story(process: Any, url: str) -> tuple[Said, Said]:
        async with Line(url) as stream, Line(url) as late:
            stream.say(TARGET, STREAMED)
            await stream.hear_head()
            process.send_signal(number)
            said = await asyncio.to_thread(said_so, process, "no further calls")
            assert "1 under way and 0 queued" in said
            refused = await late.ask(TARGET, CHAT)
            pieces = b""
            while piece := await stream.hear_chunk():
                pieces += piece
            return Said(200, [], pieces), refused

    with serving(streaming=1.0), served() as (process, url):
        whole, refused = asyncio.run(story(process, url))
        code, _ = ended(process)

    assert whole.body.endswith(b"data: [DONE]\n\n")
    assert (refused.status, refused.error["code"]) == (503, "draining")
    assert code == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("how", ["a second signal", "the grace is over"])
def test_what_does_not_end_in_time_is_broken_off(number: signal.Signals, code: int, how: str) -> None:
    """
    After --grace, or at once at the second signal; the exit code says so, and the stream is not ended as if whole.
    """

    async def story(process: Any, url: str) -> bytes:
        async with Line(url) as stream:
            stream.say(TARGET, STREAMED)
            await stream.hear_head()
            process.send_signal(number)
            await asyncio.to_thread(said_so, process, "no further calls")
            if how == "a second signal":
                process.send_signal(number)
            return await stream.left()

    grace = "0.2" if how == "the grace is over" else "60"
    with serving(streaming=60.0), served("--grace", grace) as (process, url):
        rest = asyncio.run(story(process, url))
        found, said = ended(process)

    assert not rest.endswith(b"0\r\n\r\n")
    assert found == code
    assert "1 broken off" in said


def fetched(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        return str(answer.read().decode())


def said_so(process: Any, words: str) -> str:
    """The next line of stderr that holds *words*."""
    while line := process.stderr.readline().decode():
        if words in line:
            return line
    raise AssertionError(f"it never said {words!r}")


def test_metrics_are_shown_if_asked_for() -> None:
    """
    On a page of their own, in the name of the proxy.
    """
    with serving(), served("--metrics", "0") as (process, url):
        assert asked(url).status == 200
        page = said_so(process, "metrics on").split()[-1]
        text = fetched(page)

    assert 'ratelimit_client_requests_total{client="proxy",model="gpt-4o",outcome="success"} 1.0' in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--credentials", "own"], "set OPENAI_API_KEY"),
        (["--state", "x"], "--state goes with --credentials own"),
        (["--upstream", "http://api.example/v1"], "plain http"),
        (["--upstream", "nonsense"], "the base URL cannot be used"),
        (["--upstream", "https://user:secret@api.example"], "user name or password"),
        (["--dialect", "klingon"], "--dialect"),
        (["--port", "x"], "--port"),
        (["--host", "no.such.host.invalid", "--port", "0"], "cannot listen on no.such.host.invalid:0"),
        (["--credentials", "both"], "--credentials"),
        (["--limit", "fast"], "--limit"),
    ],
)
def test_what_cannot_be_is_said_before_it_listens(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Exit code 2 and one sentence.
    """
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    assert main(["serve", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert "secret" not in err


def test_it_is_for_the_api_of_its_vendor_unless_another_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    """
    Not for OPENAI_BASE_URL: where programs are told of the proxy, that is the proxy.
    """
    assert main(["serve", "--show-config"]) == 0
    shown = capfd.readouterr().out
    assert "--upstream" in shown
    assert main(["serve", "--help"]) == 0
    assert "https://api.openai.com/v1" in capfd.readouterr().out
