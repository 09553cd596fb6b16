from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ratelimit_client import Client, RetryPolicy, Timeout, TransportError
from ratelimit_client.core.failure import FailureKind
from tests.adapters.aiohttp.rawserver import Move, RawServer, answer
from tests.adapters.aiohttp.running import KEY, on_real_sockets

DATA = Path(__file__).parent / "data"
# Certificates made for these tests: ca.pem signed the others, and its own key was thrown away.
TRUSTED = ssl.create_default_context(cafile=str(DATA / "ca.pem"))


def secured(certificate: str, **server: Any) -> RawServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / certificate)
    for name, value in server.items():
        setattr(context, name, value)
    return RawServer([answer()], ssl=context)


@pytest.mark.parametrize("certificate", ["good.pem", "stranger.pem", "expired.pem"])
def test_a_server_that_cannot_prove_who_it_is(certificate: str):
    """
    Signed by nobody we know, for another host, or expired: nothing is sent, and it is not tried again.
    """

    async def story() -> None:
        trusts = certificate != "good.pem"
        async with (
            secured(certificate) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=TRUSTED if trusts else True)) as session,
        ):
            async with Client(server.url, api_key=KEY, session=session, retry=RetryPolicy(max_attempts=3)) as client:
                with pytest.raises(TransportError, match="could not prove who it is") as caught:
                    await client.post("/v1/x", json={})
            assert (caught.value.attempts, caught.value.unsent) == (1, True)
            assert getattr(caught.value, "kind", None) is FailureKind.TLS
            assert server.requests == []

    on_real_sockets(story)


def test_the_clients_own_session_trusts_nobody_extra():
    """
    Without a session of the user's the system's authorities decide.
    """

    async def story() -> None:
        async with secured("good.pem") as server, Client(server.url, api_key=KEY) as client:
            with pytest.raises(TransportError, match=r"prove who it is"):
                await client.post("/v1/x", json={})
            assert server.requests == []

    on_real_sockets(story)


def test_an_authority_of_ones_own():
    """
    A session whose connector knows it is all it takes.
    """

    async def story() -> None:
        connector = aiohttp.TCPConnector(ssl=TRUSTED)
        async with (
            secured("good.pem") as server,
            aiohttp.ClientSession(connector=connector) as session,
            Client(server.url, api_key=KEY, session=session) as client,
        ):
            assert (await client.post("/v1/x", json={})).data == {"ok": True}

    on_real_sockets(story)


def test_a_server_that_speaks_old_tls_only():
    """
    Nothing below TLS 1.2.
    """
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        server = secured("good.pem", maximum_version=ssl.TLSVersion.TLSv1_1, minimum_version=ssl.TLSVersion.TLSv1)

    async def story() -> None:
        async with server, Client(server.url, api_key=KEY, retry=RetryPolicy.none()) as client:
            with pytest.raises(TransportError):
                await client.post("/v1/x", json={})
            assert server.requests == []

    on_real_sockets(story)


def test_a_handshake_that_stalls():
    """
    It counts as connecting and ends with it, unsent.
    """

    async def story() -> None:
        async with RawServer([Move.SILENCE]) as server:
            address = server.url.replace("http://127.0.0.1", "https://localhost")
            options: dict[str, Any] = {"timeout": Timeout(connect_s=0.1), "retry": RetryPolicy.none()}
            async with Client(address, api_key=KEY, **options) as client:
                with pytest.raises(TransportError, match="in time") as caught:
                    await client.post("/v1/x", json={})
            assert caught.value.unsent
            assert server.connections == 1

    on_real_sockets(story)
