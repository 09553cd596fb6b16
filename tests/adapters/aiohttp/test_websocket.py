"""One websocket, frame by frame: whatever a server sends on it, it ends once, in a typed way, and leaves nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client import Client, StreamError, StreamTruncated, per_day
from ratelimit_client.core.failure import FailureKind
from tests.adapters.aiohttp.running import KEY, in_virtual_time, ledger_is_even, on_real_sockets, virtual_loop
from tests.adapters.aiohttp.sockets import BINARY, CLOSE, PING, PONG, TEXT, Peer, SocketServer, event, frame, goodbye

CREATE = {"type": "response.create"}
HELLO = event("session.created", session={})


def session_with(script: Any, use: Any, run: Any = in_virtual_time, **options: Any) -> Any:
    """Use a session whose other side is *script*; afterwards nothing is held."""

    async def story() -> Any:
        async with SocketServer(script) as server:
            async with Client(server.url, api_key=KEY, quotas=per_day(requests=100)) as client:
                session = client.realtime("gpt-realtime", **options)
                async with session:
                    found = await use(session)
                assert ledger_is_even(client)
            await asyncio.sleep(0.01)
            assert server.open == 0
        return found

    return run(story)


async def all_of(session: Any) -> tuple[list[Any], StreamError | None]:
    """Every event, and how it ended."""
    events = []
    try:
        async for one in session:
            events.append(one)
    except StreamError as error:
        return events, error
    return events, None


async def asked_first(session: Any) -> tuple[list[Any], StreamError | None]:
    """The same, with a response under way."""
    await session.send(CREATE)
    return await all_of(session)


def says(*frames: bytes, then: Any = None) -> Any:
    """A script: so many frames, after the client has asked for a response if it is to."""

    async def script(peer: Peer) -> None:
        await peer.write(*frames)
        if then is not None:
            then(peer)

    return script


# -- how it ends ----------------------------------------------------------------------------


@pytest.mark.parametrize("run", [in_virtual_time, on_real_sockets])
@pytest.mark.parametrize("code", [1000, 1001, None])
def test_a_session_that_ends_well_ends(code: int | None, run: Any) -> None:
    """Normally, because the server goes away, or without a code; with nothing under way that is the end."""
    last = frame(CLOSE, b"") if code is None else goodbye(code)
    events, error = session_with(says(HELLO, last), all_of, run)
    assert ([one["type"] for one in events], error) == (["session.created"], None)


def test_one_that_ends_well_in_a_response_does_not() -> None:
    """What was under way has no last word, and that is never a success."""

    async def script(peer: Peer) -> None:
        await peer.event()
        await peer.write(event("response.created", response={"id": "r"}), goodbye(1000))

    events, error = session_with(script, asked_first)
    assert (type(error), error.close_code, error.kind) == (StreamTruncated, 1000, FailureKind.INCOMPLETE)
    assert (len(events), error.delivered) == (1, 1)


@pytest.mark.parametrize(
    ("code", "text", "reason", "kind"),
    [
        (1003, "", "client_error", None),
        (1008, "", "client_error", None),
        (1008, "insufficient_quota", "quota_exhausted", None),
        (1009, "too big", "client_error", None),
        (1011, "", "server_error", FailureKind.CONNECTION),
        (1012, "", "overloaded", FailureKind.CONNECTION),
        (1013, "try again later", "overloaded", FailureKind.CONNECTION),
        (3000, "invalid_request_error.invalid_api_key", "auth", None),
        (4321, "whatever", "client_error", None),
    ],
)
def test_other_codes_are_errors(code: int, text: str, reason: str, kind: Any) -> None:
    """With the code, what it means, and what came before."""

    async def script(peer: Peer) -> None:
        await peer.event()
        await peer.write(HELLO, goodbye(code, text))

    events, error = session_with(script, asked_first)
    assert (len(events), type(error)) == (1, StreamError)
    assert (error.close_code, error.reason, error.kind, error.body_excerpt) == (code, reason, kind, text)
    assert error.request_id == "req_of_the_handshake"
    assert str(code) in str(error)


def test_a_text_that_quotes_the_key_is_not_shown() -> None:
    """Not in the sentence and not in the excerpt."""
    _, error = session_with(says(goodbye(1008, f"bad key {KEY}")), all_of)
    assert KEY not in str(error)
    assert KEY not in error.body_excerpt
    assert KEY not in repr(error.signals)


@pytest.mark.parametrize("run", [in_virtual_time, on_real_sockets])
@pytest.mark.parametrize("end", [Peer.close, Peer.abort])
def test_a_connection_that_is_lost_has_code_1006(end: Any, run: Any) -> None:
    """Closed without a word, or reset."""
    events, error = session_with(says(HELLO, then=end), all_of, run)
    assert (type(error), error.close_code, error.kind) == (StreamTruncated, 1006, FailureKind.CONNECTION)
    if run is in_virtual_time:
        assert len(events) == 1


@pytest.mark.parametrize("run", [in_virtual_time, on_real_sockets])
@pytest.mark.parametrize(
    ("frames", "code", "said"),
    [
        (frame(TEXT, b"{"), 1007, "is no JSON"),
        (frame(TEXT, b"[]"), 1007, "is no object"),
        (frame(TEXT, b"NaN"), 1007, "is no JSON"),
        (frame(TEXT, b"\xff\xfe"), 1007, "is no JSON"),
        (frame(TEXT, b"[" * 50_000), 1007, "nested"),
        (frame(BINARY, b"\x00\x01"), 1003, "is no JSON"),
        (frame(TEXT, b'{"type":"' + b"x" * 5000 + b'"}'), 1009, "5011"),
        (frame(TEXT, b"x", first=0xC0), 1002, "reserved"),
        (frame(3, b"x"), 1002, "opcode"),
        (frame(0, b"x"), 1002, "ontinuation"),
        (frame(PING, b"x", first=0), 1002, "control"),
        (frame(CLOSE, b"\x03"), 1002, "close frame"),
        (frame(CLOSE, b"\x00\x01"), 1002, "close code"),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007, "UTF-8"),
    ],
)
def test_what_is_no_event_ends_it(frames: bytes, code: int, said: str, run: Any) -> None:
    """No JSON, no object, too large, no frame: a typed end, and the server is told why."""
    told: list[Any] = []

    async def script(peer: Peer) -> None:
        await peer.write(HELLO, frames, HELLO)
        told.append(await peer.read())

    if b"[[[" in frames:
        script_options = {"max_message_bytes": 10**6}
    else:
        script_options = {"max_message_bytes": 5000}
    events, error = session_with(script, all_of, run, **script_options)
    assert (len(events), type(error), error.close_code, error.kind) == (1, StreamTruncated, code, FailureKind.PROTOCOL)
    assert said in str(error)
    assert told == [(CLOSE, code.to_bytes(2, "big"))]


def test_binary_that_is_json_is_an_event() -> None:
    """Some servers send nothing else."""
    events, _ = session_with(says(frame(BINARY, b'{"type":"a"}'), goodbye(1000)), all_of)
    assert events == [{"type": "a"}]


def test_an_event_may_come_in_pieces() -> None:
    """Frames of one message, a ping between them, and each byte by itself."""

    async def script(peer: Peer) -> None:
        raw = frame(TEXT, b'{"type":', first=0) + frame(PING, b"p") + frame(0, b'"a"}') + goodbye(1000)
        for byte in raw:
            await peer.write(bytes([byte]))
            await asyncio.sleep(0.001)
        assert await peer.read() == (PONG, b"p")

    assert session_with(script, all_of) == ([{"type": "a"}], None)


FRAMES = st.sampled_from(
    [HELLO, frame(PING, b"p"), frame(PONG, b""), frame(TEXT, b'{"type":', first=0), frame(0, b'"a"}'), goodbye(1000)]
)


@given(st.lists(FRAMES | st.binary(max_size=12), max_size=8), st.booleans())
def test_whatever_comes_ends_it_once(frames: list[bytes], resets: bool) -> None:
    """Frames and what is none, in any order, and then nothing: an end or an error of ours, and nothing is left."""
    events, error = session_with(says(*frames, then=Peer.abort if resets else Peer.close), all_of)
    assert all(type(one) is dict for one in events)
    assert error is None or error.close_code is not None


# -- signs of life --------------------------------------------------------------------------


def test_a_ping_is_answered_whether_anybody_reads_or_not() -> None:
    """With its own words."""

    async def script(peer: Peer) -> None:
        await peer.write(frame(PING, b"are you there"))
        assert await peer.read() == (PONG, b"are you there")
        await peer.write(goodbye(1000))

    async def use(session: Any) -> Any:
        await asyncio.sleep(1.0)
        return await all_of(session)

    assert session_with(script, use) == ([], None)


def test_silence_is_asked_about() -> None:
    """After one heartbeat; any byte is an answer."""
    asked: list[float] = []

    async def script(peer: Peer) -> None:
        for _ in range(3):
            assert await peer.read() == (PING, b"")
            asked.append(virtual_loop().time() - 1000.0)
            await peer.write(event("a"))
        assert await peer.read() == (PING, b"")

    async def use(session: Any) -> Any:
        return await all_of(session)

    events, error = session_with(script, use, heartbeat_s=4.0)
    assert [round(at) for at in asked] == [4, 8, 12]
    assert (len(events), error.close_code, error.kind) == (3, 1006, FailureKind.TIMEOUT)


def test_nobody_has_to_be_asked() -> None:
    """Without a heartbeat a server may be silent for ever, and still its end is seen."""

    async def script(peer: Peer) -> None:
        await asyncio.sleep(100_000.0)
        await peer.write(goodbye(1000))

    assert session_with(script, all_of, heartbeat_s=None) == ([], None)


# -- too much at once -----------------------------------------------------------------------


def test_who_takes_nothing_lets_the_server_wait() -> None:
    """A bounded part is held; everything comes when it is taken, pings are no reason to end it meanwhile."""
    big, count = event("big", text="x" * 100_000), 300

    async def script(peer: Peer) -> None:
        for _ in range(count):
            await peer.write(big)
        await peer.write(goodbye(1000))

    async def use(session: Any) -> Any:
        await asyncio.sleep(60.0)
        held = session._talking._held
        events, error = await all_of(session)
        return held, len(events), error

    held, events, error = session_with(script, use, heartbeat_s=5.0)
    assert 2 * 2**20 < held < 3 * 2**20
    assert (events, error) == (count, None)


def test_one_that_is_not_read_is_left_at_once() -> None:
    """However much the server has still to say."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.write(event("big", text="x" * 100_000))

    async def use(session: Any) -> Any:
        await asyncio.sleep(5.0)
        return virtual_loop().time()

    assert session_with(script, use) == 1005.0


def test_what_did_not_leave_is_told() -> None:
    """A server that takes nothing and breaks off: what is in our buffers still is among the unsent."""
    large = {"type": "conversation.item.create", "text": "x" * 400_000}
    sent = 0

    async def script(peer: Peer) -> None:
        peer._reader._transport.pause_reading()  # type: ignore[attr-defined]
        before = -1
        while sent > before:  # until all buffers are full
            before = sent
            await asyncio.sleep(0.5)
        peer.abort()

    async def use(session: Any) -> Any:
        nonlocal sent
        error: StreamError | None = None
        try:
            while True:
                await session.send({**large, "event_id": str(sent)})
                sent += 1
        except StreamError as caught:
            error = caught
        return error, session.unsent

    error, unsent = session_with(script, use, on_real_sockets, heartbeat_s=None)
    assert error is not None
    assert error.close_code == 1006
    names = [int(one["event_id"]) for one in error.unsent_events]
    assert names == list(range(names[0], sent + 1))
    assert error.unsent_events == unsent != ()


def test_a_server_that_reads_no_more_is_found_out() -> None:
    """Whoever waits for room to write is told when it gives no sign of life."""

    async def use(session: Any) -> Any:
        virtual_loop().net.cut_off("localhost")
        with pytest.raises(StreamTruncated) as caught:
            while True:
                await session.send({"type": "conversation.item.create", "text": "x" * 100_000})
        virtual_loop().net.restore("localhost")
        return caught.value, virtual_loop().time()

    error, at = session_with(says(), use, heartbeat_s=4.0)
    assert (error.kind, error.close_code, at) == (FailureKind.TIMEOUT, 1006, 1006.0)
    assert error.unsent_events


# -- leaving --------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [in_virtual_time, on_real_sockets])
def test_leaving_says_goodbye(run: Any) -> None:
    """And waits for the other side's, but not for long."""
    said: list[Any] = []

    async def script(peer: Peer) -> None:
        await peer.write(HELLO)
        said.append(json.loads((await peer.read())[1]))
        said.append(await peer.read())
        await peer.write(goodbye(1000))

    async def use(session: Any) -> None:
        await anext(session)
        await session.send({"type": "a"})

    session_with(script, use, run)
    assert said == [{"type": "a"}, (CLOSE, b"\x03\xe8")]


def test_a_server_that_does_not_say_goodbye_is_left_all_the_same() -> None:
    """After a second; and after an error at once."""

    async def script(peer: Peer) -> None:
        await peer.write(HELLO)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with (
            SocketServer(script) as server,
            Client(server.url, api_key=KEY, quotas=per_day(requests=9)) as client,
        ):
            async with client.realtime("m") as session:
                await anext(session)
                began = loop.time()
            assert loop.time() - began == pytest.approx(1.0, abs=0.1)
            with pytest.raises(ZeroDivisionError):
                async with client.realtime("m") as session:
                    began = loop.time()
                    raise ZeroDivisionError
            assert loop.time() - began < 0.1

    in_virtual_time(story)
