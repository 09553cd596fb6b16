from __future__ import annotations

import errno
import pickle
from typing import Any

import aiohttp
import attrs
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ratelimit_client import Closed, ConfigurationError, Timeout, TransportError
from ratelimit_client.adapters.aiohttp.failures import LeftOrigin, NoAnswer, told
from ratelimit_client.adapters.aiohttp.watchdog import Stalled
from ratelimit_client.core.failure import FailureKind
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.adapters.aiohttp.running import in_virtual_time, served

ORIGIN = "https://host"
KEY = aiohttp.client_reqrep.ConnectionKey("host", 443, True, True, None, None, None)
CANARY = CIMultiDictProxy(CIMultiDict({"Authorization": "Bearer sk-canary"}))
REQUEST = aiohttp.RequestInfo(URL(ORIGIN), "POST", CANARY)
REFUSED = OSError(errno.ECONNREFUSED, "Connection refused")

CONNECTION, TIMEOUT, PROTOCOL = FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.PROTOCOL
SENT, UNSENT = False, True


@pytest.mark.parametrize(
    ("error", "kind", "unsent", "says"),
    [
        (aiohttp.ClientConnectorError(KEY, REFUSED), CONNECTION, UNSENT, "Connection refused"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(None, "Name unknown")), CONNECTION, UNSENT, "Name unknown"),
        (aiohttp.ConnectionTimeoutError("slow"), TIMEOUT, UNSENT, "in time"),
        (aiohttp.SocketTimeoutError("slow"), TIMEOUT, SENT, "no byte for 600 s"),
        (Stalled("no byte for 600 s"), TIMEOUT, SENT, "no byte for 600 s"),
        (TimeoutError(), TIMEOUT, SENT, "no byte"),
        (aiohttp.ClientConnectorSSLError(KEY, OSError(1, "wrong version")), FailureKind.TLS, UNSENT, "wrong version"),
        (NoAnswer("end of stream", stale=True), CONNECTION, SENT, "end of stream"),
        (aiohttp.ClientOSError(errno.EPIPE, "Broken pipe"), CONNECTION, SENT, "Broken pipe"),
        (aiohttp.ClientConnectionError("lost"), CONNECTION, SENT, "broke"),
        (aiohttp.ClientPayloadError("lost"), CONNECTION, SENT, "broke"),
        (OSError(errno.EIO, "I/O"), CONNECTION, SENT, "I/O"),
        (aiohttp.ClientResponseError(REQUEST, (), status=400, message="Bad:\n\n b'prompt'"), PROTOCOL, SENT, "Bad$"),
        (aiohttp.ClientHttpProxyError(REQUEST, (), status=407), FailureKind.OTHER, UNSENT, "proxy .* answered 407"),
        (ValueError("sk-canary"), FailureKind.OTHER, SENT, "ValueError"),
        (RuntimeError("sk-canary"), FailureKind.OTHER, SENT, "RuntimeError"),
    ],
)
def test_what_aiohttp_raises_in_our_words(error: Exception, kind: FailureKind, unsent: bool, says: str):
    """
    What stood in the way, whether a byte was written, the system's own words; and nothing that holds a header.
    """
    ours = told(error, ORIGIN, 600.0)

    assert isinstance(ours, TransportError)
    assert (getattr(ours, "kind", None), ours.unsent) == (kind, unsent)
    assert getattr(ours, "stale", None) is isinstance(error, NoAnswer)
    assert ours.__cause__ is ours.__context__ is None
    with pytest.raises(TransportError, match=says):
        raise ours
    for text in (str(ours), repr(vars(ours)), repr(vars(pickle.loads(pickle.dumps(ours))))):
        assert "canary" not in text
        assert "prompt" not in text


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.InvalidURL("https://"), ConfigurationError),
        (LeftOrigin(), ConfigurationError),
        (RuntimeError("Session is closed"), Closed),
    ],
)
def test_what_is_not_the_servers_doing(error: Exception, kind: type[Exception]):
    """
    Nothing was sent, and no other attempt would be.
    """
    assert type(told(error, ORIGIN, None)) is kind


def test_a_request_for_somewhere_else_stops_at_the_door():
    """
    Whatever the URL of a call has become, it is compared with the base in the last frame before aiohttp.
    """

    async def story() -> None:
        async with RawServer([answer()]) as elsewhere, served([answer()]) as (server, client):
            call = attrs.evolve(client.call("GET", "/v1/x"), url=URL(elsewhere.url + "/v1/x"))
            with pytest.raises(ConfigurationError, match="nothing was sent"):
                await client.send(call)
            assert (server.requests, elsewhere.requests) == ([], [])
            assert client.limiter.statistics().keys["default"].buckets["requests"].level == 1000

    in_virtual_time(story)


@pytest.mark.parametrize("options", [{"connect_s": 0}, {"idle_s": -1}, {"idle_s": float("inf")}])
def test_a_timeout_that_is_none(options: dict[str, Any]):
    """
    Seconds above 0, or None for no bound.
    """
    with pytest.raises(ValueError, match="seconds above 0"):
        Timeout(**options)
    assert Timeout(connect_s=None, idle_s=None) == Timeout(None, None)
