"""
Talk on one websocket with ``client.realtime``: each response waits its turn in the queue.

    python examples/realtime.py [QUESTION ...]
"""

from __future__ import annotations

import asyncio
import sys

from ratelimit_client import Client


async def main() -> None:
    async with Client() as client, client.realtime("gpt-realtime") as session:
        for question in sys.argv[1:] or ["What does a spleen do?", "And a spile?"]:
            said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": question}]}
            await session.send({"type": "conversation.item.create", "item": said})
            await session.send({"type": "response.create", "response": {"output_modalities": ["text"]}})
            async for event in session:
                print(event.get("delta", ""), end="", flush=True)
                if event["type"] == "response.done":
                    print(f"\n{event['response']['status']}, {event['response']['usage']['total_tokens']} tokens")
                    break


if __name__ == "__main__":
    asyncio.run(main())
