"""
A real redis-server on a free loopback port, and what can be done to it.

Its configuration goes in through stdin, so that a password stands in no file and no
argument. Without the program a test that wants it is skipped, which fails where skips are
forbidden. ``RLC_REDIS_SERVER`` names another program, such as a valkey-server.

Law of this file: a test talks to its own server. A port is none of those that the system hands out to
whoever connects: a client that looks for a server that is down could be given its port, find itself there, and
wait for its own answer for ever. And a server is up when the socket that listens is its own, not that of another test.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

_PATIENCE_S = 60.0
_TRIES = 100
_PORTS = 12_000
_LISTENS = "0A"  # as /proc/net/tcp has it


def free_port() -> int:
    """A loopback port that nobody listens on, and that no connection is given by chance."""
    try:
        below = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        below = 32_768
    for _ in range(_TRIES):
        port = below - 1 - secrets.randbelow(min(_PORTS, below - 1024))  # two tests may ask in the same moment
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"{_TRIES} ports were all taken")


def program() -> str:
    """
    The program of the server; a test that finds none is skipped.
    """
    found = shutil.which(os.environ.get("RLC_REDIS_SERVER") or "redis-server") or shutil.which("valkey-server")
    if found is None:
        pytest.skip("redis-server is not installed")
    return found


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

    def start(self) -> RedisServer:
        """Empty, and listening. Somebody else may have its port in passing, so it is started until it has it."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            self.process = self._begin()
            if self._is_up(self.process, until):
                return self
            said = self.end()
            assert self.process is None
            time.sleep(0.1)  # nothing tells when a port is free again
        raise AssertionError(f"redis-server did not listen on {self.port} within {_PATIENCE_S:.0f} s: {said[-500:]}")

    def _begin(self) -> subprocess.Popen[bytes]:
        usual = (f"port {self.port}", "bind 127.0.0.1", 'save ""', "appendonly no", f"dir {self.folder}", "hz 100")
        command = [program(), "-"]
        if self.mode:
            path = self.folder / f"sentinel-{self.port}.conf"  # it wants to write to it
            path.write_text("\n".join((usual[0], usual[1], usual[4], *self.options)) + "\n")
            command = [program(), str(path), self.mode]
        with self._log.open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            if not self.mode:
                process.stdin.write(("\n".join((*usual, *self.options)) + "\n").encode())
            process.stdin.close()
        return process

    def _is_up(self, process: subprocess.Popen[bytes], until: float) -> bool:
        """It listens and answers; False: it ended by itself."""
        while time.monotonic() < until and process.poll() is None:
            if listens(process.pid, self.port):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0) as asking:
                    asking.settimeout(1.0)
                    asking.sendall(b"PING\r\n")
                    asking.recv(64)  # whatever it is: it does not answer before it is ready on every socket
                    return True
            time.sleep(0.01)  # nothing tells when another program listens
        return False

    @property
    def _log(self) -> Path:
        return self.folder / f"redis-{self.port}.log"

    def end(self) -> str:
        """As ``kill``; what it said."""
        self.kill()
        return self._log.read_text(errors="replace")

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


def listens(pid: int, port: int) -> bool:
    """The socket that listens on *port* is one of this process; where nothing tells, it is taken to be."""
    tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    if not tables[0].exists():
        return True
    sockets = set()
    for table in tables:
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{fields[9]}]")
    with contextlib.suppress(OSError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(file) in sockets:
                    return True
    return False


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server while it lasts."""
    server = RedisServer(folder, options=options).start()
    try:
        yield server
    finally:
        server.kill()
