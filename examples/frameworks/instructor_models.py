"""
Instructor: it wraps the SDK's client, which has the limiter under it already.

    pip install "ratelimit-client[openai]" instructor
    python examples/frameworks/instructor_models.py [CALLS]

When an answer does not fit the model Instructor asks again: a call of its own, which waits its turn.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import instructor
from openai import AsyncOpenAI
from pydantic import BaseModel

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client


class Fact(BaseModel):
    sentence: str


def asked(question: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "response_model": Fact, "messages": [{"role": "user", "content": question}]}


async def ask(client: instructor.AsyncInstructor, question: str) -> str:
    return (await client.create(**asked(question))).sentence


async def told(client: instructor.AsyncInstructor, question: str) -> str:
    return [fact.sentence async for fact in client.create_partial(**asked(question))][-1]


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    async with Limiter() as limiter, AsyncOpenAI(http_client=http_client(limiter)) as sdk:
        client = instructor.from_openai(sdk, mode=instructor.Mode.JSON_SCHEMA)
        plain = await asyncio.gather(*(ask(client, f"What is {n} in Roman numerals?") for n in range(calls)))
        streamed = await asyncio.gather(*(told(client, f"Count to {n}.") for n in range(calls)))
    print(f"{len(list(filter(None, plain)))} answers, {len(list(filter(None, streamed)))} streamed")


if __name__ == "__main__":
    asyncio.run(main())
