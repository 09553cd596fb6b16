"""
How an SDK is told that something is over.

Law of this file: what an SDK is told is told in its own words. An error of this library
stays what it is and becomes one of the SDK's as well, so that the SDK passes it on
instead of wrapping it and trying again; a connection that failed for good is the SDK's
own error for that, where raising it ends the matter.

Theory. Of an answer, ``x-should-retry: false`` says that it is final. Of an exception
nothing can say so but its type: SDKs hand on what is their own already and take all
else for a broken connection, which they retry.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import attrs

from ...core.failure import FailureKind
from ...errors import RateLimitClientError
from ...runtime.failures import failure_of


@attrs.frozen
class Sdk:
    """
    Args:
        error: the root of its errors.
        lost, late: what it raises when a connection failed, and when that took too
            long; None where it would try again all the same.
    """

    error: type[Exception]
    lost: Callable[..., Exception] | None = None
    late: Callable[..., Exception] | None = None

    def own(self, error: RateLimitClientError) -> RateLimitClientError:
        """*error* as one that is the SDK's as well; pickles and copies are of this library alone."""
        kind: Any = type(error)
        other: Any = self.error
        made = _both(kind, other)
        told: RateLimitClientError = made.__new__(made)
        Exception.__init__(told, *error.args)
        told.__dict__.update(error.__dict__)
        return told

    def gone(self, error: Exception, request: Any) -> Exception | None:
        """What to raise for an *error* of the way, or None: leave it as it is."""
        if self.lost is None or self.late is None:
            return None
        kind = failure_of(error).kind
        if kind is FailureKind.OTHER:
            return None
        return (self.late if kind is FailureKind.TIMEOUT else self.lost)(request=request)


@cache
def _both(kind: Any, other: Any) -> Any:
    names = {"__module__": kind.__module__, "__doc__": kind.__doc__, "__reduce__": _reduce, "_plain": kind}
    return type(kind.__name__, (kind, other), names)


def _reduce(error: Any) -> Any:
    rebuild, (_, *rest) = RateLimitClientError.__reduce__(error)
    return rebuild, (error._plain, *rest)
