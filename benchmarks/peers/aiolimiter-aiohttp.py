"""
What a careful user writes with aiolimiter and aiohttp.

One limiter for requests and one for tokens, each as large as a minute; a bound on calls in
flight; retries of 408, 429, 5xx and broken connections, as many as the job allows, after
what Retry-After says, else after 0.5 s doubling up to 8 s, always with jitter. Every attempt passes the
limiters, because the server charges every attempt.

defaults: the above, each row by itself.
tuned: a refusal is heard by everybody (pause.py says how). Bursts stay as large as a minute's limit: a
limiter of a second (rate / 60, 1) is never refused by a server that enforces less than a minute,
and takes four times as long where it does not.
"""

from __future__ import annotations

import asyncio
import os
import random

import aiohttp
from aiolimiter import AsyncLimiter
from job import Job, Row, from_command_line, tokens
from pause import Pause, asked_for, growing

WORTH_A_RETRY = frozenset({408, 409, 429, 500, 502, 503, 504})


class Refused(Exception):
    """An answer that is none, worth another try or not, with the wait it asks for."""

    def __init__(self, status: int, wait_s: float | None, *, insufficient: bool) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.wait_s = wait_s
        self.worth_a_retry = status in WORTH_A_RETRY and not insufficient


class Caller:
    """Sends rows within the limits it was told."""

    def __init__(self, job: Job, session: aiohttp.ClientSession) -> None:
        self.job = job
        self.session = session
        self.window = asyncio.Semaphore(job.in_flight)
        self.requests = AsyncLimiter(job.requests_per_minute, 60) if job.requests_per_minute else None
        self.tokens = AsyncLimiter(job.tokens_per_minute, 60) if job.tokens_per_minute else None
        self.pause = Pause()

    async def row(self, row: Row) -> None:
        """Try until it is answered or the attempts are used up."""
        for attempt in range(self.job.attempts):
            try:
                await self.attempt(row)
            except (Refused, aiohttp.ClientError, TimeoutError, ValueError) as error:
                last = attempt + 1 == self.job.attempts
                if last or (isinstance(error, Refused) and not error.worth_a_retry):
                    self.job.gave_up(row["custom_id"], error)
                    return
                await self.rest(error, attempt)
            else:
                self.job.answered(row["custom_id"])
                return

    async def rest(self, error: Exception, attempt: int) -> None:
        """Between two attempts of one row; tuned, a refusal is everybody's."""
        told_s = error.wait_s if isinstance(error, Refused) else None
        if self.job.tuned and isinstance(error, Refused) and error.status == 429:
            self.pause.begin(told_s)
        else:
            await asyncio.sleep(growing(attempt) if told_s is None else told_s * (1 + 0.25 * random.random()))

    async def attempt(self, row: Row) -> None:
        async with self.window:
            await self.admitted(row)
            await self.pause.over()
            await self.call(row)

    async def admitted(self, row: Row) -> None:
        if self.requests is not None:
            await self.requests.acquire()
        if self.tokens is not None:
            await self.tokens.acquire(tokens(row))

    async def call(self, row: Row) -> None:
        async with self.session.post(self.job.base_url + "/chat/completions", json=row["body"]) as answer:
            body = await answer.json(content_type=None)
            if answer.status != 200:
                code = body.get("error", {}).get("code") if isinstance(body, dict) else None
                wait_s = asked_for(answer.headers)
                raise Refused(answer.status, wait_s, insufficient=code == "insufficient_quota")


async def main(job: Job) -> None:
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
        caller = Caller(job, session)
        job.start()
        await asyncio.gather(*map(caller.row, job.rows))


if __name__ == "__main__":
    asyncio.run(main(from_command_line()))
