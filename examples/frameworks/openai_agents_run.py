"""
OpenAI Agents: the client that all agents use is set once, for the program.

    pip install "ratelimit-client[openai]" openai-agents
    python examples/frameworks/openai_agents_run.py [CALLS]

Traces go to OpenAI by a client of their own; ``use_for_tracing=False`` leaves the key of this one out of it.
"""

from __future__ import annotations

import asyncio
import sys

from agents import Agent, Runner, set_default_openai_client, set_tracing_disabled
from openai import AsyncOpenAI

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client


async def ask(agent: Agent, question: str) -> str:
    return (await Runner.run(agent, question)).final_output


async def told(agent: Agent, question: str) -> str:
    run = Runner.run_streamed(agent, question)
    async for _ in run.stream_events():
        pass
    return run.final_output


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    set_tracing_disabled(True)
    async with Limiter() as limiter, AsyncOpenAI(http_client=http_client(limiter)) as client:
        set_default_openai_client(client, use_for_tracing=False)
        agent = Agent(name="Clerk", model="gpt-4o-mini")
        plain = await asyncio.gather(*(ask(agent, f"What is {n} in Roman numerals?") for n in range(calls)))
        streamed = await asyncio.gather(*(told(agent, f"Count to {n}.") for n in range(calls)))
    print(f"{len(list(filter(None, plain)))} answers, {len(list(filter(None, streamed)))} streamed")


if __name__ == "__main__":
    asyncio.run(main())
