"""What an exception says about a call, by its names."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import BadStatusLine
from yarl import URL

from ratelimit_client import Closed, IncompleteResponse, TransportError
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.runtime import failures
from ratelimit_client.runtime.failures import answer_on, failure_of, register_classifier

KEY = ConnectionKey("api.test", 443, True, True, None, None, None)
REQUEST = aiohttp.RequestInfo(URL("https://api.test"), "POST", {}, URL("https://api.test"))  # type: ignore[arg-type]


def because(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def foreign(package: str, name: str, base: type[BaseException] = Exception) -> Any:
    """A class as another library has it, which need not be installed."""
    return type(name, (base,), {"__module__": package})


@pytest.mark.parametrize(
    ("error", "kind", "unsent"),
    [
        (ConnectionRefusedError(), FailureKind.CONNECTION, True),
        (ConnectionResetError(), FailureKind.CONNECTION, False),
        (BrokenPipeError(), FailureKind.CONNECTION, False),
        (TimeoutError(), FailureKind.TIMEOUT, False),
        (asyncio.IncompleteReadError(b"", 5), FailureKind.INCOMPLETE, False),
        (socket.gaierror(), FailureKind.CONNECTION, True),
        (OSError(errno.EHOSTUNREACH, "no route"), FailureKind.CONNECTION, True),
        (OSError(errno.ENETRESET, "reset"), FailureKind.CONNECTION, False),
        (OSError(errno.EIO, "disk"), FailureKind.OTHER, False),
        (FileNotFoundError(errno.ENOENT, "missing"), FailureKind.OTHER, False),
        (PermissionError(), FailureKind.OTHER, False),
        (ValueError(), FailureKind.OTHER, False),
        (KeyError("x"), FailureKind.OTHER, False),
        (ssl.SSLCertVerificationError(), FailureKind.TLS, True),
        # aiohttp
        (aiohttp.ClientConnectorError(KEY, OSError()), FailureKind.CONNECTION, True),
        (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror()), FailureKind.CONNECTION, True),
        (aiohttp.ClientConnectorSSLError(KEY, OSError()), FailureKind.TLS, True),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError()), FailureKind.TLS, True),
        (aiohttp.ConnectionTimeoutError(), FailureKind.TIMEOUT, True),
        (aiohttp.SocketTimeoutError(), FailureKind.TIMEOUT, False),
        (aiohttp.ServerDisconnectedError(), FailureKind.CONNECTION, False),
        (aiohttp.ClientOSError(), FailureKind.CONNECTION, False),
        (aiohttp.ClientPayloadError(), FailureKind.INCOMPLETE, False),
        (aiohttp.InvalidURL("x"), FailureKind.OTHER, True),
        (
            because(aiohttp.ClientResponseError(REQUEST, (), status=400), BadStatusLine("x")),
            FailureKind.PROTOCOL,
            False,
        ),
        # httpx, httpx2 and SDKs, by name
        (foreign("httpx", "ConnectError")(), FailureKind.CONNECTION, True),
        (foreign("httpx2", "PoolTimeout")(), FailureKind.TIMEOUT, True),
        (foreign("httpx", "ReadTimeout", foreign("httpx", "TimeoutException"))(), FailureKind.TIMEOUT, False),
        (foreign("httpx._exceptions", "RemoteProtocolError")(), FailureKind.PROTOCOL, False),
        (foreign("httpx", "WriteError", foreign("httpx", "TransportError"))(), FailureKind.CONNECTION, False),
        (foreign("httpx", "UnsupportedProtocol")(), FailureKind.OTHER, True),
        (foreign("openai", "APIConnectionError")(), FailureKind.CONNECTION, False),
        (
            because(foreign("openai", "APIConnectionError")(), foreign("httpx", "ConnectError")()),
            FailureKind.CONNECTION,
            True,
        ),
        (because(foreign("openai", "APIConnectionError")(), ValueError()), FailureKind.CONNECTION, False),
        # our own
        (TransportError("gone", unsent=True), FailureKind.CONNECTION, True),
        (because(TransportError("slow"), aiohttp.SocketTimeoutError()), FailureKind.TIMEOUT, False),
        (because(TransportError("?"), ValueError()), FailureKind.CONNECTION, False),
        (TransportError("told", kind=FailureKind.PROTOCOL, stale=True), FailureKind.PROTOCOL, False),
        (IncompleteResponse("cut", status=200), FailureKind.INCOMPLETE, False),
        (IncompleteResponse("too large", status=200, kind=FailureKind.OTHER), FailureKind.OTHER, False),
        (Closed("closed"), FailureKind.OTHER, False),
    ],
)
def test_an_exception_is_known_by_its_names(error: BaseException, kind: FailureKind, unsent: bool) -> None:
    """A refused connection is unsent, a lost answer is not, a missing file is the caller's own."""
    failure = failure_of(error)

    assert (failure.kind, failure.unsent) == (kind, unsent)
    assert failure.error is error


@pytest.fixture
def no_classifiers() -> Iterator[None]:
    kept = list(failures._classifiers)
    failures._classifiers.clear()
    yield
    failures._classifiers[:] = kept


def test_an_adapter_may_know_better(no_classifiers: None) -> None:
    """Registered classifiers are asked first, the latest first; None means: ask the next."""

    def stale(error: BaseException) -> TransportFailure | None:
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return TransportFailure(kind=FailureKind.CONNECTION, stale=True, error=error)
        return None

    def never(error: BaseException) -> TransportFailure | None:
        return None

    for classifier in (stale, never, stale):
        register_classifier(classifier)

    assert failure_of(aiohttp.ServerDisconnectedError()).stale
    assert not failure_of(ConnectionResetError()).stale
    assert len(failures._classifiers) == 2


def test_an_adapter_may_say_it_on_our_own_error() -> None:
    """A kept-alive connection that was closed is nobody's fault."""
    assert failure_of(TransportError("gone", kind=FailureKind.CONNECTION, stale=True)).stale
    assert not failure_of(TransportError("gone")).stale


def test_an_answer_on_an_exception_is_found() -> None:
    """raise_for_status() of aiohttp and httpx, and the SDKs' errors: status and headers."""
    carried = foreign("httpx", "HTTPStatusError")()
    carried.response = type(
        "Response", (), {"status_code": 429, "headers": {"retry-after": "1"}, "__bool__": lambda _: False}
    )()
    own = aiohttp.ClientResponseError(REQUEST, (), status=503, headers={"x": "y"})  # type: ignore[arg-type]

    for error, status in ((carried, 429), (own, 503)):
        answer = answer_on(error)
        assert answer is not None
        assert answer.status == status
        assert answer.headers

    bare = aiohttp.ClientResponseError(REQUEST, (), status=500)
    found = answer_on(bare)
    assert found is not None
    assert found.headers == {}


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        because(aiohttp.ClientResponseError(REQUEST, (), status=400), BadStatusLine("x")),
        type("Odd", (Exception,), {"status": "failed"})(),
        type("Odder", (Exception,), {"status": True})(),
        type("Oddest", (Exception,), {"status": 7})(),
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(error: BaseException) -> None:
    """A status that is none, and aiohttp's 400 for something that is no HTTP."""
    assert answer_on(error) is None
