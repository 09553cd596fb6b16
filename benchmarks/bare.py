"""
The careful user's own loop: a semaphore, a session, one write for each answer.

It does the calls and the writes of a bulk run and nothing else: no limits, no
retries, no journal that could be resumed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import aiohttp


async def main(source: str, target: str, base_url: str, in_flight: int) -> None:
    """Send every row of *source*, write every answer to *target*."""
    gate = asyncio.Semaphore(in_flight)
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        with open(target, "w", encoding="utf-8") as out, open(source, encoding="utf-8") as rows:

            async def call(row: dict[str, object]) -> None:
                try:
                    async with session.post(base_url + str(row["url"])[3:], json=row["body"]) as response:
                        body = await response.json()
                finally:
                    gate.release()
                line = {"custom_id": row["custom_id"], "response": {"status_code": response.status, "body": body}}
                out.write(json.dumps(line) + "\n")
                out.flush()

            tasks: set[asyncio.Task[None]] = set()
            for text in rows:
                await gate.acquire()
                task = asyncio.create_task(call(json.loads(text)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
