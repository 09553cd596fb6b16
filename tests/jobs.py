"""
Jobs for tests of bulk runs: rows, a model server beside them, and the program.

The server lives on a loop of its own in a thread, so that the program may run in
this process (fast) or in another one (for signals and kills).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ratelimit_client.cli import main
from ratelimit_client.testing import ModelServer, serve_model
from tests import canary

KEY = canary.KEY
URL = "/v1/chat/completions"


def row(name: str, content: str = "hello", model: str = "gpt-4o-mini", **more: Any) -> dict[str, Any]:
    """One input row."""
    body = {"model": model, "messages": [{"role": "user", "content": f"{name}: {content}"}]}
    return {"custom_id": name, "method": "POST", "url": URL, "body": body} | more


def rows(count: int, **options: Any) -> list[dict[str, Any]]:
    """So many input rows, row-0 and on."""
    return [row(f"row-{number}", **options) for number in range(count)]


def write(path: Path, *lines: Mapping[str, Any] | str | bytes) -> Path:
    """An input file; rows as JSON, text and bytes as they are."""
    path.write_bytes(b"".join(_line(line) + b"\n" for line in lines))
    return path


def _line(line: Mapping[str, Any] | str | bytes) -> bytes:
    if isinstance(line, bytes):
        return line
    return (line if isinstance(line, str) else json.dumps(line)).encode()


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of an output, each of which has to be whole; none when there is no file."""
    if not path.exists():
        return []
    text = path.read_bytes()
    assert not text or text.endswith(b"\n")
    return [json.loads(line) for line in text.split(b"\n")[:-1]]


def names(path: Path) -> list[str]:
    """The names in an output, in order."""
    return [line["custom_id"] for line in lines(path)]


@contextlib.contextmanager
def serving(limits: Any = "100000 requests/min", *, port: int = 0, **options: Any) -> Iterator[ModelServer]:
    """A model server in a thread; its ``url`` is in the environment of everything started here."""
    server = ModelServer(limits, **options)
    ready = threading.Event()
    told: dict[str, Any] = {}

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        async with serve_model(server, port=port) as url:
            told.update(url=str(url), stop=lambda: loop.call_soon_threadsafe(stop.set))
            ready.set()
            await stop.wait()

    # asyncio.run cancels what still answers when the server stops.
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    before = {name: os.environ.get(name) for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")}
    os.environ.update(OPENAI_BASE_URL=told["url"], OPENAI_API_KEY=KEY)
    try:
        yield server
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        told["stop"]()
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"


def run(*arguments: str | Path) -> int:
    """Run the program in this process."""
    return main(["run", *map(str, arguments), "--progress", "none"])


def retry(*arguments: str | Path) -> int:
    """Run the failed rows again in this process."""
    return main(["retry", *map(str, arguments), "--progress", "none"])


def start(*arguments: str | Path, command: Sequence[str] = ("run",), **options: Any) -> subprocess.Popen[bytes]:
    """Start the program in a process of its own."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    words = [sys.executable, "-W", "error", "-m", "ratelimit_client", *command, *map(str, arguments)]
    return canary.Process(words, **streams)


def wait_for(path: Path, count: int, *, within_s: float = 20.0) -> None:
    """Until *path* holds so many lines."""
    end = time.monotonic() + within_s
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < end, f"{path} did not grow to {count} lines"
        time.sleep(0.01)
