"""
What does not work: DSPy with ``model_type="responses"``, and LiteLLM's ``responses``, ignore the client.

    pip install "ratelimit-client[openai]" dspy
    python examples/frameworks/dspy_ignores.py [CALLS]

The client is set as in dspy_program.py and never used, so each refusal is left to LiteLLM's own retries.
Put ``ratelimit-client serve`` between, and DSPy's ``api_base`` on it.
"""

from __future__ import annotations

import asyncio
import sys

import dspy
import litellm

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    async with Limiter() as limiter, http_client(limiter) as http:
        litellm.aclient_session = http
        model = dspy.LM("openai/gpt-4o-mini", model_type="responses", cache=False)
        asked = (model.acall(f"What is {n} in Roman numerals?") for n in range(calls))
        results = await asyncio.gather(*asked, return_exceptions=True)
        seen = sum(key.granted for key in limiter.statistics().keys.values())
    failed = [result for result in results if isinstance(result, BaseException)]
    print(f"{calls - len(failed)} answers, {len(failed)} failed, {seen} seen by the limiter")


if __name__ == "__main__":
    asyncio.run(main())
