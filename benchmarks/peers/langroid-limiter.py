"""
langroid's limiter and its retries around the openai SDK, in the order in which its own OpenAIGPT.achat uses them.

It learns the limits from headers and from refusals; there is no way to tell it any.

defaults: the limiter switched on, otherwise as it is, langroid's five retries, and the SDK's own two below.
tuned: the SDK's retries are off, so that every attempt passes the limiter and every refusal is heard by it;
as many attempts as the job allows; 2 % of the limit stay unused instead of 10 %. Where there are no
headers, every refusal of a wave lengthens the interval, so it grows by a tenth instead of doubling, up to
2 s instead of 10. The warm-up of 50 ms a call stays: without it the first wave is refused.

langroid fetches an encoding at import, for which the race has no use and may have no network;
LiteLLM, one of its extras, has a copy of it.
"""

from __future__ import annotations

import asyncio
import os
from importlib.util import find_spec
from pathlib import Path

os.environ["TIKTOKEN_CACHE_DIR"] = f"{Path(find_spec('litellm').origin).parent}/litellm_core_utils/tokenizers"

from job import Job, Row, from_command_line
from langroid.language_models.rate_limiter import RateLimitConfig, RateLimiter, rate_limit_error_headers
from langroid.language_models.utils import async_retry_with_exponential_backoff
from openai import AsyncOpenAI


async def attempt(client: AsyncOpenAI, limiter: RateLimiter, row: Row) -> None:
    """One call as langroid makes it."""
    await limiter.acquire_async()
    try:
        raw = await client.chat.completions.with_raw_response.create(**row["body"])
        limiter.observe_response(headers=raw.headers)
        result = raw.parse()
    except Exception as error:
        headers = rate_limit_error_headers(error)
        if headers is not None:
            limiter.observe_rate_limit_error(headers)
        raise
    limiter.observe_success(tokens_used=result.usage.total_tokens if result.usage else None)


async def main(job: Job) -> None:
    if job.tuned:
        client = AsyncOpenAI(base_url=job.base_url, max_retries=0)
        limits = RateLimitConfig(enabled=True, headroom=0.02, backoff_factor=1.1, max_interval=2.0)
        limiter = RateLimiter(limits)
        persistent = async_retry_with_exponential_backoff(attempt, max_retries=job.attempts - 1)
    else:
        client = AsyncOpenAI(base_url=job.base_url)
        limiter = RateLimiter(RateLimitConfig(enabled=True))
        persistent = async_retry_with_exponential_backoff(attempt)
    window = asyncio.Semaphore(job.in_flight)

    async def call(row: Row) -> None:
        async with window:
            try:
                await persistent(client, limiter, row)
            except Exception as error:  # noqa: BLE001  whatever it raises, the row is given up
                job.gave_up(row["custom_id"], error)
            else:
                job.answered(row["custom_id"])

    async with client:
        job.start()
        await asyncio.gather(*map(call, job.rows))


if __name__ == "__main__":
    asyncio.run(main(from_command_line()))
