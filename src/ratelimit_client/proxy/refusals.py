"""
What a proxy says itself, where no answer of the server is there to be handed on.

Law of this file: it says so in the form the API has for errors, and whether to come again
and when. A caller that tries again by itself is told to where that may help, and not to
where the proxy has done so already.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Final

import attrs

from ..core.failure import FailureKind
from ..errors import (
    Closed,
    ConfigurationError,
    CostExceedsQuota,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    IncompleteResponse,
    QueueFull,
    RateLimitClientError,
    ResponseError,
    TransportError,
)

_BAD_REQUEST: Final = "invalid_request_error"
_LIMIT: Final = "rate_limit_error"
_SERVER: Final = "server_error"
_LONGEST: Final = 600
# A process that replaces this one is there by then.
_AFTER_DRAIN_S: Final = 5.0
_AFTER_OUTAGE_S: Final = 30.0


@attrs.frozen
class Refusal:
    """
    An answer of the proxy's own.

    Args:
        status: of HTTP.
        code: one word for machines.
        message: a sentence for people.
        kind: ``type`` in the API's form.
        param: the header it is about.
        after_s: seconds after which to come again.
        again: whether to come again; None: it goes without saying.
        queue_s, attempts: what it waited, and how often it was sent.
    """

    status: int
    code: str
    message: str
    kind: str = _BAD_REQUEST
    param: str | None = None
    after_s: float | None = None
    again: bool | None = None
    queue_s: float = 0.0
    attempts: int = 0

    @property
    def body(self) -> bytes:
        """The API's form of it."""
        line = "".join(char if char.isprintable() else "?" for char in " ".join(self.message.split()))
        told = {"message": line[:_LONGEST], "type": self.kind, "param": self.param, "code": self.code}
        return json.dumps({"error": told}).encode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What a caller that tries again looks at."""
        headers = []
        if self.after_s is not None:
            headers.append(("Retry-After", str(max(1, math.ceil(self.after_s)))))
        if self.again is not None:
            headers.append(("x-should-retry", "true" if self.again else "false"))
        return headers


DRAINING: Final[Refusal] = Refusal(
    503,
    "draining",
    "the proxy is ending and takes no further calls; nothing was sent",
    _SERVER,
    after_s=_AFTER_DRAIN_S,
    again=True,
)


def refusal_of(error: RateLimitClientError, *, deadline_s: float | None, next_in_s: float | None) -> Refusal:
    """
    What to say when a call has no answer.

    Args:
        deadline_s: as the caller gave it.
        next_in_s: seconds until the next of the waiting calls can go, where that is known.
    """
    told = next(say for kind, say in _SAID if isinstance(error, kind))(error)
    if isinstance(error, DeadlineExpiredInQueue) and deadline_s is None:  # a wait for a server that is gone
        told = attrs.evolve(told, status=503, code="upstream_outage", after_s=_AFTER_OUTAGE_S)
    if isinstance(error, QueueFull):
        told = attrs.evolve(told, after_s=next_in_s or 1.0)
    return attrs.evolve(told, queue_s=getattr(error, "waited_s", 0.0), attempts=getattr(error, "attempts", 0))


def _unreachable(error: DeadlineUnreachable) -> Refusal:
    return Refusal(429, "deadline_unreachable", str(error), _LIMIT, after_s=error.ready_in_s, again=False)


def _too_large(error: CostExceedsQuota) -> Refusal:
    return Refusal(413, "cost_exceeds_quota", str(error), again=False)


def _answered_others(error: ResponseError) -> Refusal:
    """The server has asked other calls to wait for longer than this one may."""
    after_s = None if error.signals is None else error.signals.retry_after_s
    return Refusal(error.status, "rate_limit_exceeded", str(error), _LIMIT, after_s=after_s, again=False)


def _no_answer(error: TransportError) -> Refusal:
    if error.kind is FailureKind.TIMEOUT and not error.unsent:
        return Refusal(504, "upstream_timeout", str(error), _SERVER, again=False)
    code = "upstream_unreachable" if error.unsent else "upstream_failed"
    return Refusal(502, code, str(error), _SERVER, again=False)


_SAID: Final[tuple[tuple[type[Exception], Callable[..., Refusal]], ...]] = (
    (QueueFull, lambda error: Refusal(503, "queue_full", str(error), _SERVER, again=True)),
    (Closed, lambda _: DRAINING),
    (DeadlineUnreachable, _unreachable),
    (DeadlineExpiredInQueue, lambda error: Refusal(504, "deadline_passed", str(error), _SERVER, again=False)),
    (DeadlineExceeded, lambda error: Refusal(504, "deadline_passed", str(error), _SERVER, again=False)),
    (CostExceedsQuota, _too_large),
    (ResponseError, _answered_others),
    (TransportError, _no_answer),
    (IncompleteResponse, lambda error: Refusal(502, "upstream_incomplete", str(error), _SERVER, again=False)),
    (ConfigurationError, lambda error: Refusal(502, "not_configured", str(error), _SERVER, again=False)),
    (Exception, lambda error: Refusal(500, "proxy_failed", str(error), _SERVER, again=False)),
)
