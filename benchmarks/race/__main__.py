"""``python -m benchmarks.race [A B ...]``: the scenarios named, run by us; nothing is written down."""

from __future__ import annotations

import sys

from .command import race

if __name__ == "__main__":
    race(sys.argv[1:])
