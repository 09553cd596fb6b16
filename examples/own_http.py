"""
A ``permit`` around an HTTP call of your own: any library will do, here the standard one.

    python examples/own_http.py

The limits are typed, so the limiter holds them from the first call on; what the
answers say can only lower them. ``observe`` learns from an answer and never
raises for what a server said: what to do about a refusal is this program's affair.
(``limiter.attempts`` does that part too; see attempts.py.)
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ratelimit_client import Limiter, per_day, per_minute

URL = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/embeddings"
MODEL = "text-embedding-3-small"
LINES = (
    "Call me Ishmael.",
    "It was the best of times, it was the worst of times.",
    "It is a truth universally acknowledged.",
    "Nel mezzo del cammin di nostra vita",
    "吾輩は猫である。名前はまだ無い。",
)


def post(body: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
    """One HTTP call: status, headers, body. For urllib a refusal is an error that is also a response."""
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}", "Content-Type": "application/json"}
    try:
        response = urlopen(Request(URL, json.dumps(body).encode(), headers), timeout=60.0)
    except HTTPError as refusal:
        response = refusal
    with response:
        content = response.read()
    return response.status, response.headers.items(), content


async def embed(line: str, limiter: Limiter) -> list[float]:
    async with limiter.permit(key=MODEL, tokens=8 + len(line) // 4, deadline=60.0) as permit:
        status, headers, body = await asyncio.to_thread(post, {"model": MODEL, "input": line})
        signals = permit.observe(status, headers, body)
        if status != 200:
            raise RuntimeError(f"{signals.reason} ({signals.request_id}): {signals.message}")

        answer = json.loads(body)
        permit.settle(tokens=answer["usage"]["total_tokens"])
        return list(answer["data"][0]["embedding"])


async def main() -> None:
    limits = per_minute(requests=500, tokens=200_000) + per_day(requests=10_000)
    async with Limiter(limits, dialect="openai", max_in_flight=4) as limiter:
        vectors = await asyncio.gather(*(embed(line, limiter) for line in LINES))
        print(limiter.explain(key=MODEL, tokens=100_000))

    for line, vector in zip(LINES, vectors, strict=True):
        print(f"{len(vector)} numbers for {line!r}")


if __name__ == "__main__":
    asyncio.run(main())
