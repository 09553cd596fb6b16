"""
The process that is counted, one line of JSON a workload:

    python -m benchmarks.gate.child instructions|bytes MODULE NAME ...
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import traceback
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .holding import Holding

sys.modules["orjson"] = None  # type: ignore[assignment]  # here or not, the same is counted


def forked(run: Callable[[int], object], rounds: int) -> int:
    """The number of a child that did so many rounds and ended well."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            run(rounds)
            code = 0
        except BaseException:  # noqa: BLE001 - a child that is counted must end here, and says why
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"the child with {rounds} rounds failed")
    return pid


def instructions(module: str, names: list[str]) -> None:
    """Each workload twice; valgrind writes what its children took."""
    workloads = import_module(module).WORKLOADS
    gc.disable()
    gc.freeze()
    for name in names:
        workload = workloads[name]
        pids = [forked(workload.run, times * workload.rounds) for times in (1, 2)]
        print(json.dumps({"name": name, "pids": pids, "operations": workload.rounds * workload.per_round}))


def held(module: str, names: list[str]) -> None:
    """What the second of two equal lots of things adds to what is held, each in a process in which nothing was yet."""
    holdings = import_module(module).HOLDINGS
    gc.disable()
    for name in names:

        def tell(_: int, name: str = name) -> None:
            print(json.dumps({"name": name, "bytes": asyncio.run(_held(holdings[name]))}), flush=True)

        forked(tell, 1)


async def _held(holding: Holding) -> float:
    keep: list[object] = []
    sizes: list[int] = []
    tracemalloc.start()
    try:
        hold = holding.make()
        for _ in range(2):
            keep.append(await hold(holding.count))
            sizes.append(tracemalloc.get_traced_memory()[0])
        return (sizes[1] - sizes[0]) / holding.count
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    {"instructions": instructions, "bytes": held}[sys.argv[1]](sys.argv[2], sys.argv[3:])
