"""
lm-deluge, with the server registered as a model of its own.

It sends bodies of its own making: the row's text, its sampling defaults and a bound on the reply.

defaults: the constructor with the limits and the bound on calls in flight, as the README's
"Putting it all together" has it. It reserves 512 tokens for each reply, which is its default.
tuned: as many attempts as the job allows, and a reply of at most 16 tokens, so that little
more is reserved than the server charges. The pause after a refusal is Retry-After's, else 10 s; there is no
setting for it, nor for jitter or the size of a burst.
"""

from __future__ import annotations

import asyncio
from typing import Any

from job import Job, from_command_line, prompt
from lm_deluge import LLMClient
from lm_deluge.models import register_model

MODEL = "raced"
NO_LIMIT = 1_000_000_000


def client(job: Job, postprocess: Any) -> Any:
    register_model(
        id=MODEL,
        name=job.rows[0]["body"]["model"],
        api_base=job.base_url,
        api_key_env_var="OPENAI_API_KEY",
        api_spec="openai",
    )
    settings = {
        "max_requests_per_minute": job.requests_per_minute or NO_LIMIT,
        "max_tokens_per_minute": job.tokens_per_minute or NO_LIMIT,
        "max_concurrent_requests": job.in_flight,
        "postprocess": postprocess,
    }
    if job.tuned:
        settings |= {"max_attempts": job.attempts, "max_new_tokens": 16}
    return LLMClient(MODEL, **settings)


async def main(job: Job) -> None:
    ids = [row["custom_id"] for row in job.rows]

    def seen(response: Any) -> Any:
        # Called for every response, those that are retried included; task ids count from 0 in the order of the rows.
        if not response.is_error:
            job.answered(ids[response.id])
        return response

    deluge = client(job, seen)
    job.start()
    responses = await deluge.process_prompts_async([prompt(row) for row in job.rows], show_progress=False)
    for custom_id, response in zip(ids, responses, strict=True):
        if custom_id not in job.settled:
            job.gave_up(custom_id, response.error_message)


if __name__ == "__main__":
    asyncio.run(main(from_command_line()))
