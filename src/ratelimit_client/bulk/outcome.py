"""
What the error of a call means for its row.

Law of this file: a row fails only by what is its own: an answer about itself,
its deadline, or failures while others succeeded. What is about the account, the
set-up or the run stops the run, and the row stays to be done.
"""

from __future__ import annotations

from typing import Final

import attrs

from ..core.failure import FailureKind
from ..errors import (
    AuthenticationFailed,
    Closed,
    ConfigurationError,
    CostExceedsQuota,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    IncompleteResponse,
    ModelNotFound,
    QuotaExhausted,
    RateLimitClientError,
    ResponseError,
    StoreUnavailable,
    Throttled,
    TransportError,
    WrongLoop,
)
from .row import Row
from .stops import Stop, Why
from .words import duration

DEADLINE: Final = "deadline_exceeded"

# A certificate that does not verify, a proxy that refuses: it would be the same for every row.
_SET_UP: Final = frozenset({FailureKind.TLS, FailureKind.OTHER})


@attrs.frozen
class Failed:
    """The row is finished; this goes to the errors file."""

    code: str
    message: str
    status: int | None = None
    request_id: str | None = None
    content: bytes = b""
    attempts: int = 0
    waited_s: float = 0.0


@attrs.frozen
class Pending:
    """The row stays to be done; *stop* ends the run when it is set."""

    stop: Stop | None = None


@attrs.frozen
class Unknown:
    """The model is unknown: the row's own failure, unless it is everybody's."""

    failed: Failed
    stop: Stop


def read_error(row: Row, error: RateLimitClientError, *, stopping: bool) -> Failed | Pending | Unknown:
    """
    What *error* means for *row*.

    Args:
        stopping: the run is ending, so what might have been tried again is no verdict on the row.
    """
    text = str(error)
    if isinstance(error, ResponseError):
        return _of_answer(row, error, stopping)
    if isinstance(error, Closed):
        return Pending()
    if isinstance(error, DeadlineExceeded):
        return Failed(DEADLINE, text, attempts=error.attempts)
    if isinstance(error, DeadlineExpiredInQueue):
        return Failed(DEADLINE, text, waited_s=error.waited_s)
    if isinstance(error, DeadlineUnreachable):
        return Failed(DEADLINE, text)
    if isinstance(error, CostExceedsQuota):
        return Failed("cost_exceeds_quota", text)
    if isinstance(error, TransportError) and getattr(error, "kind", None) in _SET_UP:
        return Pending(Stop(Why.CONFIGURATION, text))
    if isinstance(error, IncompleteResponse | TransportError):
        code = "incomplete_response" if isinstance(error, IncompleteResponse) else "no_answer"
        return Pending() if stopping else Failed(code, text, attempts=error.attempts)
    if isinstance(error, ConfigurationError | StoreUnavailable | WrongLoop):
        return Pending(Stop(Why.CONFIGURATION, text))
    return Pending() if stopping else Failed("not_sent", text)


def _of_answer(row: Row, error: ResponseError, stopping: bool) -> Failed | Pending | Unknown:
    text = str(error)
    if isinstance(error, QuotaExhausted):
        return Pending(Stop(Why.FATAL, f"the account has nothing left to spend: {text}"))
    if isinstance(error, AuthenticationFailed):
        return Pending(Stop(Why.FATAL, f"the server did not accept the key: {text}"))
    if isinstance(error, Throttled):
        return Pending() if stopping else Pending(Stop(Why.LONG_WAIT, _long_wait(error)))

    signals = error.signals
    if stopping and signals is not None and signals.retryable:
        return Pending()
    code = (signals.error_code if signals is not None else None) or error.reason
    failed = Failed(
        code,
        text,
        status=error.status,
        request_id=error.request_id,
        content=error.body_excerpt.encode("utf-8", "replace"),
        attempts=error.attempts,
        waited_s=error.waited_s,
    )
    if isinstance(error, ModelNotFound):
        sentence = f"model {row.model[:128]!r} is unknown, and no row of another model is left: {text}"
        return Unknown(failed, Stop(Why.FATAL, sentence))
    return failed


def _long_wait(error: Throttled) -> str:
    signals = error.signals
    hint_s = signals.retry_after_s if signals is not None else None
    wait = "longer than is worth waiting for" if hint_s is None else f"for {duration(hint_s)}"
    said = signals.message if signals is not None else None
    return f"the server asks to wait {wait}: {said or error}"
