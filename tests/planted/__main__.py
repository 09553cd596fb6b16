"""Plant bugs and print who found them."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.planted.bugs import Bug
from tests.planted.every import EVERY
from tests.planted.plant import find, live, plant


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted")
    parser.add_argument("names", nargs="*", help="which bugs; all if none is named")
    parser.add_argument("--days", type=int, help="let the simulation look for them, for so many days")
    arguments = parser.parse_args()
    missed = 0
    for bug in EVERY:
        if arguments.names and bug.name not in arguments.names:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = plant(bug, Path(name))
            if arguments.days:
                how = _lived(folder, arguments.days)
            else:
                how = _found(bug, folder)
                missed += how is None
        print(f"{bug.name:50} {how or 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


def _found(bug: Bug, folder: Path) -> str | None:
    found = find(bug, folder)
    return found and f"{found.seconds:5.1f} s, after {found.tests} tests: {found.by}"


def _lived(folder: Path, days: int) -> str:
    ends = []
    for jobs, what in ((False, "day"), (True, "job")):
        try:
            number = live(folder, days, jobs=jobs)
        except subprocess.TimeoutExpired:
            ends.append(f"{what}s: hangs")
        else:
            ends.append(f"none of {days} {what}s" if number is None else f"{what} {number}")
    return ", ".join(ends)


if __name__ == "__main__":
    sys.exit(main())
