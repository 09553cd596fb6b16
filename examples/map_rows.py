"""
Answer the rows of a file with ``client.map``: no limits typed, none exceeded, one result per row.

    python examples/map_rows.py [FILE [ROWS]]

Rows are dicts in the Batch form (or of the arguments of ``client.request``) and
may come from anywhere; the file is read only as fast as rows can be sent.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ratelimit_client import Client

JOB = Path(__file__).parent / "job.jsonl"


def read(path: Path, rows: int) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, islice(lines, rows))


async def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else JOB
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    tokens: Counter[str] = Counter()

    async with Client() as client, client.map(read(path, rows)) as results:
        async for result in results:
            if result.error is not None:
                print(f"{result.row['custom_id']}: {result.error}", file=sys.stderr)
                continue
            answer = result.unwrap().json()
            tokens[answer["model"]] += answer["usage"]["total_tokens"]

    for model, used in sorted(tokens.items()):
        print(f"{model}: {used} tokens")


if __name__ == "__main__":
    asyncio.run(main())
