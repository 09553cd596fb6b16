"""
Take an answer event by event with ``client.stream``: it holds its place until the last one.

    python examples/stream.py [QUESTION]
"""

from __future__ import annotations

import asyncio
import sys

from ratelimit_client import Client


async def main() -> None:
    question = sys.argv[1] if len(sys.argv) > 1 else "What does a spleen do?"
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]}

    async with Client() as client, client.stream("/chat/completions", json=asked, deadline_total=60) as events:
        async for event in events:
            for choice in event.data["choices"]:
                print(choice["delta"].get("content") or "", end="", flush=True)
        print(f"\n{events.delivered} events, {events.rate_limits['requests'].remaining:.0f} requests left")


if __name__ == "__main__":
    asyncio.run(main())
