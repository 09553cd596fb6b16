"""
LangChain: ``ChatOpenAI`` takes the client as ``http_async_client``, and ``OpenAIEmbeddings`` does so, too.

    pip install "ratelimit-client[openai]" langchain-openai
    python examples/frameworks/langchain_chat.py [CALLS]

For ``invoke`` and ``stream`` without ``a`` there is ``http_client=sync_http_client(limiter)``.
"""

from __future__ import annotations

import asyncio
import sys

from langchain_openai import ChatOpenAI

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client


async def ask(model: ChatOpenAI, question: str) -> str:
    return (await model.ainvoke(question)).text


async def told(model: ChatOpenAI, question: str) -> str:
    return "".join([chunk.text async for chunk in model.astream(question)])


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    async with Limiter() as limiter, http_client(limiter) as http:
        model = ChatOpenAI(model="gpt-4o-mini", http_async_client=http)
        plain = await asyncio.gather(*(ask(model, f"What is {n} in Roman numerals?") for n in range(calls)))
        streamed = await asyncio.gather(*(told(model, f"Count to {n}.") for n in range(calls)))
    print(f"{len(list(filter(None, plain)))} answers, {len(list(filter(None, streamed)))} streamed")


if __name__ == "__main__":
    asyncio.run(main())
