"""
Calls that nothing holds up, one after the other: microseconds of CPU each.

    python roomy.py NAME ...

Law of this file: as of parked.py beside it: it needs nothing but Python and subjects.py until a name asks
for more, and prints JSON. Each name is measured in turn with the bare loop, which is taken off.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from subjects import Roomy

CALLS = 10_000
REPEATS = 7


async def each_us(name: str) -> float:
    run = getattr(Roomy, name)
    began_s = time.process_time()
    await run(CALLS)
    return (time.process_time() - began_s) / CALLS * 1e6


def main(names: list[str]) -> None:
    found: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        asyncio.run(each_us(name))  # imports, and what is made at the first call
    for _ in range(REPEATS):
        for name in names:
            empty = asyncio.run(each_us("bare"))
            found[name].append(asyncio.run(each_us(name)) - empty)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
