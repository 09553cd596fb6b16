"""
What aiohttp raises, told in this library's words.

Law of this file: no exception of aiohttp leaves the adapter, not even on
``__cause__`` or ``__context__``: several of them hold the request, and the
request holds the key. A new error is made from their facts, outside the
``except`` block, so that Python links nothing to it.
"""

from __future__ import annotations

import asyncio

import aiohttp
import attrs

from ...core.failure import FailureKind
from ...errors import Closed, ConfigurationError, RateLimitClientError, TransportError
from .watchdog import Stalled


class LeftOrigin(Exception):
    """A request was about to go somewhere else; it did not go."""


@attrs.define(eq=False)
class NoAnswer(Exception):
    """
    The connection ended before a head came.

    Made of what aiohttp would have repeated on its own for idempotent methods;
    it repeats only what it recognises.

    Args:
        why: the system's word for it.
        stale: the connection was a kept-alive one.
    """

    why: str
    stale: bool


def told(error: Exception, origin: str, idle_s: float | None) -> RateLimitClientError:
    """The error to raise for an exception that came before the head of an answer; one of ours stays what it is."""
    if isinstance(error, RateLimitClientError):
        return error
    if isinstance(error, NoAnswer):
        # Most such ends are a kept-alive connection that the server had just hung up on.
        return _lost(f"{origin} closed the connection without an answer ({error.why})", stale=error.stale)
    if isinstance(error, aiohttp.ClientSSLError):
        return _tls(error, origin)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _unsent(f"no connection to {origin} in time", FailureKind.TIMEOUT)
    if isinstance(error, asyncio.TimeoutError) or (isinstance(error, Stalled) and error.silent):
        return _lost(f"{origin} sent no byte for {idle_s or 0:g} s", FailureKind.TIMEOUT)
    if isinstance(error, Stalled):
        return _lost(f"no answer from {origin}: {error}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return _unsent(f"cannot connect to {origin}: {_reason(error)}", FailureKind.CONNECTION)
    return _of_protocol(error, origin)


def _of_protocol(error: Exception, origin: str) -> RateLimitClientError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _unsent(f"the proxy in front of {origin} answered {error.status}", FailureKind.OTHER)
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.http_exceptions.HttpProcessingError):
        return _lost(f"what {origin} sent is no HTTP: {of_parser(error)}", FailureKind.PROTOCOL)
    if isinstance(error, aiohttp.InvalidURL | LeftOrigin):
        return ConfigurationError(f"the request was not for {origin}; nothing was sent")
    if isinstance(error, aiohttp.ClientError | OSError):
        return _lost(f"the connection to {origin} broke ({_reason(error)})", FailureKind.CONNECTION)
    if isinstance(error, RuntimeError) and "closed" in str(error):
        return Closed("the session or its event loop was closed under the client; nothing was sent")
    return _lost(f"the request to {origin} could not be made ({type(error).__name__})", FailureKind.OTHER)


def _tls(error: aiohttp.ClientSSLError, origin: str) -> TransportError:
    message = (
        f"{origin} could not prove who it is: {_reason(error)}; nothing was sent. If it is yours, give a session "
        "whose connector knows its certificate authority"
    )
    return _unsent(message, FailureKind.TLS)


def _lost(message: str, kind: FailureKind = FailureKind.CONNECTION, *, stale: bool = False) -> TransportError:
    return TransportError(message, attempts=1, unsent=False, kind=kind, stale=stale)


def _unsent(message: str, kind: FailureKind) -> TransportError:
    return TransportError(message, attempts=1, unsent=True, kind=kind, stale=False)


def _reason(error: Exception) -> str:
    """The system's own words, which hold no header."""
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    return _plain(getattr(inner, "strerror", None) or getattr(inner, "verify_message", None) or type(inner).__name__)


def of_parser(error: BaseException) -> str:
    """What the parser missed, without the bytes it quotes: they may be somebody's answer."""
    message = getattr(error, "message", "")
    return _plain(message.partition("\n")[0].partition(" b'")[0].rstrip(": "))


def _plain(text: object) -> str:
    """Words from elsewhere on one line, short, and printable."""
    line = " ".join(str(text).split())[:128]
    return "".join(char if char.isprintable() else "?" for char in line)
