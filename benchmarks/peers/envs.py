"""
One environment for each peer, made once.

    python -m benchmarks.peers.envs [NAME ...]

Law of this file: an environment holds what its requirement file names and nothing else, at those
versions, and is made anew when that file or the Python changes. Where a peer needs a newer
Python than the one that runs us, others are looked for: python3.x on PATH, then those of pyenv and
of uv. When there is none, the peer is skipped with that reason, never run on what it does not support.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from . import PEERS

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "peers"
_MINORS = (11, 12, 13, 14)
_ASK = "import sys; print(*sys.version_info[:3], sys.executable)"


class Wanted(Protocol):
    """What has an environment: where it is named, what is in it, and the least Python."""

    @property
    def name(self) -> str: ...
    @property
    def requirements(self) -> Path: ...
    @property
    def python(self) -> tuple[int, int]: ...


class Missing(Exception):
    """A peer cannot be run here; says why."""


def ready(peer: Wanted, cache: Path = CACHE) -> Path:
    """
    The Python of the peer's environment, which is made when it is not there.

    Raises:
        Missing: there is no Python for it, or its packages cannot be installed.
    """
    folder, stamp = cache / peer.name, cache / peer.name / "made-of"
    version, python = interpreter(peer.python)
    made_of = f"{version} {hashlib.sha256(peer.requirements.read_bytes()).hexdigest()}"
    inside = folder / "bin" / "python"
    if inside.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == made_of:
        return inside
    print(f"making the environment of {peer.name} (Python {version})", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _run(peer, [python, "-m", "venv", str(folder)])
    pip = [str(inside), "-m", "pip", "--disable-pip-version-check"]
    # The file is the whole closure, so nothing else is resolved or fetched.
    _run(peer, [*pip, "install", "--quiet", "--no-deps", "-r", str(peer.requirements)])
    _run(peer, [*pip, "check"])
    stamp.write_text(made_of, encoding="utf-8")
    return inside


@functools.cache
def interpreter(least: tuple[int, int]) -> tuple[str, str]:
    """Version and path of the Python that runs us, which is fairest, or of the oldest at hand that is new enough."""
    candidates = [sys.executable] if sys.version_info[:2] >= least else _candidates(least)
    found = sorted({answer for path in candidates if (answer := _version(path)) and answer[0][:2] >= least})
    if not found:
        raise Missing(f"not run: needs Python {least[0]}.{least[1]}")
    version, path = found[0]
    return ".".join(map(str, version)), path


def _candidates(least: tuple[int, int]) -> Iterator[str]:
    names = [f"python3.{minor}" for minor in _MINORS if (3, minor) >= least]
    for name in names:
        path = shutil.which(name)
        if path is not None:
            yield path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local" / "share" / "uv" / "python"))
    for name in names:
        yield from map(str, sorted(pyenv.glob(f"*/bin/{name}")))
        yield from map(str, sorted(uv.glob(f"*/bin/{name}")))


def _version(path: str) -> tuple[tuple[int, ...], str] | None:
    """What it says it is; None when it does not run, as a shim of pyenv for a version that is not chosen."""
    done = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    *numbers, executable = done.stdout.split(maxsplit=3)
    return tuple(map(int, numbers)), executable.strip()


def _run(peer: Wanted, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"not run: {' '.join(command[1:4])} failed: {(done.stderr or done.stdout).strip()[-400:]}")


def main(names: list[str]) -> int:
    """Make those named, or all; 1 when one could not be made."""
    failed = 0
    for peer in PEERS:
        if names and peer.name not in names:
            continue
        try:
            print(f"{peer.name}: {ready(peer)}")
        except Missing as reason:
            print(f"{peer.name}: {reason}")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
