"""
What went wrong with an attempt that brought no usable answer.

Law of this file: facts only, and no HTTP library's types. Whoever did the call
says what happened in these words; retry and outage draw the conclusions.
"""

from __future__ import annotations

import enum

import attrs


class FailureKind(enum.StrEnum):
    """What kind of thing stood in the way."""

    CONNECTION = "connection"
    """No connection, or it broke: refused, reset, no route, no such host."""

    TIMEOUT = "timeout"
    """Nothing came for too long."""

    PROTOCOL = "protocol"
    """What came is not HTTP."""

    INCOMPLETE = "incomplete"
    """An answer began and is not whole: a cut body, a broken encoding."""

    TLS = "tls"
    """The server could not prove who it is. Trying again would not make it true."""

    OTHER = "other"
    """An error of the caller's own code, of which we know nothing."""


_OF_THE_WAY = frozenset({FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.PROTOCOL, FailureKind.INCOMPLETE})


@attrs.frozen(kw_only=True)
class TransportFailure:
    """
    An attempt that ended without an answer one can use.

    Args:
        kind: what stood in the way.
        unsent: no byte of the request was written, so it was surely not carried out.
        stale: a kept-alive connection closed before the first byte of an answer:
            the server had hung up while the request was on its way. The usual
            end of an idle connection, and nobody's fault.
        error: the exception, for a policy's ``retry_on``.
    """

    kind: FailureKind
    unsent: bool = False
    stale: bool = False
    error: BaseException | None = None

    @property
    def may_pass(self) -> bool:
        """Another attempt may meet better conditions."""
        return self.kind in _OF_THE_WAY

    @property
    def cancels(self) -> bool:
        """The error is an order to stop (a cancellation, Ctrl-C), which nobody may swallow."""
        return self.error is not None and not isinstance(self.error, Exception)
