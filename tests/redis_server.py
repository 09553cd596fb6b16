"""
A real redis-server on a free loopback port, and what can be done to it.

Its configuration goes in through stdin, so that a password stands in no file and no
argument. Without the program a test that wants it is skipped, which fails where skips are
forbidden.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

_PATIENCE_S = 20.0


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@attrs.define(eq=False)
class RedisServer:
    """
    One server.

    Args:
        folder: where it may write, which it does not.
        port: where it listens.
        options: lines of its configuration beside the usual.
        mode: of the program: "" or "--sentinel".
    """

    folder: Path
    port: int = attrs.field(factory=free_port)
    options: tuple[str, ...] = ()
    mode: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self, *, listens: int | None = None) -> RedisServer:
        """Empty, and listening; on another port than its own only to be waited for."""
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        usual = (f"port {self.port}", "bind 127.0.0.1", 'save ""', "appendonly no", f"dir {self.folder}", "hz 100")
        command = [program, "-"]
        if self.mode:
            path = self.folder / f"sentinel-{self.port}.conf"  # it wants to write to it
            path.write_text("\n".join((usual[0], usual[1], usual[4], *self.options)) + "\n")
            command = [program, str(path), self.mode]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert self.process.stdin is not None
        if not self.mode:
            self.process.stdin.write(("\n".join((*usual, *self.options)) + "\n").encode())
        self.process.stdin.close()
        self._wait(listens or self.port)
        return self

    def _wait(self, port: int) -> None:
        assert self.process is not None
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            assert self.process.poll() is None, "redis-server ended by itself"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0) as asking:
                asking.sendall(b"PING\r\n")
                asking.recv(64)  # whatever it is: it does not answer before it is ready on every socket
                return
            time.sleep(0.01)  # nothing tells when another program listens
        raise AssertionError(f"redis-server did not listen within {_PATIENCE_S:.0f} s")

    @property
    def url(self) -> str:
        """Without a password."""
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        """As kill -9 does; its memory is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """It stands still, and its sockets stay."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After ``stop``."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server while it lasts."""
    server = RedisServer(folder, options=options).start()
    try:
        yield server
    finally:
        server.kill()
