"""
LlamaIndex: its ``OpenAI`` takes the client as ``async_http_client``, and ``OpenAIEmbedding`` does so, too.

    pip install "ratelimit-client[openai]" llama-index-llms-openai
    python examples/frameworks/llama_index_llm.py [CALLS]

It does not read OPENAI_BASE_URL, so it is told. For ``complete`` and ``stream_complete`` without ``a`` there is
``http_client=sync_http_client(limiter)``.
"""

from __future__ import annotations

import asyncio
import os
import sys

from llama_index.llms.openai import OpenAI

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client


async def ask(model: OpenAI, question: str) -> str:
    return (await model.acomplete(question)).text


async def told(model: OpenAI, question: str) -> str:
    return "".join([chunk.delta or "" async for chunk in await model.astream_complete(question)])


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    async with Limiter() as limiter, http_client(limiter) as http:
        model = OpenAI(model="gpt-4o-mini", api_base=os.environ.get("OPENAI_BASE_URL"), async_http_client=http)
        plain = await asyncio.gather(*(ask(model, f"What is {n} in Roman numerals?") for n in range(calls)))
        streamed = await asyncio.gather(*(told(model, f"Count to {n}.") for n in range(calls)))
    print(f"{len(list(filter(None, plain)))} answers, {len(list(filter(None, streamed)))} streamed")


if __name__ == "__main__":
    asyncio.run(main())
