"""Skips are failures where they are forbidden."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

SUITES = {
    "test_mark.py": "import pytest\n@pytest.mark.skip(reason='no server')\ndef test_it(): pass\n",
    "test_call.py": "import pytest\ndef test_it(): pytest.skip('no browser')\n",
    "test_module.py": "import pytest\npytest.skip('no promtool', allow_module_level=True)\n",
}


def run_pytest(folder: Path, *, forbid: str) -> subprocess.CompletedProcess[str]:
    """Run the suites of *folder* under the project's conftest."""
    options = ["-ra", "-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    command = [sys.executable, "-m", "pytest", *options, "."]
    environment = {**os.environ, "RLC_FORBID_SKIPS": forbid, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def test_a_skip_fails_the_run_only_where_skips_are_forbidden(tmp_path: Path) -> None:
    """
    However a test skips itself, by a mark, a call or as a whole module, its reason is in the failure.
    """
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    for name, text in SUITES.items():
        (tmp_path / name).write_text(text)

    allowed = run_pytest(tmp_path, forbid="0")
    forbidden = run_pytest(tmp_path, forbid="1")

    assert "3 skipped" in allowed.stdout
    assert "failed" not in allowed.stdout
    assert forbidden.returncode in (1, 2), forbidden.stdout
    for reason in ("no server", "no browser", "no promtool"):
        assert f"skips are forbidden here (RLC_FORBID_SKIPS=1): Skipped: {reason}" in forbidden.stdout
