"""
Everything this library raises, as one tree.

    RateLimitClientError
      InvalidQuota                  also ValueError: a quota that cannot be
      ConfigurationError            set up in a way that cannot work
      CostExceedsQuota              needs more than the quota ever holds
      WrongLoop                     a busy limiter used from another loop or thread
      StoreUnavailable              the shared budget cannot be reached
      NotAdmitted                   nothing was sent, nothing was charged
        QueueFull
        WouldBlock                  .ready_in_s
        Closed
        DeadlineUnreachable         also TimeoutError
        DeadlineExpiredInQueue      also TimeoutError
      DeadlineExceeded              also TimeoutError: it was sent at least once
      ResponseError                 the server's final answer was not a success
        Throttled
        Overloaded
        QuotaExhausted
        RequestTooLarge
        AuthenticationFailed
        ModelNotFound
      TransportError                no answer, or not all of it
      IncompleteResponse            a success whose body was not whole
      StreamError                   what was delivered stays delivered
        StreamTruncated             it ended without its last event

Law of this file: an error holds facts a machine can read and a sentence for
people, never a key; it can be pickled; it derives from no HTTP library's type.
Cancellation is not an error and is never wrapped in one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.failure import FailureKind
    from .core.signals import Signals


class RateLimitClientError(Exception):
    """What every error of this library is."""

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        for name, value in fields.items():
            setattr(self, name, value)

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), str(self.args[0]), dict(self.__dict__))


def _rebuild(kind: type[RateLimitClientError], message: str, fields: dict[str, Any]) -> RateLimitClientError:
    """Unpickle by fields, so that an error with many of them needs no constructor of its own."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(fields)
    return error


class InvalidQuota(RateLimitClientError, ValueError):
    """The text or the numbers of a quota make no quota."""


class ConfigurationError(RateLimitClientError):
    """The library is set up in a way that cannot work; found before the first call."""


class CostExceedsQuota(RateLimitClientError):
    """
    The call needs more than the quota ever holds, so no wait would help.

    Fields: ``unit``, ``cost`` and ``limit`` (units), ``window_s`` (seconds).
    """

    unit: str
    cost: int
    limit: int
    window_s: float


class WrongLoop(RateLimitClientError):
    """A limiter with calls under way was used from another event loop or thread."""


class StoreUnavailable(RateLimitClientError):
    """The store of a shared budget could not be reached or was set up wrongly."""


class NotAdmitted(RateLimitClientError):
    """The call was never sent and nothing was charged for it."""


class QueueFull(NotAdmitted):
    """The queue holds as many calls as it may. Field: ``max_queue``."""

    max_queue: int


class WouldBlock(NotAdmitted):
    """It cannot go now. Field: ``ready_in_s`` (seconds, or None when unknown)."""

    ready_in_s: float | None


class Closed(NotAdmitted):
    """The limiter or client is closed or draining."""


class DeadlineUnreachable(NotAdmitted, TimeoutError):
    """
    What is queued ahead cannot have been served before the deadline.

    Field: ``ready_in_s``, the least wait in seconds.
    """

    ready_in_s: float


class DeadlineExpiredInQueue(NotAdmitted, TimeoutError):
    """The deadline passed while the call waited its turn. Field: ``waited_s``."""

    waited_s: float


class DeadlineExceeded(RateLimitClientError, TimeoutError):
    """
    The deadline passed after the call had been sent at least once.

    Fields: ``attempts``, ``request_id`` (of the last answer, or None).
    """

    attempts: int
    request_id: str | None


class ResponseError(RateLimitClientError):
    """
    The server's final answer was not a success.

    Fields: ``status``, ``reason`` (as in ``Signals.reason``), ``request_id``,
    ``body_excerpt`` (at most 1 KiB of text), ``attempts``, ``waited_s``
    (seconds in the queue, all attempts), ``signals``.
    """

    status: int
    reason: str
    request_id: str | None = None
    body_excerpt: str = ""
    attempts: int = 1
    waited_s: float = 0.0
    signals: Signals | None = None


class Throttled(ResponseError):
    """
    The server said no because a rate limit was reached, and waiting longer was not allowed.

    With ``attempts`` 0 it said so to another call of the key, and this one was not sent.
    """


class Overloaded(ResponseError):
    """The server has too much to do; a matter of concurrency, not of a budget."""


class QuotaExhausted(ResponseError):
    """Billing: no wait helps until a person changes something."""


class RequestTooLarge(ResponseError):
    """The server will never accept a call of this size."""


class AuthenticationFailed(ResponseError):
    """The key, organization or project was not accepted."""


class ModelNotFound(ResponseError):
    """The model does not exist, or not for this key."""


class TransportError(RateLimitClientError):
    """
    No answer, or an answer that is not HTTP.

    Fields: ``attempts``, ``unsent`` (True only when no byte of the request was
    written), ``kind`` (a ``FailureKind``: what went wrong, or None when it was not
    told), ``stale`` (a kept-alive connection that the server had hung up on).
    """

    attempts: int = 1
    unsent: bool = False
    kind: FailureKind | None = None
    stale: bool = False


class IncompleteResponse(RateLimitClientError):
    """
    A success whose body was cut short, is no JSON though it says so, or exceeds the cap.

    Fields: ``status``, ``request_id``, ``body_excerpt``, ``attempts``, ``kind`` (a
    ``FailureKind``: INCOMPLETE, or OTHER when another attempt would bring the same).
    """

    status: int
    request_id: str | None = None
    body_excerpt: str = ""
    attempts: int = 1
    kind: FailureKind | None = None


class StreamError(RateLimitClientError):
    """
    A stream ended with an error; what came before it was delivered.

    Fields: ``delivered`` (events before it), ``status`` (what the server said, or would
    have said had it known at once; None when nobody said anything), ``reason`` (as in
    ``Signals.reason``, or None), ``request_id``, ``body_excerpt`` (of the event that said
    so), ``signals``, ``kind`` (a ``FailureKind`` when it was the way that failed). Of a
    realtime session also ``close_code`` (1006 when it was not closed but lost), ``expired``
    (its time was over) and ``unsent_events`` (those given to ``send`` that never left).
    """

    delivered: int = 0
    close_code: int | None = None
    expired: bool = False
    unsent_events: tuple[Any, ...] = ()
    status: int | None = None
    reason: str | None = None
    request_id: str | None = None
    body_excerpt: str = ""
    signals: Signals | None = None
    kind: FailureKind | None = None


class StreamTruncated(StreamError):
    """A stream ended without its terminal event. It is never a success, however well it ended as HTTP."""
