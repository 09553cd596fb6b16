"""A real redis-server for as long as something is measured; its own port, no file, nothing on disk."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import attrs

_TRIES = 5
_START_S = 20.0


class NoServer(Exception):
    """There is no redis-server to start; says what is missing."""


@attrs.define
class Running:
    """A server; ``url`` is where it is."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running() -> Iterator[Running]:
    """
    One, empty.

    Raises:
        NoServer: the program is not installed, or does not start.
    """
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise NoServer("not measured: there is no redis-server on this machine")
    with tempfile.TemporaryDirectory() as folder:
        server = _started(program, folder)
        try:
            yield server
        finally:
            server.kill()


def _started(program: str, folder: str) -> Running:
    for _ in range(_TRIES):  # somebody else may take the port before it is taken here
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [
            program,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            folder,
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + _START_S
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0) as asking:
                asking.sendall(b"INFO server\r\n")
                if f"process_id:{process.pid}".encode() in asking.recv(4096):
                    return Running(f"redis://127.0.0.1:{port}/0", process)
            time.sleep(0.02)  # nothing tells when it listens
        process.kill()
        process.wait()
    raise NoServer("not measured: redis-server does not start")
