"""Clients of one limiter: who shares a budget with whom, and what a key is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from ratelimit_client import Client, ConfigurationError, Limiter, per_day, per_minute
from ratelimit_client.testing import serve_model
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.adapters.aiohttp.running import CHAT, KEY, OTHER_KEY, QUICK, in_virtual_time, ledger_is_even, virtual_loop


def answers(*organizations: str) -> Iterable[list[Any]]:
    """One answer each, of the organization named; "acme/proj_1" names a project, too."""
    for named in organizations:
        organization, _, project = named.partition("/")
        headers = {"openai_organization": organization} | ({"openai_project": project} if project else {})
        yield [answer(**headers)]


def granted(limiter: Limiter) -> dict[str, int]:
    return {name: key.granted for name, key in limiter.statistics().keys.items()}


def stopwatch() -> Callable[[], float]:
    """What tells the seconds since now."""
    began = virtual_loop().time()
    return lambda: virtual_loop().time() - began


async def calls(client: Client, count: int, **how: Any) -> None:
    await asyncio.gather(*(client.post("/chat/completions", json=CHAT, **how) for _ in range(count)))


def test_two_servers_have_a_budget_each():
    """
    Sixty calls to each at once, and both have room for them; one budget would have made the second half wait.
    """

    async def story() -> None:
        took_s = stopwatch()
        limiter = Limiter(max_in_flight=200)
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(serve_model(per_minute(requests=60))) for _ in range(2)]
            clients = [await stack.enter_async_context(Client(url, api_key=KEY, limiter=limiter)) for url in urls]
            await asyncio.gather(*(calls(client, 60) for client in clients))
            assert granted(limiter) == {"gpt-4o": 60, "gpt-4o @2": 60}
            assert [url.tally.refusals for url in urls] == [0, 0]
            assert ["@2" in repr(client) for client in clients] == [False, True]
            assert limiter.in_flight_of("gpt-4o") == 0
            assert all(map(ledger_is_even, clients))
        assert took_s() < 2

    in_virtual_time(story)


def test_two_keys_of_one_organization_share_what_it_has():
    """
    Apart until both have heard whose they are, then one key of one budget: nothing is refused.
    """

    async def story() -> None:
        took_s = stopwatch()
        limiter = Limiter()
        async with (
            serve_model(per_minute(requests=60), latency=0.5) as url,
            Client(url, api_key=KEY, limiter=limiter) as one,
            Client(url, api_key=OTHER_KEY, limiter=limiter) as two,
        ):
            await asyncio.gather(calls(one, 60), calls(two, 60))
            assert granted(limiter) == {"gpt-4o": 120}
            assert url.tally.refusals == 0
            assert ledger_is_even(one)
        assert 55 < took_s() < 75

    in_virtual_time(story)


@pytest.mark.parametrize("typed", [(), per_minute(requests=30)])
def test_two_organizations_do_not(typed: Any):
    """
    As sent with one and the same key, and echoed; a quota typed for the key holds for each of them.
    """

    async def story() -> None:
        limiter = Limiter(typed)
        async with (
            serve_model(per_minute(requests=600)) as url,
            Client(url, api_key=KEY, organization="org-1", limiter=limiter) as one,
            Client(url, api_key=KEY, organization="org-2", limiter=limiter) as two,
        ):
            await asyncio.gather(calls(one, 20), calls(two, 20))
            limiter.set_quotas(per_minute(requests=100), key="gpt-4o")
            await two.post("/chat/completions", json=CHAT, headers={"openai-organization": "org-1"})
            await two.post("/chat/completions", json=CHAT, headers={"OpenAI-Organization": "org-3"})
            await two.post("/chat/completions", json=CHAT, headers={"OpenAI-Organization": "org-3", "X-Team": "a"})
        keys = limiter.statistics().keys
        assert granted(limiter) == {"gpt-4o": 21, "gpt-4o @2": 20, "gpt-4o @3": 2}
        assert {key.buckets["requests"].limit for key in keys.values()} == {100}

    in_virtual_time(story)


def test_a_rotated_key_keeps_the_budget():
    """
    Another key each minute, and no answer ever names an organization.
    """

    async def story() -> None:
        keys = iter([f"{KEY}-{number}" for number in range(9)])
        async with (
            RawServer([answer()]) as server,
            Client(server.url, api_key=lambda: next(keys), quotas=per_day(requests=100)) as client,
        ):
            for _ in range(3):
                await client.post("/v1/x", json=CHAT)
                await asyncio.sleep(61)
            assert len({request.headers["authorization"] for request in server.requests}) == 3
            assert granted(client.limiter) == {"gpt-4o": 3}

    in_virtual_time(story)


def test_a_key_of_another_organization_is_charged_elsewhere():
    """
    From the answer on that names it. Refusals name it, too; those to calls sent before are no news.
    """

    async def story() -> None:
        refused = answer(b"{}", status="429 X", openai_organization="beta")
        conversations = [*answers("acme", "acme", "acme/proj_1"), [refused], *answers("beta", "beta")]
        async with (
            RawServer(*conversations) as server,
            Client(server.url, api_key=KEY, retry=QUICK, quotas=per_day(requests=100)) as client,
        ):
            for _ in range(5):
                await client.post("/v1/x", json=CHAT)
            # The call that was refused waits and goes again as what it was.
            assert granted(client.limiter) == {"gpt-4o": 5, "gpt-4o @2": 1}
            assert "@2" in repr(client)

    in_virtual_time(story)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ({"api_key": KEY}, {"api_key": KEY}, True),
        ({"api_key": KEY}, {"api_key": lambda: KEY}, True),
        ({"api_key": KEY}, {"api_key": OTHER_KEY}, False),
        ({"api_key": KEY}, {"api_key": KEY, "project": "proj_2"}, False),
        ({"api_key": KEY, "organization": "o"}, {"api_key": OTHER_KEY, "organization": "o"}, True),
        ({"headers": {"api-key": "a"}}, {"headers": {"Api-Key": "a"}}, True),
        ({"headers": {"api-key": "a"}}, {"headers": {"api-key": "b"}}, False),
        ({"headers": {"X-Goog-User-Project": "a"}}, {"headers": {"X-Goog-User-Project": "b"}}, False),
        ({"headers": {"X-Team": "a"}}, {"headers": {"X-Team": "b", "OpenAI-Organization": ""}}, True),
        ({"default_query": {"key": "a"}}, {"default_query": {"key": "b"}}, False),
        ({"default_query": {"api-version": "a"}}, {"default_query": {"api-version": "b"}}, True),
    ],
)
def test_what_is_sent_tells_who_it_is(one: dict[str, Any], two: dict[str, Any], same: bool):
    """
    While no answer names anybody: the organization, and the key where none is sent, wherever the key stands.
    """

    async def story() -> None:
        limiter = Limiter(per_day(requests=100))
        async with RawServer([answer()]) as server:
            for options in (one, two):
                async with Client(server.url, limiter=limiter, **{"api_key": "", **options}) as client:
                    await client.post("/v1/x", json=CHAT)
        assert granted(limiter) == ({"gpt-4o": 2} if same else {"gpt-4o": 1, "gpt-4o @2": 1})

    in_virtual_time(story)


def test_calls_that_name_no_scope_are_of_the_first():
    """
    A permit of the limiter and the first client draw on one budget; and the limiter is told of each scope by its name.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=10))
        async with (
            serve_model(per_minute(requests=100), latency=1.0) as url,
            Client(url, api_key=KEY, limiter=limiter) as one,
            Client(url, api_key=KEY, organization="org-2", limiter=limiter) as two,
            limiter.permit(key="gpt-4o"),
        ):
            await calls(one, 2)
            running = asyncio.gather(calls(two, 3))
            await asyncio.sleep(0.5)
            assert limiter.in_flight_of("gpt-4o") == 4
            assert limiter.in_flight_of("gpt-4o @2") == 3
            assert set(limiter.waiting()) == {"gpt-4o", "gpt-4o @2"}
            assert limiter.explain("gpt-4o @2", cost={"requests": 99}).reason.endswith("no wait helps")
            await running
        assert granted(limiter) == {"gpt-4o": 3, "gpt-4o @2": 3}

    in_virtual_time(story)


def test_many_senders_in_the_headers_of_calls_fill_no_memory():
    """
    A thousand are remembered; one that was forgotten is found again by what it sends.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server, Client(server.url, api_key=KEY) as client:
            for number in [*range(1001), 0]:
                whose = client._whose.of({"openai-organization": f"org-{number}"})
            assert whose.number == 2
            assert len(client._whose._others) == 2

    in_virtual_time(story)


# -- what counts together, and what does not ---------------------------------------------


def test_models_of_one_group_share_its_limit():
    """
    Said beforehand, so that not even the first call is refused.
    """

    async def story() -> None:
        took_s = stopwatch()
        limiter = Limiter({"gpt-4.1": per_minute(requests=60)}, groups={"gpt-4.1": ["gpt-4.1-2025-04-14"]})
        async with (
            serve_model(per_minute(requests=60), groups={"gpt-4.1-2025-04-14": "gpt-4.1"}, latency=0.5) as url,
            Client(url, api_key=KEY, limiter=limiter) as client,
        ):
            bodies = [CHAT | {"model": model} for model in ("gpt-4.1", "gpt-4.1-2025-04-14") for _ in range(60)]
            await asyncio.gather(*(client.post("/chat/completions", json=body) for body in bodies))
            assert url.tally.refusals == 0
        assert 55 < took_s() < 75

    in_virtual_time(story)


def test_what_cannot_count_together():
    """
    A quota of a member, and two groups of one key; later as at the start.
    """
    limiter = Limiter(per_minute(requests=5), groups={"g": ["a", "b"]})
    with pytest.raises(ConfigurationError, match="type the quotas for 'g'"):
        limiter.set_quotas(per_minute(requests=5), key="a")
    with pytest.raises(ConfigurationError, match="type the quotas for 'g'"):
        limiter.set_quotas({"b": per_minute(requests=5)})
    with pytest.raises(ConfigurationError, match="type the quotas for 'g'"):
        Limiter({"a": per_minute(requests=5)}, groups={"g": ["a"]})
    with pytest.raises(ConfigurationError, match="two groups"):
        Limiter(groups={"g": ["a"], "h": ["a"]})
    limiter.set_quotas({"g": per_minute(requests=7)})
    limiter.set_quotas(per_minute(requests=8), key="g")


def test_a_client_may_make_keys_of_models_and_sizes():
    """
    Of the model and about the tokens of the prompt, or those that are stated; a key that a call names is its own.
    """

    def key_of(model: str, tokens: int) -> str:
        return f"{model}, long" if tokens > 1000 else model

    async def story() -> None:
        long = CHAT | {"messages": [{"role": "user", "content": "x" * 5000}]}
        async with RawServer([answer()]) as server, Client(server.url, api_key=KEY) as client:
            client.key_of = key_of
            for body, how in (
                (CHAT, {}),
                (long, {}),
                (long, {"tokens": 5}),
                (CHAT, {"tokens": 5000}),
                (CHAT, {"cost": {"requests": 1, "tokens": 5000}}),
                (CHAT, {"cost": {"requests": 1}}),
                (long, {"key": "mine"}),
                (CHAT | {"max_tokens": 5000}, {}),
            ):
                await client.post("/v1/chat/completions", json=body, **how)
            await client.get("/v1/models")
        assert granted(client.limiter) == {"gpt-4o": 4, "gpt-4o, long": 3, "mine": 1, "default": 1}

    in_virtual_time(story)


def test_tokens_of_the_project_and_of_the_organization_are_two_buckets():
    """
    One call pays in both, and the smaller one holds it back before anything is refused.
    """

    async def story() -> None:
        took_s = stopwatch()
        limits = ["100k tokens/min", "10k project-tokens/min", "600 requests/min"]
        async with (
            serve_model(limits, latency=0.1) as url,
            Client(url, api_key=KEY, dialect="openai") as client,
        ):
            body = CHAT | {"messages": [{"role": "user", "content": "x" * 4000}]}
            await asyncio.gather(*(client.post("/chat/completions", json=body) for _ in range(15)))
            assert url.tally.refusals == 0
            buckets = client.limiter.statistics().keys["gpt-4o"].buckets
            assert {name: bucket.limit for name, bucket in buckets.items()} == {
                "requests": 600,
                "tokens": 100_000,
                "project-tokens": 10_000,
            }
        assert 25 < took_s() < 40

    in_virtual_time(story)
