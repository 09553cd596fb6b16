"""
The OpenAI SDK, under the limits: one line makes its HTTP client, everything else is the SDK's own.

    OPENAI_API_KEY=... python openai_sdk.py

Thirty questions at once are answered as fast as the limits of the key allow, which nobody typed in. The one that
somebody waits for goes first, and gives up after half a minute.
"""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client

MODEL = "gpt-4o-mini"
limiter = Limiter(dialect="openai")


async def ask(client: AsyncOpenAI, question: str) -> str:
    answer = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": question}])
    return f"{question} {answer.choices[0].message.content}"


async def main() -> None:
    async with AsyncOpenAI(http_client=http_client(limiter)) as client:
        later = [asyncio.create_task(ask(client, f"What is {number} squared?")) for number in range(1, 31)]
        with limiter.call_options(priority=-2, deadline=30):
            print(await ask(client, "What is the answer?"))
        print(*await asyncio.gather(*later), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
