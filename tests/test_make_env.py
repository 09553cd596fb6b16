"""scripts/make-env: what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_machine_without_a_new_python_is_told_so(tmp_path: Path) -> None:
    """
    When uv fails and no Python fits, it says what was tried and what to do, exits with 1 and leaves nothing behind.
    """
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\nexit 1\n")
    uv.chmod(0o755)
    venv = tmp_path / "venv"

    done = subprocess.run(
        ["sh", "scripts/make-env", str(venv)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": "python-from-the-future"},
    )

    assert done.returncode == 1
    assert "uv could not; trying venv and pip" in done.stderr
    assert "no python3 >= 3.11 was found (looked for: python-from-the-future)" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert not venv.exists()
