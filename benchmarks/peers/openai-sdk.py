"""
The openai SDK alone: its own retries and a semaphore.

It has no limiter, so the limits cannot be told to it.

defaults: the client as the README makes it; it retries twice.
tuned: as many retries as the job allows. The SDK has no other knob for it: it waits as
Retry-After says, else 0.5 s doubling up to 8 s, with jitter.
"""

from __future__ import annotations

import asyncio

from job import Job, Row, from_command_line
from openai import AsyncOpenAI


async def main(job: Job) -> None:
    if job.tuned:
        client = AsyncOpenAI(base_url=job.base_url, max_retries=job.attempts - 1)
    else:
        client = AsyncOpenAI(base_url=job.base_url)
    window = asyncio.Semaphore(job.in_flight)

    async def call(row: Row) -> None:
        async with window:
            try:
                await client.chat.completions.create(**row["body"])
            except Exception as error:  # noqa: BLE001  whatever it raises, the row is given up
                job.gave_up(row["custom_id"], error)
            else:
                job.answered(row["custom_id"])

    async with client:
        job.start()
        await asyncio.gather(*map(call, job.rows))


if __name__ == "__main__":
    asyncio.run(main(from_command_line()))
