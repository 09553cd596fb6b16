"""
The careful user's own loop: a semaphore, a session, one write for each answer.

It does the calls and the writes of a bulk run and nothing else: no limits, no
retries, no journal that could be resumed. Its JSON is that of the library named by
``--json``, which is given and gives bytes where it is orjson.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import aiohttp

Loads = Callable[[bytes], Any]
Dumps = Callable[[object], bytes]


def codec(name: str) -> tuple[Loads, Dumps]:
    """How that library reads and writes."""
    if name == "json":
        return json.loads, lambda value: json.dumps(value).encode()
    import orjson

    return orjson.loads, orjson.dumps


async def main(source: str, target: str, base_url: str, in_flight: int, loads: Loads, dumps: Dumps) -> None:
    """Send every row of *source*, write every answer to *target*."""
    gate = asyncio.Semaphore(in_flight)
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        with open(target, "wb") as out, open(source, "rb") as rows:

            async def call(row: dict[str, object]) -> None:
                try:
                    async with session.post(base_url + str(row["url"])[3:], data=dumps(row["body"])) as response:
                        body = loads(await response.read())
                finally:
                    gate.release()
                line = {"custom_id": row["custom_id"], "response": {"status_code": response.status, "body": body}}
                out.write(dumps(line) + b"\n")
                out.flush()

            tasks: set[asyncio.Task[None]] = set()
            for text in rows:
                await gate.acquire()
                task = asyncio.create_task(call(loads(text)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("base_url")
    parser.add_argument("in_flight", type=int)
    parser.add_argument("--json", choices=("json", "orjson"), default="json")
    given = parser.parse_args()
    asyncio.run(main(given.source, given.target, given.base_url, given.in_flight, *codec(given.json)))
