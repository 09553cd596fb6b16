"""Calls of others: what of a request goes on, and where."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client import ConfigurationError, Limiter, Timeout, per_day
from ratelimit_client.adapters.aiohttp.exchange import Call
from ratelimit_client.adapters.aiohttp.forwarder import Forwarder
from ratelimit_client.adapters.aiohttp.forwarding import Broken
from tests.adapters.aiohttp.rawserver import Move, RawServer, answer, chunked
from tests.adapters.aiohttp.running import KEY, QUICK, in_virtual_time, virtual_loop
from tests.canary import clean
from tests.runtime.torture import at_rest

UPSTREAM = "https://api.test/openai/v1"
EMPTY: dict[str, Any] = {"key": "default", "cost": None, "features": None, "priority": 0, "tenant": None}


def call(forwarder: Forwarder, target: str = "/v1/x", *headers: tuple[str, str], **options: Any) -> Call:
    return forwarder.call("POST", target, headers, b"{}", **{**EMPTY, "deadline_s": None, **options})


PARTS = [*"/.%\\?#@:;&= a\r\n\x00\u00e9", "2e", "2f", "..", "//", "/v1/", "evil.example"]
ODD = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)


@given(ODD.map(lambda text: "/" + text))
def test_no_target_leads_out_of_the_base(target: str):
    """
    It is refused, or goes below the base URL, with nothing in it that a server could read as a way up.
    """
    forwarder = Forwarder(UPSTREAM, limiter=Limiter())
    try:
        made = call(forwarder, target)
    except ConfigurationError:
        return

    assert str(made.url).startswith(UPSTREAM + "/")
    path = made.url.raw_path.lower()
    assert not {".", ".."} & set(path.split("/"))
    assert not any(odd in path for odd in ("//", "%2e", "%2f", "%5c", "\\", "%25", "%0", " "))
    assert made.url.raw_path_qs.isascii()


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_header_becomes_two(name: str, value: str):
    """
    One that may not be sent is refused, without its value.
    """
    try:
        made = call(Forwarder(UPSTREAM, limiter=Limiter()), "/v1/x", (name, value))
    except ConfigurationError:
        return

    for each, sent in made.headers.items():
        assert (each + sent).isascii()
        assert not {"\r", "\n", "\0"} & set(each + sent)


def test_an_error_shows_no_value():
    """
    Of a header or a query, which may be a key.
    """
    forwarder = Forwarder(UPSTREAM, limiter=Limiter())
    for target, header in (("/v1/x", ("X-Key", KEY + "\n")), (f"/v1/x?key={KEY}#", ("X-A", "1"))):
        with pytest.raises(ConfigurationError) as caught:
            call(forwarder, target, header)
        clean(str(caught.value), "an error")


def test_a_call_shows_no_header():
    """
    Neither its own key nor a caller's.
    """
    forwarder = Forwarder(UPSTREAM, limiter=Limiter(), api_key=KEY, organization="org-1")
    lent = call(forwarder, "/v1/x", ("Authorization", "Bearer theirs-0123456789"))
    theirs = call(Forwarder(UPSTREAM, limiter=Limiter()), "/v1/x", ("Authorization", f"Bearer {KEY}"))

    clean(repr(lent) + repr(theirs) + repr(forwarder) + repr(vars(forwarder)), "a call")
    assert "theirs" not in repr(lent)
    assert lent.headers["OpenAI-Organization"] == "org-1"
    assert "Authorization" not in lent.headers


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://api.example/v1", "https://a:b@api.example", "https://api.example?x=1"]
)
def test_no_forwarder_is_made_for_it(url: str):
    """
    What is no base URL to send a key to.
    """
    with pytest.raises(ConfigurationError):
        Forwarder(url, limiter=Limiter())


def test_silence_ends_a_body_and_frees_its_place():
    """
    After ``idle_s`` without a byte; while nobody asks for more, nobody looks.
    """
    head = chunked(b"data: 1\n\n", kind="text/event-stream")

    async def story() -> float:
        limiter = Limiter(per_day(requests=10), retry=QUICK)
        async with RawServer([head, 50.0, b"5\r\nhello\r\n", Move.SILENCE]) as server:
            forwarder = Forwarder(server.url, limiter=limiter, timeout=Timeout(idle_s=60.0))
            forwarded = await forwarder.forward(call(forwarder))
            assert await forwarded.piece() == b"data: 1\n\n"
            await asyncio.sleep(600.0)  # whoever it is for takes his time
            assert await forwarded.piece() == b"hello"
            assert limiter.in_flight == 1
            began = virtual_loop().time()
            with pytest.raises(Broken, match="no byte for 60 s"):
                await forwarded.piece()
            at_rest(limiter)
            took_s = virtual_loop().time() - began
            forwarded.close(Broken())
            assert forwarder.tally.outcomes == {("default", "error"): 1}
            await forwarder.close()
            return took_s

    assert 60 <= in_virtual_time(story) < 63


def test_a_connection_is_used_again_and_never_twice_at_once():
    """
    Closing what has ended, and closing it again, gives a connection back once.
    """

    async def story() -> tuple[int, int]:
        limiter = Limiter(retry=QUICK)
        slowly = [chunked(b"one"), 0.1, b"0\r\n\r\n"]
        async with RawServer(slowly, slowly, [0.1, answer(b"2")], [0.1, answer(b"3")]) as server:
            forwarder = Forwarder(server.url, limiter=limiter)

            async def ask() -> bytes:
                forwarded = await forwarder.forward(call(forwarder))
                body = forwarded.first
                while piece := await forwarded.piece():
                    body += piece
                forwarded.close()
                forwarded.close()
                return body

            one_by_one = [await ask(), await ask()]
            assert (one_by_one, server.connections) == ([b"one", b"one"], 1)
            assert sorted(await asyncio.gather(ask(), ask())) == [b"2", b"3"]
            await forwarder.close()
            return server.connections, len(server.requests)

    assert in_virtual_time(story) == (2, 4)


def test_what_is_closed_lets_nobody_in():
    """
    Nor what drains; those inside end.
    """

    async def story() -> list[str]:
        async with RawServer([answer()]) as server:
            forwarder = Forwarder(server.url, limiter=Limiter())
            forwarded = await forwarder.forward(call(forwarder))
            assert not await forwarder.drain(0.0)
            forwarded.close()
            assert await forwarder.drain()
            refused = []
            for end in (forwarder.drain, forwarder.close):
                await end()
                with pytest.raises(Exception, match="nothing was sent") as caught:
                    await forwarder.forward(call(forwarder))
                refused.append(type(caught.value).__name__)
            return refused

    assert in_virtual_time(story) == ["Closed", "Closed"]
