"""What a run logs, as RATELIMIT_CLIENT_LOG says."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs import KEY, retry, rows, run, serving, start, write
from tests.proxy.talking import CHAT, TARGET, Line

LEVELS = "RATELIMIT_CLIENT_LOG"


def log_of(process_said: bytes) -> list[dict[str, object]]:
    """The records among the lines of stderr."""
    found = [json.loads(line) for line in process_said.splitlines()]
    return [one for one in found if "logger" in one]


def started(folder: Path, level: str, *, form: str = "json") -> bytes:
    """A run as a program, of three rows against a server that lets two a minute go."""
    write(folder / "in", *rows(3))
    words = (folder / "in", "-o", folder / "out", "--max-in-flight", "3", "--max-time", "0.5", "--progress", "none")
    with serving("2 requests/min"):
        environment = {**os.environ, LEVELS: level, "RATELIMIT_CLIENT_LOG_FORMAT": form}
        with start(*words, env=environment) as process:
            _, said = process.communicate(timeout=60)
    return said


def test_events_are_logged_when_asked_for(tmp_path: Path) -> None:
    """As objects, with what they are about in fields: a refusal with the id of the request that met it."""
    said = started(tmp_path, "info")
    found = {one["event"]: one for one in log_of(said)}
    assert {"limit_changed", "refused"} <= set(found)
    refused = found["refused"]
    assert (refused["status"], refused["logger"]) == (429, "ratelimit_client.events")
    assert str(refused["request_id"]).startswith("req_")


def test_a_part_may_say_more_than_the_whole(tmp_path: Path) -> None:
    """As text, each record a line; what another part would say stays unsaid."""
    said = started(tmp_path, "off,events=debug", form="text")
    assert b"\nratelimit-client: granted " in said or said.startswith(b"ratelimit-client: granted ")
    assert b" call=" in said
    assert b"limit_changed" in said


@pytest.mark.parametrize("command", [run, retry])
def test_what_is_no_level_is_refused_before_anything_is_done(
    command: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a flag would be: with a sentence and code 2."""
    monkeypatch.setenv(LEVELS, "chatty")
    write(tmp_path / "in", *rows(1))
    with serving():
        assert command(tmp_path / "in", "-o", tmp_path / "out") == 2
    assert "RATELIMIT_CLIENT_LOG: 'chatty' is no level" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_loggers_are_afterwards_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run inside of a program leaves no handler and no level behind."""
    library = logging.getLogger("ratelimit_client")
    before = (library.level, list(library.handlers))
    monkeypatch.setenv(LEVELS, "debug,bulk=off")
    write(tmp_path / "in", *rows(1))
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert (library.level, library.handlers) == before
    assert logging.getLogger("ratelimit_client.bulk").level == logging.NOTSET


def test_the_proxy_logs_what_happens_to_calls_of_others() -> None:
    """As a run does; with the caller's key in none of it."""
    with serving("1000 requests/min"):
        environment = {**os.environ, LEVELS: "info,events=debug", "RATELIMIT_CLIENT_LOG_FORMAT": "json"}
        words = ("--port", "0", "--upstream", os.environ["OPENAI_BASE_URL"])
        with start(*words, command=("serve",), env=environment) as process:
            assert process.stdout is not None
            url = process.stdout.readline().decode().rpartition("OPENAI_BASE_URL=")[2].strip()

            async def ask() -> int:
                async with Line(url) as line:
                    return (await line.ask(TARGET, CHAT, headers={"Authorization": f"Bearer {KEY}"})).status

            assert asyncio.run(ask()) == 200
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
    found = {one["event"]: one for one in log_of(said)}
    assert {"granted", "limit_changed", "answered", "released"} <= set(found)
    assert found["answered"]["client"] == "proxy"
