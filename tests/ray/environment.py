"""
The environment in which Ray is tried: six hundred megabytes, so it is made when a test of that size asks.

Law of this file: it holds what requirements.txt names and nothing else, at those
versions, and is made anew when that file or the Python changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "ray"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def python() -> Path:
    """Its interpreter; one process at a time makes it."""
    inside, stamp = FOLDER / "bin" / "python", FOLDER / "made-of"
    made_of = f"{sys.version_info[:2]} {hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()}"
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with FOLDER.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if inside.exists() and stamp.exists() and stamp.read_text() == made_of:
            return inside
        shutil.rmtree(FOLDER, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(FOLDER))
        _run(str(inside), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(REQUIREMENTS))
        stamp.write_text(made_of)
    return inside


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
