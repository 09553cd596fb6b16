"""
The approach of the openai cookbook's script for many parallel requests, written anew.

One loop that looks once a millisecond whether the next row fits the capacity of requests and tokens,
which refills continuously from a full minute's worth; rows that failed go to a queue that comes first;
a refusal stops everything for a while. It opens no more connections than the job allows, which the
original leaves to aiohttp.

defaults: five attempts and a stop of 15 s, as the script has them.
tuned: as many attempts as the job allows, a stop of 2 s. The script reads no Retry-After, so it stays without.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque

import aiohttp
from job import Job, Row, from_command_line, tokens

SLEEP_S = 0.001


class Loop:
    """Capacity, the queue of retries, and when the last refusal was."""

    def __init__(self, job: Job, session: aiohttp.ClientSession) -> None:
        self.job = job
        self.session = session
        self.attempts = job.attempts if job.tuned else 5
        self.stop_s = 2.0 if job.tuned else 15.0
        self.most = [job.requests_per_minute or float("inf"), job.tokens_per_minute or float("inf")]
        self.room = list(self.most)
        self.looked_at = time.monotonic()
        self.refused_at = float("-inf")
        self.retries: deque[tuple[Row, int]] = deque()
        self.under_way = 0

    async def run(self) -> None:
        rows = deque((row, self.attempts) for row in self.job.rows)
        tasks: set[asyncio.Task[None]] = set()
        while rows or self.retries or self.under_way:
            self.refill()
            queue = self.retries or rows
            if queue and self.under_way < self.job.in_flight:
                asked = (1, tokens(queue[0][0]))
                if all(room >= units for room, units in zip(self.room, asked, strict=True)):
                    self.room = [room - units for room, units in zip(self.room, asked, strict=True)]
                    self.under_way += 1
                    task = asyncio.create_task(self.call(*queue.popleft()))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            await asyncio.sleep(SLEEP_S)
            left = self.refused_at + self.stop_s - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)

    def refill(self) -> None:
        now = time.monotonic()
        passed = now - self.looked_at
        self.looked_at = now
        self.room = [
            min(most, room + most * passed / 60) if most != float("inf") else most
            for most, room in zip(self.most, self.room, strict=True)
        ]

    async def call(self, row: Row, attempts_left: int) -> None:
        try:
            async with self.session.post(self.job.base_url + "/chat/completions", json=row["body"]) as answer:
                body = await answer.json(content_type=None)
            if "error" not in body:
                self.job.answered(row["custom_id"])
                return
            error: object = body["error"]["message"]
            if "rate limit" in str(error).lower():
                self.refused_at = time.monotonic()
        except Exception as broken:  # noqa: BLE001  the script takes every error for one that may pass
            error = broken
        finally:
            self.under_way -= 1
        if attempts_left > 1:
            self.retries.append((row, attempts_left - 1))
        else:
            self.job.gave_up(row["custom_id"], error)


async def main(job: Job) -> None:
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=job.in_flight)) as session:
        loop = Loop(job, session)
        job.start()
        await loop.run()


if __name__ == "__main__":
    asyncio.run(main(from_command_line()))
