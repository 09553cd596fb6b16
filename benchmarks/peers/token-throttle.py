"""
token-throttle in front of the openai SDK, as its "any provider" quickstart has it.

Tokens are reserved as a quarter of the characters: its own counter needs an encoding that
tiktoken fetches from outside.

defaults: the memory quickstart with the limits as quotas, around a client as the SDK's
README makes it. What the answer says it used is settled; the SDK retries twice, under the
reservation of the first attempt.
tuned: the SDK's retries are off, and every attempt reserves for itself, because the server
charges every attempt. A failed attempt keeps its reservation for the same reason. A refusal is heard by
everybody (pause.py says how), for the limiter has no place to be told of one; other failures wait 0.5 s
doubling up to 8 s, with jitter; as many attempts as the job allows.
The reservation stands as made: a limiter charges its own estimate, not what was used.
"""

from __future__ import annotations

import asyncio

from job import Job, Row, from_command_line, tokens
from openai import APIConnectionError, APIStatusError, AsyncOpenAI
from pause import Pause, asked_for, growing
from token_throttle import MemoryBackendBuilder, PerModelConfig, Quota, RateLimiter, UsageQuotas

WORTH_A_RETRY = frozenset({408, 409, 429, 500, 502, 503, 504})


def limiter(job: Job) -> RateLimiter:
    told = {"requests": job.requests_per_minute, "tokens": job.tokens_per_minute}
    quotas = [Quota(metric=unit, limit=limit, per_seconds=60) for unit, limit in told.items() if limit]
    return RateLimiter(PerModelConfig(quotas=UsageQuotas(quotas)), backend=MemoryBackendBuilder())


def usage(job: Job, used: int) -> dict[str, int]:
    """What one call uses of the quotas there are."""
    return {
        **({"requests": 1} if job.requests_per_minute else {}),
        **({"tokens": used} if job.tokens_per_minute else {}),
    }


async def attempt(job: Job, client: AsyncOpenAI, limits: RateLimiter, row: Row, pause: Pause) -> None:
    asked = usage(job, tokens(row))
    async with limits.reserve(asked, model=row["body"]["model"]) as handle:
        await pause.over()
        response = await client.chat.completions.create(**row["body"])
        used = asked if job.tuned or response.usage is None else usage(job, response.usage.total_tokens)
        handle.set_actual_usage(used)


async def persistent(job: Job, client: AsyncOpenAI, limits: RateLimiter, row: Row, pause: Pause) -> None:
    """Attempts of one row, each with a reservation of its own."""
    for number in range(job.attempts):
        try:
            await attempt(job, client, limits, row, pause)
        except (APIStatusError, APIConnectionError) as error:
            if number + 1 == job.attempts or not worth_a_retry(error):
                raise
            if isinstance(error, APIStatusError) and error.status_code == 429:
                pause.begin(asked_for(error.response.headers))
            else:
                await asyncio.sleep(growing(number))
        else:
            return


def worth_a_retry(error: APIStatusError | APIConnectionError) -> bool:
    if isinstance(error, APIStatusError):
        return error.status_code in WORTH_A_RETRY and error.code != "insufficient_quota"
    return True


async def main(job: Job) -> None:
    client = AsyncOpenAI(base_url=job.base_url, max_retries=0) if job.tuned else AsyncOpenAI(base_url=job.base_url)
    limits = limiter(job)
    window = asyncio.Semaphore(job.in_flight)
    pause = Pause()
    send = persistent if job.tuned else attempt

    async def call(row: Row) -> None:
        async with window:
            try:
                await send(job, client, limits, row, pause)
            except Exception as error:  # noqa: BLE001  whatever it raises, the row is given up
                job.gave_up(row["custom_id"], error)
            else:
                job.answered(row["custom_id"])

    async with client, limits:
        job.start()
        await asyncio.gather(*map(call, job.rows))


if __name__ == "__main__":
    asyncio.run(main(from_command_line()))
