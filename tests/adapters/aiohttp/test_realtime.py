"""Realtime sessions of a client, against the model server: many calls on one socket, within the limits."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from ratelimit_client import (
    Client,
    ConfigurationError,
    CostExceedsQuota,
    DeadlineUnreachable,
    per_day,
    per_minute,
)
from ratelimit_client.testing import ModelServer, Route, serve_model
from ratelimit_client.testing.realtime import RealtimeConduct
from tests.adapters.aiohttp.running import (
    KEY,
    in_virtual_time,
    ledger_is_even,
    on_real_sockets,
    virtual_loop,
)
from tests.adapters.aiohttp.talking import CREATE, MODEL, WIDE, elapsed, hello, level, respond, until

# -- one call after the other ---------------------------------------------------------------


@pytest.mark.parametrize("run", [in_virtual_time, on_real_sockets])
def test_a_session_is_many_calls_on_one_socket(run: Any) -> None:
    """Each response is charged and holds a place until it is over; opening and closing cost nothing."""

    async def story() -> None:
        server = ModelServer(per_minute(requests=100, tokens=10_000), latency=0.01)
        async with serve_model(server) as url, Client(url, api_key=KEY, quotas=WIDE) as client:
            async with client.realtime(MODEL) as session:
                assert client.limiter.in_flight == 0
                for _ in range(3):
                    await session.send(hello())
                    await session.send(CREATE)
                    assert client.limiter.in_flight == 1 == session.under_way
                    done = await until(session, "response.done")
                    assert done["response"]["status"] == "completed"
                    assert client.limiter.in_flight == 0 == session.under_way
            assert (server.tally.calls, server.tally.refusals) == (3, 0)
            assert ledger_is_even(client)
            assert client.tally.outcomes == {(MODEL, "success"): 4}
            assert client.tally.tokens[MODEL, "output"] > 0
            assert session.unsent == ()

    run(story)


def test_a_session_of_the_users_own_carries_it() -> None:
    """An aiohttp session with a proxy or a certificate authority is used for the handshake, too."""

    async def story() -> None:
        server = ModelServer(api_keys=[KEY])
        async with aiohttp.ClientSession() as own, serve_model(server) as url:
            async with Client(url, api_key=KEY, quotas=WIDE, session=own) as client, client.realtime(MODEL) as session:
                assert (await respond(session))["status"] == "completed"
            assert ledger_is_even(client)

    on_real_sockets(story)


def test_a_response_waits_its_turn_and_all_else_goes_at_once() -> None:
    """The budget is one response in six seconds; what is said meanwhile is answered meanwhile."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with (
            serve_model(WIDE) as url,
            Client(url, api_key=KEY, quotas="1 per 6 s") as client,
            client.realtime(MODEL) as session,
        ):
            assert (await respond(session))["status"] == "completed"
            began = loop.time()
            asking = asyncio.create_task(session.send(CREATE))
            await asyncio.sleep(0)
            await session.send(hello())
            await until(session, "conversation.item.created")
            assert (loop.time() - began < 0.1, asking.done(), client.limiter.queued) == (True, False, 1)
            await until(session, "response.done")
            assert 5.9 < loop.time() - began < 6.2

    in_virtual_time(story)


def test_a_place_is_free_at_the_end_of_a_response_whether_it_is_read_or_not() -> None:
    """Nobody takes the events of the first session, and the second gets its turn."""

    async def story() -> None:
        async with (
            serve_model(WIDE, latency=0.1) as url,
            Client(url, api_key=KEY, quotas=WIDE, max_in_flight=1) as client,
            client.realtime(MODEL) as one,
            client.realtime(MODEL) as other,
        ):
            await one.send(CREATE)
            assert (await respond(other))["status"] == "completed"
            assert one.under_way == 0
            await until(one, "response.done")

    in_virtual_time(story)


def test_a_response_costs_what_is_stated_or_what_it_shows() -> None:
    """By characters at first; then by what the server has counted."""

    async def story() -> None:
        async with (
            serve_model(per_day(tokens=10**9)) as url,
            Client(url, api_key=KEY, quotas=per_day(tokens=10**6)) as client,
            client.realtime(MODEL) as session,
        ):
            await session.send(hello(4000))
            await session.send(CREATE)
            assert 10**6 - level(client, "tokens") == pytest.approx(1008, abs=8)
            used = (await until(session, "response.done"))["response"]["usage"]["total_tokens"]
            before = level(client, "tokens")
            await session.send(CREATE)
            assert before - level(client, "tokens") == pytest.approx(used, abs=16)
            await until(session, "response.done")
            before = level(client, "tokens")
            await session.send(CREATE, tokens=7)
            assert before - level(client, "tokens") == 7
            await until(session, "response.done")

    in_virtual_time(story)


def test_responses_queue_as_calls_do() -> None:
    """Too large for ever, too late in any case: both at once, nothing sent, nothing charged."""

    async def story() -> None:
        async with (
            serve_model(WIDE) as url,
            Client(url, api_key=KEY, quotas="1 per 60 s") as client,
            client.realtime(MODEL) as session,
        ):
            with pytest.raises(CostExceedsQuota):
                await session.send(CREATE, cost={"requests": 2})
            assert (await respond(session))["status"] == "completed"
            with pytest.raises(DeadlineUnreachable):
                await session.send(CREATE, deadline=1.0)
            assert url.tally.calls == 1
            with pytest.raises(ConfigurationError, match="costs nothing"):
                await session.send(hello(), tokens=5)
            for no_event in ({}, {"type": 7}, "response.create", None):
                with pytest.raises(ConfigurationError, match="names its type"):
                    await session.send(no_event)  # type: ignore[arg-type]

    in_virtual_time(story)


# -- what fails -----------------------------------------------------------------------------


def test_a_response_that_is_refused_fails_alone() -> None:
    """The session goes on, says when it may be tried again, and whoever sends it again waits so long."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        server = ModelServer("2 per 60 s", charge_refusals=False, realtime=RealtimeConduct(telling="none"))
        async with serve_model(server) as url, Client(url, api_key=KEY) as client:
            for _ in range(2):  # others have called
                server.request(model=MODEL, now_ns=virtual_loop().clock.monotonic_ns())
            async with client.realtime(MODEL) as session:
                assert (await respond(session))["status"] == "failed"
                assert session.failure is not None
                wait_s = session.failure.retry_after_s
                assert wait_s == pytest.approx(30, abs=0.5)
                began = loop.time()
                assert (await respond(session))["status"] == "completed"
                assert loop.time() - began >= wait_s
                assert session.failure is None
            assert client.limiter.statistics().keys[MODEL].refused == 1
            assert client.tally.outcomes == {(MODEL, "success"): 2, (MODEL, "error"): 1}
            assert ledger_is_even(client)

    in_virtual_time(story)


def test_limits_that_are_told_keep_the_server_from_refusing() -> None:
    """Nobody typed a quota: what the first response tells is enough for all that follow."""

    async def story() -> None:
        virtual_loop().net.route = lambda *_: Route.slow(0.02)
        server = ModelServer(per_minute(requests=10), latency=0.5)
        async with serve_model(server) as url, Client(url, api_key=KEY) as client:
            async with client.realtime(MODEL) as session:
                for _ in range(30):
                    assert (await respond(session))["status"] == "completed"
                    await until(session, "rate_limits.updated")
            await asyncio.sleep(0.1)  # so long its goodbye is on its way
            assert server.tally.refusals == 0
            assert client.limiter.statistics().keys[MODEL].buckets["requests"].limit == 10
            assert ledger_is_even(client)

    in_virtual_time(story)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("telling", ["empty", "none", "full", "partial", "hostile"])
def test_limits_that_are_lies_stop_nobody(telling: Any, early: bool) -> None:
    """An empty list, none at all, always full, half of it, or nonsense: every response comes, in bounded time."""

    async def story() -> None:
        server = ModelServer(per_minute(requests=60), realtime=RealtimeConduct(telling=telling, early=early))
        async with serve_model(server) as url, Client(url, api_key=KEY) as client:
            async with client.realtime(MODEL) as session:
                good = 0
                while good < 40:
                    good += (await respond(session))["status"] == "completed"
                    assert elapsed() < 300
            assert ledger_is_even(client)

    in_virtual_time(story)


def test_a_response_that_was_cancelled_is_over() -> None:
    """By the client's own event; its place is free, and nothing is held against the server."""

    async def story() -> None:
        async with (
            serve_model(WIDE, latency=60.0) as url,
            Client(url, api_key=KEY, quotas=WIDE) as client,
            client.realtime(MODEL) as session,
        ):
            await session.send(CREATE)
            await until(session, "response.created")
            await session.send({"type": "response.cancel"})
            assert (await until(session, "response.done"))["response"]["status"] == "cancelled"
            assert (client.limiter.in_flight, session.failure) == (0, None)

    in_virtual_time(story)


def test_one_that_is_refused_beside_another_gives_its_place_back() -> None:
    """The server has one response at a time and says which event it will not do."""

    async def story() -> None:
        async with (
            serve_model(WIDE, latency=1.0) as url,
            Client(url, api_key=KEY, quotas=WIDE) as client,
            client.realtime(MODEL) as session,
        ):
            await session.send(CREATE)
            await session.send({**CREATE, "event_id": "second"})
            assert client.limiter.in_flight == 2
            error = (await until(session, "error"))["error"]
            assert (error["event_id"], client.limiter.in_flight) == ("second", 1)
            await until(session, "response.done")
            assert client.limiter.in_flight == 0

    in_virtual_time(story)


def test_a_response_that_the_server_begins_by_itself_is_charged() -> None:
    """It heard the end of a turn: it waits for nothing, and those who come after it do."""

    async def story() -> None:
        async with (
            serve_model(WIDE, latency=0.5) as url,
            Client(url, api_key=KEY, quotas=per_day(requests=5)) as client,
            client.realtime(MODEL) as session,
        ):
            await session.send({"type": "input_audio_buffer.commit"})
            await until(session, "response.created")
            assert (session.under_way, client.limiter.in_flight, level(client)) == (1, 1, 4)
            await until(session, "response.done")
            assert (session.under_way, client.limiter.in_flight) == (0, 0)

    in_virtual_time(story)


def test_one_for_which_there_is_no_room_is_not_lost() -> None:
    """It runs and ends all the same; nobody is in anybody's way."""

    async def story() -> None:
        async with (
            serve_model(WIDE, latency=0.5) as url,
            Client(url, api_key=KEY, quotas="1 per 60 s") as client,
            client.realtime(MODEL) as session,
        ):
            assert (await respond(session))["status"] == "completed"
            await session.send({"type": "input_audio_buffer.commit"})
            assert (await until(session, "response.done"))["response"]["status"] == "completed"
            assert ledger_is_even(client)
            assert client.tally.outcomes == {(MODEL, "success"): 3}

    in_virtual_time(story)
