"""
taskiq: a worker makes its limiter when it starts and drains it when it stops.

    pip install "ratelimit-client[openai]" taskiq
    python examples/frameworks/taskiq_worker.py [CALLS]

This broker works in the program itself. With one of your own, ``taskiq worker taskiq_worker:broker``
begins the workers, and each of its processes has a limiter.
"""

from __future__ import annotations

import asyncio
import sys

from openai import AsyncOpenAI
from taskiq import InMemoryBroker, TaskiqEvents, TaskiqState

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client

broker = InMemoryBroker(max_async_tasks=1000)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def begin(state: TaskiqState) -> None:
    state.limiter = Limiter()
    state.openai = AsyncOpenAI(http_client=http_client(state.limiter))


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def end(state: TaskiqState) -> None:
    await state.limiter.drain()
    await state.openai.close()


@broker.task
async def ask(question: str) -> str:
    answer = await broker.state.openai.responses.create(model="gpt-4o-mini", input=question)
    return answer.output_text


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    await broker.startup()
    tasks = [await ask.kiq(f"What is {n} in Roman numerals?") for n in range(calls)]
    results = await asyncio.gather(*(task.wait_result() for task in tasks))
    await broker.shutdown()
    print(f"{len([result for result in results if not result.is_err])} answers")


if __name__ == "__main__":
    asyncio.run(main())
