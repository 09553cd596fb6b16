"""A cluster for tests, and the program on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests import canary

from .environment import ROOT, python

_WORKER = b"ray::Worker"


@attrs.define
class Cluster:
    """
    Args:
        python: the interpreter that has Ray.
        address: of the head.
        folder: what Ray writes; searched for the key by whoever wants.
    """

    python: Path
    address: str
    folder: Path

    def start(self, *arguments: str | Path, folder: Path, command: str = "run") -> canary.Process:
        """Start a run on the cluster."""
        words = [str(self.python), "-m", "ratelimit_client", command, *map(str, arguments)]
        words += ["--engine", "ray", "--ray-address", self.address, "--progress", "none"]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return canary.Process(words, cwd=folder, env=environment(), **streams)

    def workers(self) -> list[int]:
        """Processes of this cluster's workers."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    if (entry / "cmdline").read_bytes().startswith(_WORKER) and self._is_mine(entry):
                        found.append(int(entry.name))
        return sorted(found)

    def _is_mine(self, process: Path) -> bool:
        return any(os.readlink(fd).startswith(str(self.folder)) for fd in (process / "fd").iterdir())

    def kill_a_worker(self) -> None:
        """By the signal that nobody can catch."""
        os.kill(self.workers()[0], signal.SIGKILL)

    def written(self) -> Iterator[bytes]:
        """All that Ray wrote down."""
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path.read_bytes()


def environment() -> dict[str, str]:
    """This package as it stands here, for the program and for the workers."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "RAY_USAGE_STATS_ENABLED": "0"}


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Two nodes, for the time of the block."""
    inside = python()
    folder = Path(tempfile.mkdtemp(prefix="rlc-"))  # Ray's sockets are there, and their names may not be long
    program = Path(__file__).parent / "two_nodes.py"
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        with subprocess.Popen([inside, program, folder], env=environment(), text=True, **streams) as process:  # type: ignore[call-overload]
            try:
                address = process.stdout.readline().strip()
                assert address, "the cluster did not come up"
                yield Cluster(inside, address, folder)
            finally:
                process.communicate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
