"""Plant bugs and print who found them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.planted.bugs import BUGS
from tests.planted.plant import find, plant


def main() -> int:
    wanted = sys.argv[1:]
    missed = 0
    for bug in BUGS:
        if wanted and bug.name not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = find(bug, plant(bug, Path(folder)))
        missed += found is None
        how = "NOT FOUND" if found is None else f"{found.seconds:5.1f} s, after {found.tests} tests: {found.by}"
        print(f"{bug.name:50} {how}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
