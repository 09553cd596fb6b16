"""
arq: the limiter is made in ``on_startup`` and drained in ``on_shutdown``; jobs find it in their context.

    pip install "ratelimit-client[openai]" arq               # and a redis-server
    arq arq_worker.WorkerSettings
    python examples/frameworks/arq_worker.py [CALLS]         # queues jobs and works until there are none

``job_timeout`` (300 s) counts the wait in the queue of the limiter as well: give it room, or a
``deadline`` below it with ``limiter.call_options``. REDIS_URL says where redis is.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker
from openai import AsyncOpenAI

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client


async def begin(context: dict[str, Any]) -> None:
    context["limiter"] = Limiter()
    context["openai"] = AsyncOpenAI(http_client=http_client(context["limiter"]))


async def end(context: dict[str, Any]) -> None:
    await context["limiter"].drain()
    await context["openai"].close()


async def ask(context: dict[str, Any], question: str) -> str:
    answer = await context["openai"].responses.create(model="gpt-4o-mini", input=question)
    return answer.output_text


class WorkerSettings:
    functions = (ask,)
    on_startup, on_shutdown = begin, end
    redis_settings = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))
    max_jobs = 100


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    pool = await create_pool(WorkerSettings.redis_settings)
    jobs = [await pool.enqueue_job("ask", f"What is {n} in Roman numerals?") for n in range(calls)]
    given = {name: value for name, value in vars(WorkerSettings).items() if not name.startswith("_")}
    worker = Worker(**given, burst=True, handle_signals=False)
    await worker.async_run()
    answers = [await job.result(timeout=5) for job in jobs if job is not None]
    await worker.close()
    await pool.aclose()
    print(f"{len(list(filter(None, answers)))} answers")


if __name__ == "__main__":
    asyncio.run(main())
