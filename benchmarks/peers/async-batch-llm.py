"""
async-batch-llm, with the model layer of its README for a server that is not OpenAI's own address.

defaults: concurrency, both limits and its character estimator, as "Token-aware admission"
shows them (the README's example expects 400 tokens of output; its default, 256, is left). A
refusal then stops everything for 300 s, which is its default.
tuned: the cooldown is 1 s and does not grow without end (Retry-After, where it is longer, still
holds: the library takes the longer of the two), no slow start after it, whose first delay of 2 s an item
is meant for cooldowns of minutes; as many attempts as the job allows; jitter is on by default. No output is
estimated, because the limits count the prompt and none of the rows asks for a reply of a size.
"""

from __future__ import annotations

import asyncio

from async_batch_llm import CharacterTokenEstimator, ProcessorConfig, RateLimitConfig, RetryConfig, llm, process_stream
from job import Job, from_command_line, prompt


def config(job: Job) -> ProcessorConfig:
    if not job.tuned:
        return ProcessorConfig(
            concurrency=job.in_flight,
            max_requests_per_minute=job.requests_per_minute,
            max_tokens_per_minute=job.tokens_per_minute,
            token_estimator=CharacterTokenEstimator(),
        )
    return ProcessorConfig(
        concurrency=job.in_flight,
        max_requests_per_minute=job.requests_per_minute,
        max_tokens_per_minute=job.tokens_per_minute,
        token_estimator=CharacterTokenEstimator(expected_output_tokens=0),
        retry=RetryConfig(max_attempts=job.attempts, initial_wait=0.5, max_wait=8.0),
        rate_limit=RateLimitConfig(
            cooldown_seconds=1.0,
            max_cooldown_seconds=60.0,
            backoff_multiplier=1.5,
            slow_start_items=0,
            slow_start_initial_delay=0.0,
            slow_start_final_delay=0.0,
        ),
    )


async def main(job: Job) -> None:
    strategy = llm(f"openai-compatible:{job.rows[0]['body']['model']}", base_url=job.base_url)
    prompts = [(row["custom_id"], prompt(row)) for row in job.rows]
    settings = config(job)
    job.start()
    async for result in process_stream(strategy, prompts, config=settings):
        if result.success:
            job.answered(result.item_id)
        else:
            job.gave_up(result.item_id, result.error)


if __name__ == "__main__":
    asyncio.run(main(from_command_line()))
