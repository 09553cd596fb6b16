"""
An aiohttp session of your own under the limiter: the requests stay as they are, and wait their turn.

    python examples/own_session.py
"""

from __future__ import annotations

import asyncio
import os

import aiohttp

from ratelimit_client import Limiter
from ratelimit_client.adapters.aiohttp import middleware

URL = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/embeddings"
HEADERS = {"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
WORDS = ("spleen", "gasogene", "curtsey", "Michaelmas", "hypos", "marmalade", "caprice", "spiles")


async def embed(word: str, session: aiohttp.ClientSession) -> str:
    async with session.post(URL, json={"model": "text-embedding-3-small", "input": word}) as response:
        response.raise_for_status()
        return f"{word}: {len((await response.json())['data'][0]['embedding'])} numbers"


async def main() -> None:
    limiter, no_total = Limiter(), aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=600)
    async with aiohttp.ClientSession(headers=HEADERS, timeout=no_total, middlewares=(middleware(limiter),)) as session:
        print(*await asyncio.gather(*(embed(word, session) for word in WORDS)), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
