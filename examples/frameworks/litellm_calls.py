"""
LiteLLM: one client for all its calls, set before the first of them.

    pip install "ratelimit-client[openai]" litellm
    python examples/frameworks/litellm_calls.py [CALLS]

LiteLLM keeps the clients it has made: one that is set after the first call is not looked at.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import litellm

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client


def asked(question: str) -> dict[str, Any]:
    return {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": question}]}


async def ask(question: str) -> str:
    answer = await litellm.acompletion(**asked(question))
    return answer.choices[0].message.content


async def told(question: str) -> str:
    stream = await litellm.acompletion(**asked(question), stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    async with Limiter() as limiter, http_client(limiter) as http:
        litellm.aclient_session = http
        plain = await asyncio.gather(*(ask(f"What is {n} in Roman numerals?") for n in range(calls)))
        streamed = await asyncio.gather(*(told(f"Count to {n}.") for n in range(calls)))
    print(f"{len(list(filter(None, plain)))} answers, {len(list(filter(None, streamed)))} streamed")


if __name__ == "__main__":
    asyncio.run(main())
