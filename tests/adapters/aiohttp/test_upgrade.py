"""The opening of a websocket: an answer like any other when it is refused, and checked when it is granted."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ratelimit_client import Client, ResponseError, StreamError, TransportError, per_day
from ratelimit_client.core.failure import FailureKind
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.adapters.aiohttp.running import KEY, QUICK, in_virtual_time, ledger_is_even, on_real_sockets
from tests.adapters.aiohttp.sockets import Peer, SocketServer, event

DATA = Path(__file__).parent / "data"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n"
UPGRADE, CONNECTION = b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n"


async def greets(peer: Peer) -> None:
    await peer.write(event("session.created"))


def opened(**options: Any) -> Any:
    """How opening a session ends at a server that shakes hands like this."""

    async def story() -> Any:
        async with (
            SocketServer(greets, **options) as server,
            Client(server.url, api_key=KEY, quotas=per_day(requests=9), retry=QUICK) as client,
        ):
            try:
                async with client.realtime("m") as session:
                    return (await anext(session))["type"], len(server.targets)
            except (TransportError, StreamError) as error:
                return error, len(server.targets)
            finally:
                assert ledger_is_even(client)

    return in_virtual_time(story)


def test_a_handshake_is_a_request_for_a_websocket() -> None:
    """By the standard, with the key, the model and a name of its own, and with no body."""
    heads: list[Any] = []

    async def script(peer: Peer) -> None:
        heads.append((peer.head.split("\r\n")[0], peer.headers))

    async def story() -> None:
        async with SocketServer(script) as server:
            options: Any = {"organization": "org-1", "project": "proj-1", "quotas": per_day(requests=9)}
            async with Client(server.url, api_key=KEY, **options) as client:
                for _ in range(2):
                    async with client.realtime("a/b c", params={"x": "1"}):
                        pass

    in_virtual_time(story)
    (line, first), (_, second) = heads
    assert line == "GET /v1/realtime?model=a/b+c&x=1 HTTP/1.1"
    assert (first["upgrade"], first["connection"], first["sec-websocket-version"]) == ("websocket", "Upgrade", "13")
    assert first["authorization"] == f"Bearer {KEY}"
    assert (first["openai-organization"], first["openai-project"]) == ("org-1", "proj-1")
    assert "content-length" not in first
    for name in ("sec-websocket-key", "x-client-request-id"):
        assert first[name] != second[name]


def test_a_handshake_that_is_granted_is_a_session() -> None:
    """And that is all there is to it."""
    assert opened() == ("session.created", 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"accept": b"x"}, "did not answer to this handshake"),
        ({"head": SWITCHED + CONNECTION + b"Upgrade: h2c\r\n\r\n"}, "another protocol"),
        ({"head": SWITCHED + UPGRADE + CONNECTION + b"\r\n"}, "did not answer"),
    ],
)
def test_a_consent_that_is_none_is_no_session(options: Any, said: str) -> None:
    """It is an error of the way, and tried again like one."""
    error, handshakes = opened(**options)
    assert (type(error), error.kind, error.attempts, handshakes) == (TransportError, FailureKind.PROTOCOL, 5, 5)
    assert said in str(error)


def test_an_answer_that_opens_nothing_is_an_error() -> None:
    """Whatever it is a success of."""
    error, handshakes = opened(head=answer())
    assert (type(error), error.status, handshakes) == (StreamError, 200, 1)
    assert "opened no websocket" in str(error)


@pytest.mark.parametrize("given", [False, True])
def test_a_redirect_is_not_followed(given: bool) -> None:
    """The key, and whatever headers are the user's, go nowhere else; also through a session of the user's."""

    async def story() -> None:
        async with SocketServer(greets) as elsewhere:
            there = answer(status="307 X", Location=f"{elsewhere.url}/realtime")
            async with RawServer([there]) as server, aiohttp.ClientSession() as own:
                options: Any = {"session": own} if given else {}
                async with Client(server.url, api_key=KEY, quotas=per_day(requests=9), **options) as client:
                    with pytest.raises(ResponseError, match="redirects are not followed"):
                        async with client.realtime("m"):
                            raise AssertionError("it was redirected")
            assert elsewhere.targets == []

    on_real_sockets(story)


@pytest.mark.parametrize("given", [False, True])
def test_what_breaks_is_counted(given: bool) -> None:
    """Each handshake on the wire is one that the limiter let out; none is repeated behind its back."""

    async def story() -> None:
        async with SocketServer(greets, head=b"") as server, aiohttp.ClientSession() as own:

            async def hang_up(peer: Peer) -> None:
                peer.close()

            server._script = hang_up
            options: Any = {"session": own} if given else {}
            async with Client(server.url, api_key=KEY, quotas=per_day(requests=9), retry=QUICK, **options) as client:
                with pytest.raises(TransportError) as caught:
                    async with client.realtime("m"):
                        raise AssertionError("nobody answered")
                assert caught.value.attempts == len(server.targets) == 5
                assert ledger_is_even(client)

    on_real_sockets(story)


def test_a_connection_that_carried_a_session_carries_nothing_else() -> None:
    """Nor is one taken that carried a request."""

    async def story() -> None:
        async with (
            SocketServer(greets) as server,
            Client(server.url, api_key=KEY, quotas=per_day(requests=9)) as client,
        ):
            for _ in range(3):
                async with client.realtime("m") as session:
                    await anext(session)
            await asyncio.sleep(0.01)
            assert (len(server.targets), server.open) == (3, 0)

    in_virtual_time(story)


def test_a_key_among_the_protocols_is_shown_to_nobody() -> None:
    """As browsers send it: it arrives, and a refusal that quotes it does not pass it on."""
    quoted = b'{"error":{"message":"bad key %s","code":"invalid_api_key"}}' % KEY.encode()

    async def story() -> None:
        async with (
            SocketServer(greets, head=answer(quoted, status="401 X")) as server,
            Client(server.url, api_key="", quotas=per_day(requests=9)) as client,
        ):
            protocols = f"realtime, openai-insecure-api-key.{KEY}, openai-project.proj_1"
            with pytest.raises(ResponseError) as caught:
                async with client.realtime("m", headers={"Sec-WebSocket-Protocol": protocols}):
                    raise AssertionError("it was refused")
            assert KEY not in f"{caught.value} {caught.value.body_excerpt} {caught.value.signals!r}"
            assert "bad key ..." in str(caught.value)

    in_virtual_time(story)


def test_a_session_may_be_private() -> None:
    """Over TLS, with the authority of a session of the user's; what is said there and back arrives."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "good.pem")

    async def talks(peer: Peer) -> None:
        said = await peer.event()
        await peer.write(event("heard", what=said["type"], much="x" * 200_000))

    async def story() -> None:
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(DATA / "ca.pem")))
        async with (
            aiohttp.ClientSession(connector=connector) as own,
            SocketServer(talks, ssl=context) as server,
            Client(server.url, api_key=KEY, quotas=per_day(requests=9), session=own) as client,
        ):
            async with client.realtime("m") as session:
                await session.send({"type": "hello", "much": "x" * 200_000})
                heard = await anext(session)
                assert (heard["what"], len(heard["much"])) == ("hello", 200_000)
            assert ledger_is_even(client)

    on_real_sockets(story)
