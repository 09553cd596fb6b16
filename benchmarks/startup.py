"""
What a process takes until it can do something: importing the package, and printing its usage.

Whole processes, each in turn with ``python -c pass``, and pair by pair. What is measured is CPU, which is
what starting up waits for: it is the same whoever else wants the machine.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from typing import Any, Final

from .compiled import compile_library

PAIRS: Final = 25

_BARE: Final = ("-c", "pass")
_COMMANDS: Final = (
    ("`import ratelimit_client`", ("-c", "import ratelimit_client"), 0.08),
    ("`from ratelimit_client import Limiter`", ("-c", "from ratelimit_client import Limiter"), None),
    ("`from ratelimit_client import Client`", ("-c", "from ratelimit_client import Client"), None),
    ("`ratelimit-client --help`", ("-m", "ratelimit_client", "--help"), 0.15),
)


def _seconds(arguments: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _figure(values: list[float]) -> dict[str, float]:
    found = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: round(value, 4) for name, value in found.items()}


def startup(pairs: int = PAIRS) -> dict[str, Any]:
    """Seconds beyond the interpreter's own, and the interpreter's."""
    compile_library()
    bare: list[float] = []
    rows = []
    for what, arguments, asked_s in _COMMANDS:
        _seconds(arguments)  # what is read from the disk once
        beyond = []
        for _ in range(pairs):
            bare.append(_seconds(_BARE))
            beyond.append(_seconds(arguments) - bare[-1])
        found = _figure(beyond)
        holds = None if asked_s is None else found["median"] <= asked_s
        rows.append({"what": what, "beyond_s": found, "asked_s": asked_s, "holds": holds})
    return {"bare_s": _figure(bare), "table": rows}


if __name__ == "__main__":
    print(json.dumps(startup(*map(int, sys.argv[1:])), indent=2))
