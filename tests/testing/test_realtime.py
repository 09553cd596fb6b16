"""The model server speaks the realtime language: its responses are charged like calls, and it misbehaves as told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from ratelimit_client import per_minute
from ratelimit_client.core.units import NS
from ratelimit_client.testing import Faults, ModelServer, Route, run_virtual, serve_model
from ratelimit_client.testing.realtime import RealtimeConduct, Session

CREATE = {"type": "response.create"}
SAYS = {"type": "conversation.item.create", "item": {"content": [{"type": "input_text", "text": "x" * 40}]}}


def session(server: ModelServer) -> Session:
    return Session(server, "gpt-realtime", None, now_ns=0)


def said(one: Session, event: Any, *, now_ns: int = 0) -> list[dict[str, Any]]:
    """What is said because of an event, at once."""
    steps = one.hear(event if isinstance(event, str) else json.dumps(event), now_ns=now_ns)
    return [one.told(step.event, now_ns=now_ns) for step in steps if step.event is not None]


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


# -- what is said ---------------------------------------------------------------------------


def test_a_response_is_a_call() -> None:
    """Charged in the account that all calls draw on, with all that was said so far, and so is the next one."""
    server = ModelServer(per_minute(requests=10, tokens=1000))
    one = session(server)
    assert names(said(one, SAYS)) == ["conversation.item.created"]
    events = said(one, CREATE)
    assert names(events)[0] == "response.created"
    assert names(events)[-2:] == ["response.done", "rate_limits.updated"]
    usage = events[-2]["response"]["usage"]
    assert usage["input_tokens"] == 10
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    limits = {item["name"]: item for item in events[-1]["rate_limits"]}
    assert limits["requests"] == {"name": "requests", "limit": 10, "remaining": 9, "reset_seconds": 6.0}
    assert limits["tokens"]["remaining"] == 1000 - server.tally.charged_tokens
    again = said(one, CREATE)[-2]["response"]["usage"]
    assert again["input_tokens"] > usage["total_tokens"] - 2


def test_limits_are_those_of_the_instant_in_which_they_are_told() -> None:
    """Not of the admission: time has passed, and others have called."""
    server = ModelServer(per_minute(requests=10))
    one = session(server)
    last = one.hear(json.dumps(CREATE), now_ns=0)[-1].event
    server.request(model="gpt-realtime", now_ns=NS)
    server.request(model="gpt-realtime", now_ns=NS)
    (limit,) = one.told(last, now_ns=2 * NS)["rate_limits"]
    assert (limit["remaining"], limit["reset_seconds"]) == (7, 16.0)


def test_a_response_that_is_refused_failed() -> None:
    """In the words of an answer; its session goes on."""
    one = session(ModelServer(per_minute(requests=1)))
    said(one, CREATE)
    created, failed, _ = said(one, CREATE)
    assert created["response"]["status"] == "in_progress"
    response = failed["response"]
    assert (response["status"], response["usage"]["total_tokens"]) == ("failed", 0)
    assert response["status_details"]["error"]["code"] == "rate_limit_exceeded"
    assert "Please try again in" in response["status_details"]["error"]["message"]
    assert one.active is None


def test_one_response_at_a_time() -> None:
    """A second one is refused by the name of the event that asked for it; one that is cancelled is over."""
    one = session(ModelServer())
    one.hear(json.dumps(CREATE), now_ns=0)
    (error,) = said(one, {**CREATE, "event_id": "mine"})
    assert error["error"]["code"] == "conversation_already_has_active_response"
    assert error["error"]["event_id"] == "mine"
    (done,) = said(one, {"type": "response.cancel"})
    assert (done["response"]["status"], one.active) == ("cancelled", None)
    (error,) = said(one, {"type": "response.cancel"})
    assert error["error"]["code"] == "response_cancel_not_active"


@pytest.mark.parametrize("event", ["{", "[]", {"type": "nonsense"}, {}])
def test_what_is_no_event_is_an_error(event: Any) -> None:
    """Of the client's; the session goes on."""
    (error,) = said(session(ModelServer()), event)
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")


def test_other_events() -> None:
    """Sound begins a response when it is committed."""
    one = session(ModelServer())
    assert said(one, {"type": "input_audio_buffer.append", "audio": "AAAA"}) == []
    assert names(said(one, {"type": "session.update", "session": {}})) == ["session.updated"]
    assert names(said(one, {"type": "input_audio_buffer.commit"}))[:2] == [
        "input_audio_buffer.committed",
        "response.created",
    ]
    assert repr(one) == "<Session of gpt-realtime: 1 responses>"


@pytest.mark.parametrize(
    ("telling", "told"),
    [
        ("empty", []),
        ("none", None),
        ("full", [{"name": "requests", "limit": 10, "remaining": 10, "reset_seconds": 0}]),
        ("partial", [{"name": "requests", "remaining": 9}]),
    ],
)
def test_limits_may_be_lies(telling: Any, told: Any) -> None:
    """As servers have told them."""
    one = session(ModelServer(per_minute(requests=10), realtime=RealtimeConduct(telling=telling)))
    found = [event["rate_limits"] for event in said(one, CREATE) if event["type"] == "rate_limits.updated"]
    assert found == ([] if told is None else [told])


def test_limits_may_be_nonsense_and_come_early() -> None:
    """Twice, and each time another nonsense."""
    one = session(ModelServer(per_minute(requests=10), realtime=RealtimeConduct(telling="hostile", early=True)))
    first, second = [event["rate_limits"][0] for event in said(one, CREATE) if event["type"] == "rate_limits.updated"]
    assert first["limit"] != second["limit"]
    assert {type(item["remaining"]) for item in (first, second)} == {str}


def test_it_may_close_or_break() -> None:
    """Behind a response, or in the middle of one."""
    closing = session(ModelServer(realtime=RealtimeConduct(close_after=(1, 1013))))
    assert closing.hear(json.dumps(CREATE), now_ns=0)[-1].close == 1013
    breaking = session(ModelServer(faults=Faults(reset=1.0)))
    assert breaking.hear(json.dumps(CREATE), now_ns=0)[-1].close == 1006


# -- on a socket ----------------------------------------------------------------------------


async def until(socket: aiohttp.ClientWebSocketResponse, name: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = await socket.receive_json()
        if event["type"] == name:
            return event


def on_sockets(server: ModelServer, use: Any, **options: Any) -> None:
    """aiohttp's own client at the server: on a virtual loop, then on a real one."""

    async def story() -> None:
        connector = aiohttp.TCPConnector(use_dns_cache=False)
        async with (
            serve_model(server) as url,
            aiohttp.ClientSession(connector=connector) as http,
            http.ws_connect(f"{url}/realtime?model=m", **options) as socket,
        ):
            await use(socket)

    run_virtual(story)
    asyncio.run(story())


def test_any_client_can_talk_to_it() -> None:
    """Open, ask, read, ask again."""

    async def use(socket: aiohttp.ClientWebSocketResponse) -> None:
        created = await until(socket, "session.created")
        assert created["session"]["model"] == "m"
        for _ in range(2):
            await socket.send_json(SAYS)
            await socket.send_json(CREATE)
            assert (await until(socket, "response.done"))["response"]["status"] == "completed"
        await socket.ping(b"x")
        await socket.send_json(CREATE)
        await until(socket, "response.done")

    on_sockets(ModelServer(per_minute(requests=100), latency=0.01), use)


def test_its_events_may_be_binary_and_its_end_a_code() -> None:
    """As some servers send them; then the close code that was typed."""

    async def use(socket: aiohttp.ClientWebSocketResponse) -> None:
        assert json.loads(await socket.receive_bytes())["type"] == "session.created"
        await socket.send_bytes(json.dumps(CREATE).encode())
        while (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
            pass
        assert socket.close_code == 1011

    on_sockets(ModelServer(realtime=RealtimeConduct(binary=True, close_after=(1, 1011))), use)


def test_a_session_has_its_time() -> None:
    """Then it says so, and goes away."""

    async def use(socket: aiohttp.ClientWebSocketResponse) -> None:
        error = (await until(socket, "error"))["error"]
        assert error["code"] == "session_expired"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1001

    on_sockets(ModelServer(realtime=RealtimeConduct(session_s=0.05)), use)


@pytest.mark.parametrize(
    ("options", "query", "status"),
    [
        ({"api_keys": ["another"]}, "?model=m", 401),
        ({"models": ["a"]}, "?model=m", 404),
        ({}, "", 400),
        ({"realtime": RealtimeConduct(refused=1)}, "?model=m", 429),
    ],
)
def test_a_handshake_may_be_refused(options: Any, query: str, status: int) -> None:
    """Before anything is charged, with the status of the reason."""

    async def story() -> None:
        async with serve_model(ModelServer(**options)) as url, aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await http.ws_connect(f"{url}/realtime{query}")
            assert caught.value.status == status
            assert url.tally.admitted == 0

    asyncio.run(story())


def test_a_client_that_leaves_is_not_told_any_more() -> None:
    """Its response stays charged, and counts as broken off."""

    async def story() -> None:
        asyncio.get_running_loop().net.route = lambda *_: Route.slow(0.01)  # type: ignore[attr-defined]
        connector = aiohttp.TCPConnector(use_dns_cache=False)
        server = ModelServer(latency=10.0)
        async with serve_model(server) as url, aiohttp.ClientSession(connector=connector) as http:
            async with http.ws_connect(f"{url}/realtime?model=m", headers={"x-row": "a"}) as socket:
                await socket.send_json(CREATE)
                await until(socket, "response.created")
            await asyncio.sleep(1.0)
            assert (server.tally.admitted, server.tally.answered, server.tally.broken_off) == (1, {}, {"left": 1})

    run_virtual(story)


def test_a_client_that_is_gone_before_its_handshake_is_answered_is_nobodys_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its request and its end came in one go, or nearly."""

    async def story() -> None:
        loop: Any = asyncio.get_running_loop()
        async with serve_model(ModelServer(per_minute(requests=10))) as url:
            host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
            for turns in range(10):
                transport, _ = await loop.create_connection(asyncio.Protocol, host, int(port))
                transport.write(
                    b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Authorization: Bearer sk-x\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n\r\n"
                )
                for _ in range(turns):
                    await asyncio.sleep(0)
                transport.abort()
                await asyncio.sleep(1)

    run_virtual(story)
    assert caplog.records == []
