"""
DSPy: it calls LiteLLM, which takes one client for all its calls.

    pip install "ratelimit-client[openai]" dspy
    python examples/frameworks/dspy_program.py [CALLS]

``client_session`` is for programs that are called, ``aclient_session`` for those that are awaited.
This holds for ``model_type="chat"``, the default; see dspy_ignores.py.
"""

from __future__ import annotations

import asyncio
import sys

import dspy
import litellm

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client


async def ask(model: dspy.LM, question: str) -> str:
    return (await model.acall(question))[0]


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    async with Limiter() as limiter, http_client(limiter) as http:
        litellm.aclient_session = http
        model = dspy.LM("openai/gpt-4o-mini", cache=False)
        plain = await asyncio.gather(*(ask(model, f"What is {n} in Roman numerals?") for n in range(calls)))
    print(f"{len(list(filter(None, plain)))} answers")


if __name__ == "__main__":
    asyncio.run(main())
