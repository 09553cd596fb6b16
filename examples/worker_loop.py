"""
A worker that answers people at once and does the night's work in the gaps, on one budget.

    python examples/worker_loop.py

Two kinds of jobs come out of one queue. Those of people have a better priority
and a deadline; those of the nightly job have neither. Each customer is a tenant,
so one with a thousand jobs does not keep the others waiting.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import attrs

from ratelimit_client import Client, NotAdmitted, ResponseError

MODEL = "gpt-4o-mini-2024-07-18"
NOBODY_WAITS, SOMEBODY_WAITS = 1, -1


@attrs.frozen
class Job:
    """One question of one customer."""

    customer: str
    question: str
    interactive: bool


def jobs() -> list[Job]:
    nightly = [Job("archive", f"Write one sentence about the year {year}.", False) for year in range(1800, 1840)]
    asked = [Job(name, "Who is the narrator of Moby-Dick?", True) for name in ("ada", "ben", "cy", "dee")]
    return nightly + asked


async def work(queue: asyncio.Queue[Job], client: Client, done: Counter[str]) -> None:
    """Take jobs until the queue is empty. A job that fails is counted and does not stop the worker."""
    while not queue.empty():
        job = queue.get_nowait()
        try:
            reply = await client.post(
                "/chat/completions",
                json={"model": MODEL, "messages": [{"role": "user", "content": job.question}], "max_tokens": 50},
                priority=SOMEBODY_WAITS if job.interactive else NOBODY_WAITS,
                tenant=job.customer,
                deadline=30.0 if job.interactive else None,
            )
        except (NotAdmitted, ResponseError) as error:
            done[f"{job.customer}: {type(error).__name__}"] += 1
        else:
            done[f"{job.customer}: answered after {reply.attempts} attempt(s)"] += 1


async def main() -> None:
    queue: asyncio.Queue[Job] = asyncio.Queue()
    for job in jobs():
        queue.put_nowait(job)

    done: Counter[str] = Counter()
    async with Client(name="worker") as client, asyncio.TaskGroup() as workers:
        for _ in range(16):
            workers.create_task(work(queue, client, done))

    for what, count in sorted(done.items()):
        print(f"{count:3} {what}")


if __name__ == "__main__":
    asyncio.run(main())
