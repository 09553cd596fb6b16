"""
The Anthropic SDK: as that of OpenAI, with the ``http_client`` that is made for it.

    pip install "ratelimit-client[httpx]" anthropic
    python examples/frameworks/anthropic_sdk.py [CALLS]
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from anthropic import AsyncAnthropic

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.anthropic import http_client


def asked(question: str) -> dict[str, Any]:
    return {"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": question}]}


async def ask(client: AsyncAnthropic, question: str) -> str:
    message = await client.messages.create(**asked(question))
    return message.content[0].text


async def told(client: AsyncAnthropic, question: str) -> str:
    async with client.messages.stream(**asked(question)) as stream:
        return "".join([text async for text in stream.text_stream])


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    async with Limiter() as limiter, AsyncAnthropic(http_client=http_client(limiter)) as client:
        plain = await asyncio.gather(*(ask(client, f"What is {n} in Roman numerals?") for n in range(calls)))
        streamed = await asyncio.gather(*(told(client, f"Count to {n}.") for n in range(calls)))
    print(f"{len(list(filter(None, plain)))} answers, {len(list(filter(None, streamed)))} streamed")


if __name__ == "__main__":
    asyncio.run(main())
