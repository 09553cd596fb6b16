"""
What a server said about its limits, in one vocabulary for all servers.

Law of this file: facts only. A dialect fills these in; the scheduler draws the
conclusions. Seconds and units are floats here because servers write them so;
everything below turns them into integers at once.
"""

from __future__ import annotations

import enum

import attrs


class Reason(enum.StrEnum):
    """What an answer means for the call."""

    OK = "ok"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    QUOTA_EXHAUSTED = "quota_exhausted"
    TOO_LARGE = "too_large"
    MODEL_NOT_FOUND = "model_not_found"
    AUTH = "auth"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"


@attrs.frozen
class Reading:
    """
    One dimension as an answer showed it; None where it said nothing usable.

    Args:
        limit: units in a full bucket.
        remaining: whole units left, as the server admitted the call.
        reset_s: seconds until full (or until the window steps); a past instant is 0.
        window_s: seconds of the window, only where the numbers or the name determine it.
    """

    limit: float | None = None
    remaining: float | None = None
    reset_s: float | None = None
    window_s: float | None = None


@attrs.frozen(slots=False)  # one is made of every answer that is read, and in slots it would take twice as long
class Signals:
    """
    Everything one answer said that a scheduler can use.

    Args:
        status: the HTTP status.
        reason: what the answer means.
        retryable: may the same call be sent again, however long the hint; None when not an error.
        retry_after_s: the least wait of an error answer in seconds, or None.
        readings: by the server's own name of the dimension, in lower case.
        unit: the dimension a refusal names, or a success its charge in, or None.
        limit, used, requested, window_s: what the text of a refusal says of that dimension;
            *requested* also what a success says that it was charged there.
        limit_group: the group of models, or of calls, a refusal names.
        scope: whose limit it is, in the server's words (user, global, shared), or None.
        should_retry: the server's own ``x-should-retry``, or None.
        processing_s: seconds the server says it worked on the call.
        request_id, organization, project, version: as the answer names them; opaque.
        error_type, error_code, message: of the error body; message at most 1 KiB.
        low_confidence: a value came from a malformed or contradictory field.
        slow_down: the overload is one of this caller, whose rate grew too fast.
        wait_grows: the wait is no word of this answer but the least that the vendor tells callers to
            wait, and to be doubled when it was not enough.
        unread: kinds of what it said of limits and could not be used, each a header's name and what
            is wrong with it ("retry-after: not a time"); few, short, and never a value.
    """

    status: int
    reason: Reason = Reason.OK
    retryable: bool | None = None
    retry_after_s: float | None = None
    readings: dict[str, Reading] = attrs.field(factory=dict)
    unit: str | None = None
    limit: float | None = None
    used: float | None = None
    requested: float | None = None
    window_s: float | None = None
    limit_group: str | None = None
    scope: str | None = None
    should_retry: bool | None = None
    processing_s: float | None = None
    request_id: str | None = None
    organization: str | None = None
    project: str | None = None
    version: str | None = None
    error_type: str | None = None
    error_code: str | None = None
    message: str | None = None
    low_confidence: bool = False
    slow_down: bool = False
    wait_grows: bool = False
    unread: tuple[str, ...] = ()
