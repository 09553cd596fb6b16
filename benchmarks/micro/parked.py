"""
So many calls wait, and then they end: what each of them costs.

    python parked.py SUBJECT COUNT ENDING COLLECTOR [ROUNDS]

Law of this file: a process measures one subject and one ending, so that no other has shaped its memory;
it is started anew for each repeat. It needs nothing but subjects.py beside it, and prints JSON.

Calls come in portions of a thousand, as a program makes them that reads its input. With the collector
"off" it is off throughout, with "on" as Python sets it. ENDING is how they end: cancelled in the order
of "oldest", "newest" or "any", all let go at once ("grant"), or they wait for two seconds ("idle").
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import resource
import statistics
import sys
import time
from typing import Any

from subjects import SUBJECTS

PORTION = 1000
IDLE_S = 2.0


def resident() -> int:
    """Bytes of memory this process has now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def parked(subject: Any, count: int) -> list[asyncio.Task[Any]]:
    """So many tasks that wait."""
    tasks: list[asyncio.Task[Any]] = []
    loop = asyncio.get_running_loop()
    for first in range(0, count, PORTION):
        tasks += [loop.create_task(subject.wait(number)) for number in range(first, min(count, first + PORTION))]
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks[:: max(1, count // 100)]), "they were to wait"
    return tasks


def in_order(tasks: list[asyncio.Task[Any]], order: str) -> list[asyncio.Task[Any]]:
    """As they are to be cancelled."""
    if order == "any":
        return random.Random(1).sample(tasks, len(tasks))
    return tasks if order == "oldest" else tasks[::-1]


async def once(subject: Any, count: int, ending: str) -> dict[str, float]:
    """Microseconds of CPU for each call, to join and to end; bytes for each while all wait."""
    gc.collect()
    before, began_s = resident(), time.process_time()
    tasks = await parked(subject, count)
    joined_s = time.process_time() - began_s
    found = {"enqueue_us": joined_s / count * 1e6, "bytes": (resident() - before) / count}
    if ending == "idle":
        gc.collect()
        began_s = time.process_time()
        await asyncio.sleep(IDLE_S)
        found["idle_cpu_s"] = time.process_time() - began_s
        print(json.dumps(found), flush=True)
        os._exit(0)  # what waits is not to be taken down one by one
    if ending == "grant":
        began_s = time.process_time()
        subject.open(count)
    else:
        tasks = in_order(tasks, ending)
        began_s = time.process_time()
        for task in tasks:
            task.cancel()
    await asyncio.wait(tasks)
    found["grant_us" if ending == "grant" else "cancel_us"] = (time.process_time() - began_s) / count * 1e6
    assert all(task.cancelled() is (ending != "grant") for task in tasks)
    return found


async def measured(name: str, count: int, ending: str, rounds: int) -> dict[str, float]:
    """The medians of *rounds*; memory is that of the first, for those after it find room that it left."""
    each = []
    for _ in range(rounds):
        subject = SUBJECTS[name]()
        await subject.fill()
        each.append(await once(subject, count, ending))
    found = {what: statistics.median(one[what] for one in each) for what in each[0]}
    return {**found, "bytes": each[0]["bytes"]}


def main(name: str, count: str, ending: str, collector: str, rounds: str = "1") -> None:
    if collector == "off":
        gc.disable()
    print(json.dumps(asyncio.run(measured(name, int(count), ending, int(rounds)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
