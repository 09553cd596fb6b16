"""Who may ask: by what name, and from which page."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from multidict import CIMultiDict

from ratelimit_client.proxy.guests import Guests
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.proxy.talking import BEARER, TARGET, Line, proxied


def turned_away(guests: Guests, *headers: tuple[str, str]) -> str | None:
    why = guests.why_not(CIMultiDict(headers))
    return None if why is None else why[0]


LOCAL = Guests(["127.0.0.1"], "127.0.0.1", hosts=["host.docker.internal"], origins=["http://localhost:3000"])
ANYWHERE = Guests(["0.0.0.0"], "0.0.0.0")
NAMED = Guests(["10.1.2.3"], "proxy.example")


@pytest.mark.parametrize(
    ("guests", "ours", "others"),
    [
        (
            LOCAL,
            """127.0.0.1 127.0.0.1:8080 127.9.9.9 localhost:8080 LOCALHOST api.localhost localhost. [::1]:80
            host.docker.internal:8080""",
            """evil.example 127.0.0.1.evil.example localhost.evil.example 10.1.2.3 0.0.0.0 proxy [::ffff:10.1.2.3] ::1
            127.0.0.1:8080@evil.example localhost/x localhost:80:80 localhost,evil.example \u017focalhost 2130706433
            0x7f.1 127.1""",
        ),
        (ANYWHERE, "10.1.2.3:8080 [fe80::1] localhost 127.0.0.1", "evil.example proxy"),
        (NAMED, "proxy.example:80 PROXY.example 10.1.2.3 localhost", "10.1.2.4 x.proxy.example"),
    ],
    ids=["loopback", "anywhere", "named"],
)
def test_a_proxy_answers_to_its_names(guests: Guests, ours: str, others: str):
    """
    Loopback by name and number, what it listens on, and what was named; a name that anybody could point here is none.
    """
    verdicts = {
        host: turned_away(guests, ("Host", host)) for host in (*ours.split(), *others.split(), "", "local host")
    }

    assert [host for host, why in verdicts.items() if why is None] == ours.split()
    assert set(verdicts.values()) == {None, "host_not_allowed"}


def test_one_host_and_no_more():
    """
    None, or two of them, is none of ours.
    """
    assert turned_away(LOCAL) == "host_not_allowed"
    assert turned_away(LOCAL, ("Host", "localhost"), ("Host", "localhost")) == "host_not_allowed"


def test_a_web_page_is_no_guest_unless_it_is_named():
    """
    Not from another origin, not from its own, not without saying so; a person who types the address is.
    """
    local = ("Host", "localhost")

    assert turned_away(LOCAL, local, ("Origin", "https://evil.example")) == "origin_not_allowed"
    assert turned_away(LOCAL, local, ("Origin", "null")) == "origin_not_allowed"
    assert turned_away(LOCAL, local, ("Origin", "")) == "origin_not_allowed"
    assert turned_away(LOCAL, local, ("Sec-Fetch-Site", "cross-site")) == "origin_not_allowed"
    assert turned_away(LOCAL, local, ("Sec-Fetch-Site", "same-site")) == "origin_not_allowed"
    assert turned_away(LOCAL, local, ("Sec-Fetch-Site", "none")) is None
    assert turned_away(LOCAL, local, ("Origin", "http://localhost:3000"), ("Sec-Fetch-Site", "cross-site")) is None


def test_who_is_none_of_ours_is_not_sent():
    """
    403 in the API's form, for calls and for the health of the proxy alike, and the connection ends.
    """

    async def story() -> list[Any]:
        async with RawServer([answer()]) as server, proxied(server.url) as proxy:
            found = []
            for header in (("Host", "evil.example"), ("Origin", "https://evil.example")):
                for target in (TARGET, "/healthz"):
                    async with Line(proxy.url) as line:
                        said = await line.ask(target, {}, headers=[header, BEARER])
                        found.append((said.status, said.error["code"], await line.left()))
            assert server.requests == []
            return found

    found = asyncio.run(story())

    assert [one[:2] for one in found] == [(403, "host_not_allowed")] * 2 + [(403, "origin_not_allowed")] * 2
    assert {one[2] for one in found} == {b""}


def test_a_page_that_was_named_may_ask():
    """
    What it may read of the answer is then between the page, its browser and the server.
    """

    async def story() -> int:
        options = {"origins": ["http://localhost:3000"]}
        async with RawServer([answer()]) as server, proxied(server.url, **options) as proxy, Line(proxy.url) as line:
            return (await line.ask(TARGET, {}, headers=[("Origin", "http://localhost:3000"), BEARER])).status

    assert asyncio.run(story()) == 200


def test_it_is_private_where_nobody_else_can_come():
    """
    Loopback is; any address, or one of the network, is not.
    """
    assert [guests.private for guests in (LOCAL, ANYWHERE, NAMED)] == [True, False, False]
