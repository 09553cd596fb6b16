"""
``limiter.attempts`` under an aiohttp session of your own: refusals go back into the queue, not into a sleep.

    python examples/attempts.py

The loop body is one attempt. ``check`` learns from the answer; a refusal or a
failing server makes the loop go round again when it may, and the last failure
leaves the loop as an error with the request ID in it.
"""

from __future__ import annotations

import asyncio
import os

import aiohttp

from ratelimit_client import Limiter

URL = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"
MODEL = "gpt-4o-mini-2024-07-18"
WORDS = ("spleen", "gasogene", "curtsey", "Michaelmas", "hypos", "marmalade", "caprice", "spiles")


async def define(word: str, session: aiohttp.ClientSession, limiter: Limiter) -> str:
    """What *word* means, in one line."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": f"Define “{word}” in one line."}]}

    async for attempt in limiter.attempts(key=MODEL, tokens=60, deadline=60.0):
        async with attempt, session.post(URL, json=body) as response:
            await attempt.check(response)
            answer = await response.json()
            return str(answer["choices"][0]["message"]["content"])

    raise AssertionError("the loop returns or raises")


async def main() -> None:
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    async with Limiter(dialect="openai") as limiter, aiohttp.ClientSession(headers=headers) as session:
        definitions = await asyncio.gather(*(define(word, session, limiter) for word in WORDS))

    for word, definition in zip(WORDS, definitions, strict=True):
        print(f"{word}: {definition}")


if __name__ == "__main__":
    asyncio.run(main())
