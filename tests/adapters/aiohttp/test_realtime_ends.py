"""Realtime sessions of a client: how they are opened, and how they end."""

from __future__ import annotations

import asyncio
import gc
import itertools
import warnings
from typing import Any

import pytest

from ratelimit_client import (
    AuthenticationFailed,
    Client,
    Closed,
    ConfigurationError,
    ModelNotFound,
    StreamError,
    StreamTruncated,
    Throttled,
    per_day,
)
from ratelimit_client.core.failure import FailureKind
from ratelimit_client.testing import Faults, ModelServer, serve_model
from ratelimit_client.testing.realtime import RealtimeConduct
from tests.adapters.aiohttp.running import (
    KEY,
    OTHER_KEY,
    QUICK,
    granted,
    in_virtual_time,
    ledger_is_even,
    virtual_loop,
)
from tests.adapters.aiohttp.talking import CREATE, MODEL, WIDE, elapsed, hello, level, respond, until

# -- opening --------------------------------------------------------------------------------


def test_a_handshake_that_is_refused_is_tried_again() -> None:
    """As the policy says, and it costs nothing: the quota is one request for all day."""

    async def story() -> None:
        server = ModelServer(realtime=RealtimeConduct(refused=2))
        async with serve_model(server) as url, Client(url, api_key=KEY, quotas=per_day(requests=1)) as client:
            async with client.realtime(MODEL) as session:
                assert server.tally.statuses == {429: 2}
                assert (await respond(session))["status"] == "completed"
            assert client.tally.retries == {(MODEL, "rate_limited"): 2}

    in_virtual_time(story)


@pytest.mark.parametrize(
    ("options", "model", "error"),
    [({"api_keys": [OTHER_KEY]}, MODEL, AuthenticationFailed), ({"models": ["a"]}, "b", ModelNotFound)],
)
def test_a_handshake_that_is_refused_for_good(options: Any, model: str, error: Any) -> None:
    """Is the error that an answer would be, with its status and its body; the key is in neither."""

    async def story() -> None:
        async with serve_model(ModelServer(**options)) as url, Client(url, api_key=KEY, quotas=WIDE) as client:
            with pytest.raises(error) as caught:
                async with client.realtime(model):
                    raise AssertionError("it was refused")
            assert caught.value.attempts == 1
            assert caught.value.body_excerpt
            assert ledger_is_even(client)

    in_virtual_time(story)


def test_a_new_key_opens_what_an_old_one_did_not() -> None:
    """A callable is asked once more, as for any call."""

    async def story() -> None:
        keys = itertools.chain([OTHER_KEY], itertools.repeat(KEY))
        server = ModelServer(api_keys=[KEY])
        async with (
            serve_model(server) as url,
            Client(url, api_key=lambda: next(keys), quotas=WIDE) as client,
            client.realtime(MODEL) as session,
        ):
            assert (await respond(session))["status"] == "completed"

    in_virtual_time(story)


def test_opening_has_a_deadline() -> None:
    """And what fails at the limiter's door was never sent."""

    async def story() -> None:
        server = ModelServer(realtime=RealtimeConduct(refused=1000))
        async with serve_model(server) as url, Client(url, api_key=KEY, quotas=WIDE, retry=QUICK) as client:
            with pytest.raises((Throttled, TimeoutError)):
                async with client.realtime(MODEL, deadline=3.0):
                    raise AssertionError("it was refused")
            assert elapsed() < 4
            assert ledger_is_even(client)
        with pytest.raises(Closed):
            await client.realtime(MODEL).__aenter__()

    in_virtual_time(story)


def test_the_handshake_says_what_it_is_told() -> None:
    """Another path, parameters, headers that may be a key; and the model is one of many parameters."""

    async def story() -> None:
        server = ModelServer(base_path="/openai/v1")
        async with serve_model(server) as url:
            client = Client(url, api_key="", quotas=WIDE, headers={"api-key": KEY}, default_query={"a": "b"})
            async with client, client.realtime(MODEL, path="/v1/realtime", params={"c": 1}) as session:
                assert KEY not in repr(session)
                assert (await respond(session))["status"] == "completed"
            with pytest.raises(ConfigurationError):
                client.realtime(MODEL, headers={"Upgrade": "h2c"})._make()

    in_virtual_time(story)


# -- the end --------------------------------------------------------------------------------


def test_the_time_of_a_session_is_told_and_ends_it() -> None:
    """With a typed end; another session begins where the first one ended."""

    async def story() -> None:
        server = ModelServer(realtime=RealtimeConduct(session_s=60))
        async with serve_model(server) as url, Client(url, api_key=KEY, quotas=WIDE) as client:
            session = client.realtime(MODEL)
            async with session:
                await until(session, "session.created")
                assert session.expires_at == pytest.approx(virtual_loop().clock.wall_ns() / 1e9 + 60, abs=1.5)
                with pytest.raises(StreamError, match="open another") as caught:
                    async for _ in session:
                        pass
                assert (caught.value.expired, caught.value.close_code) == (True, 1001)
                with pytest.raises(StreamError):
                    await session.send(CREATE)
            async with session:
                assert (await respond(session))["status"] == "completed"
            assert ledger_is_even(client)

    in_virtual_time(story)


@pytest.mark.parametrize("session_s", [3600.0, 200_000.0])
def test_a_clock_that_is_set_ends_no_session(session_s: float) -> None:
    """A year ahead, every session would be over: what it was that ended this one is told all the same."""

    async def story() -> None:
        server = ModelServer(realtime=RealtimeConduct(session_s=session_s, close_after=(1, 1011)))
        async with (
            serve_model(server) as url,
            Client(url, api_key=KEY, quotas=WIDE) as client,
            client.realtime(MODEL) as session,
        ):
            await until(session, "session.created")
            clock = virtual_loop().clock
            clock.set_wall(clock.wall_ns() + 365 * 86_400 * 10**9)
            await respond(session)
            with pytest.raises(StreamError) as caught:
                async for _ in session:
                    pass
            assert (caught.value.expired, caught.value.close_code, caught.value.reason) == (False, 1011, "server_error")

    in_virtual_time(story)


def test_a_server_that_answers_no_ping_is_gone() -> None:
    """After one and a half heartbeats, with the code of a connection that was lost; its responses are lost, too."""

    async def story() -> None:
        server = ModelServer(latency=1000.0, realtime=RealtimeConduct(pongs=False))
        async with (
            serve_model(server) as url,
            Client(url, api_key=KEY, quotas=WIDE) as client,
            client.realtime(MODEL, heartbeat_s=10.0) as session,
        ):
            await session.send(CREATE)
            with pytest.raises(StreamTruncated, match="no sign of life") as caught:
                await until(session, "response.done")
            assert (caught.value.close_code, caught.value.kind) == (1006, FailureKind.TIMEOUT)
            assert elapsed() == pytest.approx(15, abs=1)
            assert ledger_is_even(client)

    in_virtual_time(story)


def test_a_server_that_answers_pings_may_be_silent() -> None:
    """For as long as its response takes."""

    async def story() -> None:
        async with (
            serve_model(ModelServer(latency=1000.0)) as url,
            Client(url, api_key=KEY, quotas=WIDE) as client,
            client.realtime(MODEL, heartbeat_s=10.0) as session,
        ):
            assert (await respond(session))["status"] == "completed"

    in_virtual_time(story)


def test_a_connection_that_breaks_in_a_response() -> None:
    """Is told with what came before it, and what was under way is over."""

    async def story() -> None:
        server = ModelServer(faults=Faults(reset=1.0))
        async with (
            serve_model(server) as url,
            Client(url, api_key=KEY, quotas=WIDE) as client,
            client.realtime(MODEL) as session,
        ):
            await session.send(CREATE)
            with pytest.raises(StreamTruncated, match="broke off after") as caught:
                await until(session, "response.done")
            assert (caught.value.close_code, caught.value.kind) == (1006, FailureKind.CONNECTION)
            assert caught.value.delivered == session.delivered > 0
            assert ledger_is_even(client)
            with pytest.raises(StreamTruncated):
                await anext(session)

    in_virtual_time(story)


def test_what_waited_for_its_turn_when_the_session_ended_is_told() -> None:
    """It is woken, it is not charged, and both errors name it; a new session can say it."""

    async def story() -> None:
        server = ModelServer(realtime=RealtimeConduct(session_s=30))
        async with serve_model(server) as url, Client(url, api_key=KEY, quotas="1 per 40 s") as client:
            session = client.realtime(MODEL)
            async with session:
                assert (await respond(session))["status"] == "completed"
                asking = asyncio.create_task(session.send({**CREATE, "event_id": "late"}))
                with pytest.raises(StreamError) as caught:
                    async for _ in session:
                        pass
                with pytest.raises(StreamError) as also:
                    await asking
                late = ({"type": "response.create", "event_id": "late"},)
                assert caught.value.unsent_events == also.value.unsent_events == session.unsent == late
                assert ledger_is_even(client)
            async with session:
                for event in session.unsent:
                    await session.send(event)
                assert (await until(session, "response.done"))["response"]["status"] == "completed"
            assert granted(client) >= 2

    in_virtual_time(story)


def test_one_that_is_dropped_holds_nothing() -> None:
    """Its place, its connection and its part of the client's door are free, with a warning."""

    async def story() -> None:
        async with serve_model(ModelServer(latency=100.0)) as url, Client(url, api_key=KEY, quotas=WIDE) as client:
            session = await client.realtime(MODEL).__aenter__()
            await session.send(CREATE)
            assert client.limiter.in_flight == 1
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                del session
                gc.collect()
                await asyncio.sleep(0.01)
            assert ["was dropped" in str(warning.message) for warning in warned] == [True]
            assert ledger_is_even(client)
            assert await client.drain(1.0)

    in_virtual_time(story)


def test_a_client_that_is_closed_ends_its_sessions() -> None:
    """Whoever waits, to read or for a turn, is told at once."""

    async def story() -> None:
        async with serve_model(ModelServer(latency=100.0)) as url:
            client = Client(url, api_key=KEY, quotas=per_day(requests=1))
            async with client.realtime(MODEL) as session:
                await session.send(CREATE)
                asking = asyncio.create_task(session.send(CREATE))
                reading = asyncio.create_task(until(session, "response.done"))
                await asyncio.sleep(1.0)
                await client.close()
                ends = await asyncio.wait_for(asyncio.gather(asking, reading, return_exceptions=True), 0.1)
                assert isinstance(ends[0], StreamError | Closed)
                assert isinstance(ends[1], StreamTruncated)
                assert ledger_is_even(client)
                with pytest.raises(StreamError):
                    await session.send(hello())

    in_virtual_time(story)


def test_a_client_that_is_drained_waits_for_its_sessions() -> None:
    """As for every call inside; no new response is let in meanwhile."""

    async def story() -> None:
        async with serve_model(ModelServer()) as url, Client(url, api_key=KEY, quotas=WIDE) as client:
            async with client.realtime(MODEL) as session:
                assert not await client.drain(0.1)
                with pytest.raises(Closed):
                    await session.send(CREATE)
            assert await client.drain(1.0)

    in_virtual_time(story)


def test_a_session_is_used_in_order() -> None:
    """Entered, once at a time, and read by one task."""

    async def story() -> None:
        async with serve_model(ModelServer()) as url, Client(url, api_key=KEY, quotas=WIDE) as client:
            session = client.realtime(MODEL)
            for use in (lambda: session.expires_at, lambda: session.delivered, lambda: session.failure):
                with pytest.raises(RuntimeError, match="not entered"):
                    use()
            assert (repr(session), session.unsent) == ("<Realtime, not begun>", ())
            await session.close()
            async with session:
                with pytest.raises(RuntimeError, match="open already"):
                    await session.__aenter__()
                await until(session, "session.created")
                reading = asyncio.create_task(anext(session))
                await asyncio.sleep(0)
                with pytest.raises(RuntimeError, match="two tasks"):
                    await anext(session)
                reading.cancel()
                await asyncio.wait([reading])
                assert (await respond(session))["status"] == "completed"
                assert repr(session) == f"<Realtime: {session.delivered} events delivered, 0 under way, open>"
            assert repr(session).endswith("over>")
            rest = [event["type"] async for event in session]
            assert rest in ([], ["rate_limits.updated"])
            with pytest.raises(StreamError, match="it was left"):
                await session.send(hello())

    in_virtual_time(story)


def test_what_comes_too_late_to_be_said_is_not_charged() -> None:
    """The connection is gone and nobody has heard of it yet: its turn is given back, and the error names it."""

    async def story() -> None:
        async with (
            serve_model(WIDE) as url,
            Client(url, api_key=KEY, quotas=WIDE) as client,
            client.realtime(MODEL) as session,
        ):
            assert session.request_id is None
            assert session.signals.status == 200
            assert (await respond(session))["status"] == "completed"
            before = level(client)
            session._talking.socket._transport.abort()
            for event in ({**CREATE, "event_id": "late"}, hello()):
                with pytest.raises(StreamTruncated, match="is closing") as caught:
                    await session.send(event)
                assert caught.value.unsent_events == (event,)
            assert (client.limiter.in_flight, session.under_way, level(client)) == (0, 0, before)
            with pytest.raises(StreamTruncated):
                async for _ in session:
                    pass
            with pytest.raises(StreamTruncated):
                await session.send(CREATE)

    in_virtual_time(story)
