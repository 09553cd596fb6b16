"""
Replay a day.

    python -m tests.simulation --seed 1234             # run it; what is wrong, if anything
    python -m tests.simulation --seed 1234 --tell      # with everything that happens
    python -m tests.simulation --seed 1 --days 500     # many days, from that seed on
    python -m tests.simulation --seed 1 --days 500 --until-wrong
    python -m tests.simulation --seed 7 --job          # a bulk job over several lives
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from . import jobs
from .day import Day
from .drawing import draw
from .stores import draw_shared


def main(argv: list[str] | None = None) -> int:
    """Run days; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--days", type=int, default=1, help="so many, from the seed on")
    parser.add_argument("--tell", action="store_true", help="print the world and everything that happens")
    parser.add_argument("--job", action="store_true", help="a bulk job in the place of a day")
    parser.add_argument("--shared", action="store_true", help="several limiters that share a store")
    parser.add_argument("--until-wrong", action="store_true", help="the first day that goes wrong is the last")
    parser.add_argument("--digest", action="store_true", help="print the digest of each day and nothing else")
    arguments = parser.parse_args(argv)
    wrong = 0
    ends: Counter[str] = Counter()
    began = time.process_time()
    for seed in range(arguments.seed, arguments.seed + arguments.days):
        if wrong and arguments.until_wrong:
            break
        if arguments.job:
            wrong += _job(seed, tell=arguments.tell)
            continue
        world = draw_shared(seed) if arguments.shared else draw(seed)
        if arguments.tell:
            sys.stdout.write(f"{world}\n")
        try:
            day = Day(world, tell=arguments.tell).run()
        except Exception as error:  # noqa: BLE001 - told, and the next day begins
            wrong += 1
            sys.stdout.write(f"seed {seed}: {type(error).__name__}: {error}\n")
            continue
        ends.update(record.how for record in day.records.values())
        if arguments.digest:
            sys.stdout.write(f"{seed} {day.digest}\n")
    if not arguments.digest:
        took_s = time.process_time() - began
        sys.stdout.write(f"{arguments.days} days, {wrong} wrong, {took_s:.1f} s of CPU: {dict(ends.most_common())}\n")
    return bool(wrong)


def _job(seed: int, *, tell: bool) -> bool:
    """True when something was wrong."""
    story = jobs.draw(seed)
    if tell:
        sys.stdout.write(f"{story}\n")
    with tempfile.TemporaryDirectory() as folder:
        try:
            jobs.Telling(story, Path(folder)).tell()
        except Exception as error:  # noqa: BLE001 - told, and the next one begins
            sys.stdout.write(f"job {seed}: {type(error).__name__}: {error}\n")
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
