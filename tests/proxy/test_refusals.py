"""What a proxy says itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratelimit_client import errors
from ratelimit_client.core.failure import FailureKind
from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.proxy.refusals import DRAINING, Refusal, refusal_of

WAITS = Signals(status=429, reason=Reason.RATE_LIMITED, retry_after_s=600.2)
TOLD: dict[str, tuple[errors.RateLimitClientError, Any]] = {
    "queue_full": (errors.QueueFull("full", max_queue=1), (503, "2", "true")),
    "draining": (errors.Closed("closed"), (503, "5", "true")),
    "deadline_unreachable": (errors.DeadlineUnreachable("far", ready_in_s=12.1), (429, "13", "false")),
    "deadline_passed": (errors.DeadlineExpiredInQueue("late", waited_s=1.5), (504, None, "false")),
    "cost_exceeds_quota": (errors.CostExceedsQuota("large", unit="tokens"), (413, None, "false")),
    "rate_limit_exceeded": (
        errors.Throttled("asked", status=429, reason="rate_limited", attempts=0, signals=WAITS),
        (429, "601", "false"),
    ),
    "upstream_unreachable": (
        errors.TransportError("gone", unsent=True, kind=FailureKind.TIMEOUT),
        (502, None, "false"),
    ),
    "upstream_failed": (errors.TransportError("cut", kind=FailureKind.CONNECTION), (502, None, "false")),
    "upstream_timeout": (errors.TransportError("silent", kind=FailureKind.TIMEOUT), (504, None, "false")),
    "upstream_incomplete": (errors.IncompleteResponse("half", status=200), (502, None, "false")),
    "not_configured": (errors.ConfigurationError("no key"), (502, None, "false")),
    "proxy_failed": (errors.WrongLoop("bug"), (500, None, "false")),
}


@pytest.mark.parametrize("code", TOLD)
def test_every_error_has_an_answer(code: str):
    """
    A status, a code, whether to come again and when.
    """
    error, (status, after, again) = TOLD[code]

    told = refusal_of(error, deadline_s=2.0, next_in_s=1.2)

    headers = dict(told.headers)
    assert (told.code, told.status) == (code, status)
    assert (headers.get("Retry-After"), headers.get("x-should-retry")) == (after, again)


def test_a_wait_that_no_deadline_ended_was_for_a_server_that_is_gone():
    """
    Then it is no matter of a deadline, and worth coming again.
    """
    told = refusal_of(errors.DeadlineExpiredInQueue("outage", waited_s=60.0), deadline_s=None, next_in_s=None)

    assert (told.status, told.code, dict(told.headers)["Retry-After"]) == (503, "upstream_outage", "30")
    assert told.queue_s == 60.0


def test_no_error_of_the_library_is_without_an_answer():
    """
    Whatever kind is added.
    """
    kinds = [
        one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.RateLimitClientError)
    ]

    assert len(kinds) > 20
    for kind in kinds:
        error = kind("text", status=429, ready_in_s=1.0)
        assert 400 <= refusal_of(error, deadline_s=1.0, next_in_s=None).status < 600


def test_a_sentence_stays_on_its_line():
    """
    Printable, of a length, and JSON whatever is in it.
    """
    message = json.loads(Refusal(400, "x", 'a\r\nb\x00\x1b[31m"' + "c" * 1000).body)["error"]["message"]

    assert message.startswith('a b??[31m"ccc')
    assert len(message) == 600
    assert json.loads(DRAINING.body)["error"]["param"] is None
