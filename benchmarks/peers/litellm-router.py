"""
LiteLLM's Router over one deployment that knows its limits.

defaults: a model list with rpm and tpm, as the Router's documents have it; it retries twice.
tuned: as many attempts as the job allows, at least 3 s apart, because refused calls are charged and
sixty-four that come back sooner keep each other out until their attempts are used up (the growing waits and
their jitter are the Router's own, the SDK's retries are off in it anyway); no cooldown of the only deployment
there is; calls in flight bounded by the deployment too. Its check of limits before a call
(enforce_model_rate_limits) is off: it counts by the minute of the clock and fails a call instead of holding it back,
so rows are lost to it that the server would have answered.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no prices are fetched at import

import litellm
from job import Job, Row, from_command_line

GROUP = "raced"


def router(job: Job) -> litellm.Router:
    parameters: dict[str, Any] = {
        "model": "openai/" + job.rows[0]["body"]["model"],
        "api_base": job.base_url,
        "api_key": os.environ["OPENAI_API_KEY"],
        "rpm": job.requests_per_minute,
        "tpm": job.tokens_per_minute,
    }
    if job.tuned:
        parameters["max_parallel_requests"] = job.in_flight
    models = [{"model_name": GROUP, "litellm_params": parameters}]
    if job.tuned:
        return litellm.Router(model_list=models, num_retries=job.attempts - 1, retry_after=3, disable_cooldowns=True)
    return litellm.Router(model_list=models)


async def main(job: Job) -> None:
    routes = router(job)
    window = asyncio.Semaphore(job.in_flight)

    async def call(row: Row) -> None:
        body = {**row["body"], "model": GROUP}
        async with window:
            try:
                await routes.acompletion(**body)
            except Exception as error:  # noqa: BLE001  whatever it raises, the row is given up
                job.gave_up(row["custom_id"], error)
            else:
                job.answered(row["custom_id"])

    job.start()
    await asyncio.gather(*map(call, job.rows))


if __name__ == "__main__":
    asyncio.run(main(from_command_line()))
