"""
The OpenAI SDK: its client gets an ``http_client`` that asks the limiter. Nothing else changes.

    pip install "ratelimit-client[openai]"
    python examples/frameworks/openai_sdk.py [CALLS]
"""

from __future__ import annotations

import asyncio
import sys

from openai import AsyncOpenAI

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client

MODEL = "gpt-4o-mini"


async def ask(client: AsyncOpenAI, question: str) -> str:
    answer = await client.responses.create(model=MODEL, input=question)
    return answer.output_text


async def told(client: AsyncOpenAI, question: str) -> str:
    asked = [{"role": "user", "content": question}]
    stream = await client.chat.completions.create(model=MODEL, messages=asked, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    async with Limiter() as limiter, AsyncOpenAI(http_client=http_client(limiter)) as client:
        plain = await asyncio.gather(*(ask(client, f"What is {n} in Roman numerals?") for n in range(calls)))
        streamed = await asyncio.gather(*(told(client, f"Count to {n}.") for n in range(calls)))
    print(f"{len(list(filter(None, plain)))} answers, {len(list(filter(None, streamed)))} streamed")


if __name__ == "__main__":
    asyncio.run(main())
