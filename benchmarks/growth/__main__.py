"""``python -m benchmarks.growth``: JSON on stdout."""

from __future__ import annotations

import argparse
import json

from . import PARTS, ROWS_FULL, inputs, judged


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--full", action="store_true", help="ten million rows, too")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    parts = {name: PARTS[name] for name in asked.parts or PARTS}
    if asked.full and "input" in parts:
        parts["input"] = lambda: inputs(ROWS_FULL)
    print(json.dumps(judged({name: part() for name, part in parts.items()}), indent=1))


if __name__ == "__main__":
    main()
