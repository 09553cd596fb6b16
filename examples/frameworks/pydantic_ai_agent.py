"""
Pydantic AI: the provider of a model takes the SDK's client, and so what is under it.

    pip install "ratelimit-client[openai]" "pydantic-ai-slim[openai]"
    python examples/frameworks/pydantic_ai_agent.py [CALLS]

An agent makes as many calls as it needs; each waits its turn.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client


async def ask(agent: Agent[Any, str], question: str) -> str:
    return (await agent.run(question)).output


async def told(agent: Agent[Any, str], question: str) -> str:
    async with agent.run_stream(question) as result:
        return "".join([text async for text in result.stream_text(delta=True)])


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    async with Limiter() as limiter, AsyncOpenAI(http_client=http_client(limiter)) as client:
        agent = Agent(OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client)))
        plain = await asyncio.gather(*(ask(agent, f"What is {n} in Roman numerals?") for n in range(calls)))
        streamed = await asyncio.gather(*(told(agent, f"Count to {n}.") for n in range(calls)))
    print(f"{len(list(filter(None, plain)))} answers, {len(list(filter(None, streamed)))} streamed")


if __name__ == "__main__":
    asyncio.run(main())
