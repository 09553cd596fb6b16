"""What the error of a call means for its row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratelimit_client import errors
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.outcome import Failed, Pending, Unknown, read_error
from ratelimit_client.bulk.row import Row, read_row
from ratelimit_client.bulk.stops import EXIT_CODES, Why
from ratelimit_client.core.failure import FailureKind
from ratelimit_client.core.signals import Reason, Signals
from tests.jobs import row as row_of


def row() -> Row:
    found = read_row(Line(1, 0, json.dumps(row_of("a")).encode()))
    assert isinstance(found, Row)
    return found


def answer(kind: type[errors.ResponseError], status: int, reason: Reason, **signals: Any) -> errors.ResponseError:
    facts = {"retryable": False} | signals
    return kind(
        "said no",
        status=status,
        reason=reason,
        request_id="req_1",
        body_excerpt='{"error": {}}',
        attempts=2,
        waited_s=1.5,
        signals=Signals(status, reason, **facts),
    )


STOPS = [
    (answer(errors.AuthenticationFailed, 401, Reason.AUTH), Why.FATAL),
    (answer(errors.QuotaExhausted, 429, Reason.QUOTA_EXHAUSTED), Why.FATAL),
    (answer(errors.Throttled, 429, Reason.RATE_LIMITED, retry_after_s=7300.0), Why.LONG_WAIT),
    (errors.ConfigurationError("the key callable failed"), Why.CONFIGURATION),
    (errors.StoreUnavailable("gone"), Why.CONFIGURATION),
    (errors.TransportError("not proved", kind=FailureKind.TLS), Why.CONFIGURATION),
    (errors.TransportError("the proxy said 407", kind=FailureKind.OTHER), Why.CONFIGURATION),
]


@pytest.mark.parametrize(("error", "why"), STOPS)
def test_what_is_not_the_rows_own_stops_the_run(error: errors.RateLimitClientError, why: Why) -> None:
    """
    The row stays to be done.
    """
    meaning = read_error(row(), error, stopping=False)

    assert isinstance(meaning, Pending)
    assert meaning.stop is not None
    assert meaning.stop.why is why
    assert meaning.stop.exit_code == EXIT_CODES[why] != 0


def test_the_wait_is_told_in_hours() -> None:
    """
    7300 s are 2 h 01 min.
    """
    meaning = read_error(row(), STOPS[2][0], stopping=False)

    assert isinstance(meaning, Pending)
    assert meaning.stop is not None
    assert "for 2 h 01 min" in meaning.stop.sentence


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (answer(errors.ResponseError, 400, Reason.CLIENT_ERROR, error_code="invalid_value"), "invalid_value", 400),
        (answer(errors.ResponseError, 422, Reason.CLIENT_ERROR), "client_error", 422),
        (answer(errors.RequestTooLarge, 413, Reason.TOO_LARGE), "too_large", 413),
        (answer(errors.ResponseError, 500, Reason.SERVER_ERROR), "server_error", 500),
        (errors.DeadlineExceeded("late", attempts=1, request_id=None), "deadline_exceeded", None),
        (errors.DeadlineExpiredInQueue("late", waited_s=3.0), "deadline_exceeded", None),
        (errors.DeadlineUnreachable("late", ready_in_s=3.0), "deadline_exceeded", None),
        (errors.CostExceedsQuota("too much", unit="tokens"), "cost_exceeds_quota", None),
        (errors.TransportError("no answer", attempts=5), "no_answer", None),
        (errors.TransportError("no answer", kind=FailureKind.TIMEOUT), "no_answer", None),
        (errors.IncompleteResponse("cut", status=200, attempts=5), "incomplete_response", None),
    ],
)
def test_what_is_the_rows_own_fails_it(error: errors.RateLimitClientError, code: str, status: int | None) -> None:
    """
    With the server's own code where it gave one, and its answer.
    """
    meaning = read_error(row(), error, stopping=False)

    assert isinstance(meaning, Failed)
    assert (meaning.code, meaning.status) == (code, status)
    assert meaning.message == str(error)
    if status is not None:
        assert (meaning.request_id, meaning.content, meaning.attempts) == ("req_1", b'{"error": {}}', 2)


@pytest.mark.parametrize(
    "error",
    [
        errors.Closed("closing"),
        errors.TransportError("no answer"),
        errors.IncompleteResponse("cut", status=200),
        answer(errors.Overloaded, 503, Reason.OVERLOADED, retryable=True),
        answer(errors.Throttled, 429, Reason.RATE_LIMITED, retryable=True),
    ],
)
def test_while_stopping_what_could_be_tried_again_is_no_verdict(error: errors.RateLimitClientError) -> None:
    """
    The row stays to be done, and the reason of the stop stays the first one.
    """
    assert read_error(row(), error, stopping=True) == Pending()


def test_while_stopping_a_verdict_is_still_one() -> None:
    """
    A 400 about the row does not change by running it again.
    """
    error = answer(errors.ResponseError, 400, Reason.CLIENT_ERROR)

    assert isinstance(read_error(row(), error, stopping=True), Failed)


def test_an_unknown_model_may_be_everybodys() -> None:
    """
    Both ends are prepared; the run decides.
    """
    meaning = read_error(row(), answer(errors.ModelNotFound, 404, Reason.MODEL_NOT_FOUND), stopping=False)

    assert isinstance(meaning, Unknown)
    assert meaning.failed.code == "model_not_found"
    assert meaning.stop.why is Why.FATAL
    assert "'gpt-4o-mini' is unknown" in meaning.stop.sentence
