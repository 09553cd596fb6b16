"""
infermesh's LMClient (the script has another name than its package, which it would hide).

It needs rpm whenever it is told tpm, and makes one up otherwise, so it is told a very high one where there is no limit.

defaults: model, window, rpm and tpm, as the README's quick start has them.
tuned: as many attempts as the job allows, all of them its own: LiteLLM's SDK below it retries twice by
itself, past the limiter, unless told not to. Headers are taken to be of the day, for which no limit
is told, so they are not followed: where one of them says that its bucket is full again now (0s), following
it raises after the answer has come, and the paid answer is lost. rpm is told 2 % lower: a call that failed
gets its place back, which the server does not give back, so at the very limit one refusal makes more. 64 tokens
of output are reserved, so that estimate and charge meet: it counts fewer tokens than a quarter of the characters.
Bursts stay as large as a minute's limit; smaller ones make the first minute take two.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no prices are fetched at import

from infermesh import LMClient
from job import Job, from_command_line

NO_LIMIT = 1_000_000


def client(job: Job) -> LMClient:
    settings: dict[str, Any] = {
        "model": "openai/" + job.rows[0]["body"]["model"],
        "api_base": job.base_url,
        "max_parallel_requests": job.in_flight,
        "rpm": job.requests_per_minute or (NO_LIMIT if job.tokens_per_minute else None),
        "tpm": job.tokens_per_minute,
    }
    if job.tuned:
        settings |= {
            "max_retries": job.attempts - 1,
            "default_request_kwargs": {"max_retries": 0},
            "header_bucket_scope": "day",
            "default_output_tokens": 64,
            "rpm": settings["rpm"] and int(settings["rpm"] * 0.98),
        }
    return LMClient(**settings)


async def main(job: Job) -> None:
    ids = [row["custom_id"] for row in job.rows]

    def settled(index: int, result: object, error: BaseException | None) -> None:
        if error is None:
            job.answered(ids[index])
        else:
            job.gave_up(ids[index], error)

    async with client(job) as mesh:
        job.start()
        await mesh.agenerate_batch([row["body"]["messages"] for row in job.rows], on_result=settled)


if __name__ == "__main__":
    asyncio.run(main(from_command_line()))
