"""``python -m benchmarks.gate [--accept | --spread RUNS] [NAME ...]``; ``make gate``."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from .comparing import Counted, minor, report
from .counting import CannotCount, held_bytes, instructions
from .holding import HOLDINGS, Holding
from .workloads import WORKLOADS, Workload

BASELINE: Final = Path(__file__).parent / "baseline.json"
PACKAGES: Final = ("aiohttp", "attrs", "httpx", "multidict", "yarl")
ALL: Final[dict[str, Workload | Holding]] = {**WORKLOADS, **HOLDINGS}


def facts() -> dict[str, str]:
    """What a count depends on beside the code."""
    return {
        "python": platform.python_version(),
        "compiler": platform.python_compiler(),
        "machine": platform.machine(),
        **{name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def counted(names: Sequence[str] = ()) -> Counted:
    """All of it, or what is named and the floors of that."""
    floors = {name: each.floor for name, each in ALL.items() if each.floor and (not names or name in names)}
    wanted = {*floors, *floors.values()}
    counts = instructions([name for name in WORKLOADS if name in wanted])
    held = held_bytes([name for name in HOLDINGS if name in wanted])
    return Counted(facts(), {**counts, **held}, floors)


def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    return found


def _accept(now: Counted) -> None:
    kept = {**_read(), minor(now.facts["python"]): now.entry()}
    BASELINE.write_text(json.dumps(dict(sorted(kept.items())), indent=2) + "\n", encoding="utf-8")


def _spread(runs: int, names: Sequence[str]) -> None:
    """How much each ratio differs between runs of the same code."""
    several = [counted(names) for _ in range(runs)]
    for name in several[0].floors:
        ratios = [each.ratio(name) for each in several]
        print(f"{name}: {min(ratios):.4f} to {max(ratios):.4f}, {max(ratios) / min(ratios) - 1:.2%} apart")


def main(arguments: Sequence[str]) -> int:
    """0: nothing grew; 1: something did; 2: it could not be counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description="Has anything grown more costly?")
    parser.add_argument("--accept", action="store_true", help="what is counted now is the baseline from now on")
    parser.add_argument(
        "--spread", type=int, metavar="RUNS", help="count so many times and tell how far apart they are"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(n for n in ALL if ALL[n].floor)}")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in ALL or not ALL[name].floor]:
        parser.error(f"there is no {', '.join(unknown)}")
    if asked.accept and asked.names:
        parser.error("--accept takes all of it")
    try:
        if asked.spread:
            _spread(asked.spread, asked.names)
            return 0
        now = counted(asked.names)
    except CannotCount as error:
        print(error, file=sys.stderr)
        return 2
    if asked.accept:
        _accept(now)
    passes, lines = report(_read(), now)
    print("\n".join(lines))
    return 0 if passes else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
