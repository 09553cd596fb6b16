"""The suite finds the bugs that were planted in the library on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planted.bugs import Bug
from tests.planted.every import EVERY
from tests.planted.plant import SOURCE, find, plant
from tests.sizes import SIZE

# Each costs a few seconds. Here a few of them show that the finding works; in CI all have to be found.
_FEW = ("lost wake-up", "double refund", "torn tail kept")
_TRIED = [bug for bug in EVERY if SIZE != "test" or bug.name in _FEW]


@pytest.mark.parametrize("bug", EVERY, ids=lambda bug: bug.name)
def test_every_bug_can_still_be_planted(bug: Bug) -> None:
    """The text that it replaces stands in its file once, and what it becomes of Python is Python."""
    text = (SOURCE / bug.file).read_text()

    assert text.count(bug.old) == 1
    assert bug.new != bug.old
    if bug.file.endswith(".py"):
        compile(text.replace(bug.old, bug.new), bug.file, "exec")


@pytest.mark.parametrize("bug", _TRIED, ids=lambda bug: bug.name)
def test_every_planted_bug_is_found(bug: Bug, tmp_path: Path) -> None:
    """Some test fails, in the files where one would look first."""
    assert find(bug, plant(bug, tmp_path)) is not None


def test_a_library_without_a_bug_passes(tmp_path: Path) -> None:
    """What finds everything proves nothing."""
    harmless = Bug(
        "none", "nothing", "bulk/journal.py", "# bytes that could not be written\n", "# \n", ("bulk/test_journal.py",)
    )

    assert find(harmless, plant(harmless, tmp_path)) is None
