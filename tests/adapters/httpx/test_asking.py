"""What a request asks for, beside what is said of it, and whose budget that draws on."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from ratelimit_client import per_minute
from ratelimit_client.core.events import Event, Kind
from tests import canary
from tests.adapters.httpx.scripted import BODY, MODULES, URL, USAGE, Said, Scripted, client_of, limiter_of, run
from tests.runtime.torture import level

both = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
TOKENS = per_minute(requests=100, tokens=100_000)


@both
@pytest.mark.parametrize(
    ("body", "key", "tokens"),
    [
        (json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 4000}]}), "gpt-4o", 1_000),
        (json.dumps({"model": "gpt-4o", "input": "", "max_output_tokens": 500}), "gpt-4o", 500),
        (json.dumps({"model": 7}), "default", 0),
        ("[1, 2]", "default", 0),
        ('{"model": ', "default", 0),
        ("plain", "default", 0),
        ("", "default", 0),
        ("[" * 100_000, "default", 0),
    ],
)
def test_a_request_is_charged_for_what_it_shows(module: Any, body: str, key: str, tokens: int) -> None:
    """
    To its model, by its text; what cannot be read costs one request.
    """
    limiter, server = limiter_of(), Scripted(Said())
    limiter.set_quotas(TOKENS)

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            call = asyncio.create_task(client.post(URL, content=body.encode()))
            await asyncio.sleep(0.01)
            assert 100_000 - level(limiter, "tokens", key) == pytest.approx(tokens, abs=20)
            await call

    run(main, limiter)
    assert server.bodies == [body.encode()]


@both
def test_what_is_said_beside_a_request_counts(module: Any) -> None:
    """
    Another key, another cost and another tenant, for the calls in the block and no others.
    """
    limiter, server = limiter_of(), Scripted(Said(body={}), Said(body={}))
    limiter.set_quotas(TOKENS)

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            with limiter.call_options(key="mine", cost={"tokens": 70_000}):
                await client.post(URL, json=BODY)
            await client.post(URL, json=BODY)

    run(main, limiter)
    assert level(limiter, "tokens", "mine") == pytest.approx(30_000, abs=400)
    assert level(limiter, "tokens", "gpt-4o") > 99_000


@both
def test_priority_decides_who_goes_first(module: Any) -> None:
    """
    Said by the block a task was begun in, whatever happens outside of it.
    """
    limiter = limiter_of(max_in_flight=1)
    server = Scripted(*(Said() for _ in range(3)))

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            calls = [asyncio.create_task(client.post(URL, json={**BODY, "user": "first"}))]
            await asyncio.sleep(0.01)
            calls += [asyncio.create_task(client.post(URL, json={**BODY, "user": "ordinary"}))]
            await asyncio.sleep(0.01)
            with limiter.call_options(priority=-2):
                calls += [asyncio.create_task(client.post(URL, json={**BODY, "user": "urgent"}))]
            await asyncio.gather(*calls)

    run(main, limiter)
    assert [json.loads(body)["user"] for body in server.bodies] == ["first", "urgent", "ordinary"]


# -- whose ----------------------------------------------------------------------------------------


def keys_after(module: Any, *senders: dict[str, str], answers: dict[str, str] | None = None) -> list[str]:
    """The keys of a limiter that has seen one request of each sender."""
    limiter = limiter_of()
    server = Scripted(*(Said(headers=answers or {}) for _ in senders))

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            for headers in senders:
                await client.post(URL, json=BODY, headers=headers)

    run(main, limiter)
    canary.clean(repr(limiter) + repr(list(limiter.statistics().keys)), "a key")
    return sorted(limiter.statistics().keys)


@both
def test_two_credentials_are_two_budgets(module: Any) -> None:
    """
    One client may serve two SDK clients, each with a key of its own; a header that changes with every call is no key.
    """
    mine, other = ({"authorization": f"Bearer {key}"} for key in (canary.KEY, canary.OTHER_KEY))
    again = {**mine, "idempotency-key": "1"}

    assert keys_after(module, mine, again, other, mine) == ["gpt-4o", "gpt-4o @2"]


@both
def test_a_token_that_is_renewed_by_the_hour_names_nobody(module: Any) -> None:
    """
    Signed tokens come and go, and the budget stays.
    """
    one, two = ({"authorization": f"Bearer eyJhbGciOi{number}"} for number in range(2))

    assert keys_after(module, one, two) == ["gpt-4o"]


@both
def test_two_credentials_of_one_organization_are_one_budget(module: Any) -> None:
    """
    As soon as the answers say so.
    """
    mine, other = ({"authorization": f"Bearer {key}"} for key in (canary.KEY, canary.OTHER_KEY))
    named = {
        "openai-organization": "org-1",
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "99",
    }

    assert keys_after(module, mine, other, mine, other, answers=named) == ["gpt-4o"]


@both
def test_two_projects_are_two_budgets(module: Any) -> None:
    """
    What is sent of them decides.
    """
    assert keys_after(module, {"openai-project": "a"}, {"openai-project": "b"}) == ["gpt-4o", "gpt-4o @2"]


# -- what it used ---------------------------------------------------------------------------------

EVENTS = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "hi"}}], "usage": null}\n\n'
    b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}\n\n'
    b"data: [DONE]\n\n"
)
LONG = {"data": [{"text": 'it says "usage": 7 ' * 9000}], "usage": USAGE}


@both
@pytest.mark.parametrize(
    ("said", "used"),
    [
        (Said(parts=5), [12]),
        (Said(body=LONG, parts=40), [12]),
        (Said(body=gzip.compress(json.dumps(LONG).encode()), headers={"content-encoding": "gzip"}), [12]),
        (Said(body=EVENTS, headers={"content-type": "text/event-stream"}, parts=7), [12]),
        (Said(body=b"no gzip", headers={"content-encoding": "gzip"}), []),
        (Said(body={"usage": "none"}), []),
        (Said(body=b'{"usage": '), []),
        (Said(body={"text": '"usage": {"total_tokens": 5}'}), []),
        (Said(body=b"\xff\xfe", headers={"content-type": "text/event-stream"}), []),
        (Said(body=b"\x00" * 100, headers={"content-type": "audio/mpeg"}), []),
    ],
    ids=lambda value: None if isinstance(value, list) else "body",
)
def test_what_an_answer_says_it_used_is_believed(module: Any, said: Said, used: list[int]) -> None:
    """
    Read beside the caller, who gets every byte as it came; what cannot be read is left alone.
    """
    seen: list[Event] = []
    limiter, server = limiter_of(on_event=seen.append), Scripted(said)

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            async with client.stream("POST", URL, json=BODY) as answer:
                assert b"".join([part async for part in answer.aiter_raw()]) == said.raw

            await asyncio.sleep(0)

    run(main, limiter)
    assert [event.facts["tokens"] for event in seen if event.kind is Kind.SETTLED] == used
