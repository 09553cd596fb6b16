"""
What an exception says about a call: did it go out, did an answer come?

Law of this file: no HTTP library is imported. An exception is known by the names
of its classes, most derived first, and of their packages, or by what an adapter
has registered; what nobody knows is the caller's own business (``OTHER``).

Theory. Two things about a failure matter to the ledger. *Unsent*: not a byte of
the request was written, so what was charged comes back. Otherwise the server may
have done the work, and the charge stays. And libraries that raise for a status
carry the answer on the exception: then the answer counts, not the exception.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import attrs

from ..core.failure import FailureKind, TransportFailure
from ..errors import IncompleteResponse, RateLimitClientError, StreamError, TransportError

Classifier = Callable[[BaseException], "TransportFailure | None"]
"""What an adapter knows about an exception; None: ask the next one."""

_CONNECTION, _TIMEOUT = FailureKind.CONNECTION, FailureKind.TIMEOUT
_PROTOCOL, _INCOMPLETE = FailureKind.PROTOCOL, FailureKind.INCOMPLETE
_SENT, _UNSENT = False, True

# (package, class) -> (kind, unsent); a class stands for those derived from it.
_KNOWN: dict[tuple[str, str], tuple[FailureKind, bool]] = {
    ("ssl", "SSLCertVerificationError"): (FailureKind.TLS, _UNSENT),
    ("aiohttp", "ClientSSLError"): (FailureKind.TLS, _UNSENT),
    ("aiohttp", "InvalidURL"): (FailureKind.OTHER, _UNSENT),
    ("aiohttp", "ClientConnectorError"): (_CONNECTION, _UNSENT),
    ("aiohttp", "ConnectionTimeoutError"): (_TIMEOUT, _UNSENT),
    ("aiohttp", "ServerTimeoutError"): (_TIMEOUT, _SENT),
    ("aiohttp", "ClientConnectionError"): (_CONNECTION, _SENT),
    ("aiohttp", "ClientPayloadError"): (_INCOMPLETE, _SENT),
    **{
        (package, name): known
        for package in ("httpx", "httpx2")
        for name, known in (
            ("UnsupportedProtocol", (FailureKind.OTHER, _UNSENT)),
            ("LocalProtocolError", (FailureKind.OTHER, _UNSENT)),
            ("ConnectError", (_CONNECTION, _UNSENT)),
            ("ConnectTimeout", (_TIMEOUT, _UNSENT)),
            ("PoolTimeout", (_TIMEOUT, _UNSENT)),
            ("ProxyError", (_CONNECTION, _UNSENT)),
            ("RemoteProtocolError", (_PROTOCOL, _SENT)),
            ("TimeoutException", (_TIMEOUT, _SENT)),
            ("TransportError", (_CONNECTION, _SENT)),
            ("DecodingError", (_INCOMPLETE, _SENT)),
        )
    },
    ("socket", "gaierror"): (_CONNECTION, _UNSENT),
    ("builtins", "ConnectionRefusedError"): (_CONNECTION, _UNSENT),
    ("builtins", "ConnectionError"): (_CONNECTION, _SENT),
    ("builtins", "TimeoutError"): (_TIMEOUT, _SENT),
    ("asyncio", "IncompleteReadError"): (_INCOMPLETE, _SENT),
}

# SDKs wrap the exception of their HTTP library, which says more (a refused connection is unsent).
_WRAPPERS = frozenset({("openai", "APIConnectionError"), ("anthropic", "APIConnectionError")})

# An OSError may as well be a missing file; these come from a network only.
_NEVER_LEFT = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_BROKE = frozenset({errno.ECONNABORTED, errno.ECONNRESET, errno.ENETRESET, errno.ETIMEDOUT})

_classifiers: list[Classifier] = []


def register_classifier(classifier: Classifier) -> None:
    """Ask *classifier* first about every exception; the latest registered goes first."""
    if classifier not in _classifiers:
        _classifiers.insert(0, classifier)


def failure_of(error: BaseException) -> TransportFailure:
    """What *error* says of the attempt it ended; ``OTHER`` when it is no failure of the way."""
    if isinstance(error, RateLimitClientError):
        return _own(error)
    for classifier in _classifiers:
        failure = classifier(error)
        if failure is not None:
            return failure
    if _garbled(error):
        return TransportFailure(kind=_PROTOCOL, error=error)
    kind, unsent = _known(error)
    return TransportFailure(kind=kind, unsent=unsent, error=error)


def _own(error: RateLimitClientError) -> TransportFailure:
    """An adapter's errors say it themselves; all others mean that nothing is to be retried."""
    if isinstance(error, TransportError):
        kind = _of_cause(error) if error.kind is None else error.kind
        return TransportFailure(kind=kind, unsent=error.unsent, stale=error.stale, error=error)
    if isinstance(error, IncompleteResponse):
        return TransportFailure(kind=error.kind or _INCOMPLETE, error=error)
    if isinstance(error, StreamError):
        return TransportFailure(kind=error.kind or FailureKind.OTHER, error=error)
    return TransportFailure(kind=FailureKind.OTHER, error=error)


def _of_cause(error: TransportError) -> FailureKind:
    """What it was raised from says more than it does."""
    cause = FailureKind.OTHER if error.__cause__ is None else _known(error.__cause__)[0]
    return _CONNECTION if cause is FailureKind.OTHER else cause


def _known(error: BaseException) -> tuple[FailureKind, bool]:
    for kind in type(error).__mro__:
        name = (kind.__module__.partition(".")[0], kind.__name__)
        if name in _WRAPPERS:
            known = _known(error.__cause__) if error.__cause__ is not None else (_CONNECTION, _SENT)
            return known if known[0] is not FailureKind.OTHER else (_CONNECTION, _SENT)
        if name in _KNOWN:
            return _KNOWN[name]
    number = error.errno if isinstance(error, OSError) else None
    if number in _NEVER_LEFT:
        return _CONNECTION, _UNSENT
    return (_CONNECTION, _SENT) if number in _BROKE else (FailureKind.OTHER, _SENT)


def _garbled(error: BaseException) -> bool:
    """Did something come back that is no HTTP (a bad status line, a bad chunk)?"""
    return type(error.__cause__).__module__.startswith("aiohttp.http_exceptions")


@attrs.frozen
class Answer:
    """An answer found on an exception."""

    status: int
    headers: Any


def answer_on(error: BaseException) -> Answer | None:
    """
    The answer that an exception carries, as ``raise_for_status()`` and SDKs leave it there.

    aiohttp also raises a ``ClientResponseError`` with status 400 for an answer that
    is no HTTP at all; its cause tells the two apart, and that one is no answer.
    """
    response = getattr(error, "response", None)
    carrier = error if response is None else response
    status = getattr(carrier, "status_code", None) or getattr(carrier, "status", None)
    headers = getattr(carrier, "headers", None)
    if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 999 or _garbled(error):
        return None
    # Anybody's exception may have something of that name; what is no mapping is not what a server said.
    return Answer(status, headers if hasattr(headers, "items") else {})
