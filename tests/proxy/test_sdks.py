"""Programs that only take a base URL: the SDKs as they are, with all their defaults."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from ratelimit_client import Limiter, per_second
from ratelimit_client.testing import ModelURL, serve_model
from tests.proxy.talking import CHAT, KEY, is_even, proxied, until


async def use(client: Any, calls: int, streams: int) -> list[str]:
    """So many calls at once, and what each was answered."""

    async def whole() -> str:
        answer = await client.chat.completions.create(**CHAT)
        return str(answer.choices[0].message.content)

    async def streamed() -> str:
        stream = await client.chat.completions.create(**CHAT, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    return await asyncio.gather(*(whole() for _ in range(calls)), *(streamed() for _ in range(streams)))


def test_the_sdk_loses_no_call_to_a_limit_that_nobody_typed():
    """
    Sixty plain and twenty streamed at once, over twenty a second: each has its answer, and none was made twice.
    """

    async def story() -> tuple[list[str], ModelURL]:
        async with serve_model(per_second(requests=20), api_keys=[KEY], latency=0.02) as url:
            limiter = Limiter(dialect="openai")
            async with proxied(str(url), limiter=limiter) as proxy:
                async with openai.AsyncOpenAI(base_url=proxy.url, api_key=KEY) as client:
                    answers = await use(client, 60, 20)
                await until(lambda: is_even(proxy))
            return answers, url

    answers, url = asyncio.run(story())

    assert len(answers) == 80
    assert {answer[:9] for answer in answers} == {"Answer to"}
    assert url.tally.admitted == 80
    assert url.tally.refusals <= 10


def test_the_sdk_understands_what_the_proxy_says():
    """
    An error of the proxy's own is one of the API's to it, with its code; one of the server's is the server's.
    """

    async def story() -> tuple[Any, Any]:
        async with serve_model(api_keys=[KEY], models=["gpt-4o"]) as url, proxied(str(url)) as proxy:
            async with openai.AsyncOpenAI(base_url=proxy.url, api_key=KEY) as client:
                steered = {"x-ratelimit-client-deadline": "soon"}
                with pytest.raises(openai.BadRequestError) as bad:
                    await client.chat.completions.create(**CHAT, extra_headers=steered)
                with pytest.raises(openai.NotFoundError) as unknown:
                    await client.chat.completions.create(**{**CHAT, "model": "no-such-model"})
            return bad.value, unknown.value

    bad, unknown = asyncio.run(story())

    assert (bad.code, bad.param) == ("invalid_header", "x-ratelimit-client-deadline")
    assert unknown.response.headers["x-ratelimit-client-attempts"] == "1"
