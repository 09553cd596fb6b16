"""What is said to a caller whose call does not go."""

from __future__ import annotations

import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.hints import Hint
from ratelimit_client.core.lines import config_bucket
from ratelimit_client.core.quota import Quota, per_second
from ratelimit_client.core.refusing import asked_to_wait, exceeds
from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.core.ticket import Patience, Ticket
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import DeadlineUnreachable, WouldBlock
from tests.core.driving import Drive, scheduler


def waiting() -> Ticket:
    return Ticket(1, "m", "", 0, Cost(), None, None, 0, Patience(hint_ns=10 * S))


def test_a_wait_of_which_no_answer_is_known_is_told_all_the_same() -> None:
    """What the server said is left out; a wait that was asked for is what 429 means."""
    error = asked_to_wait(waiting(), Hint(60 * S), now_ns=0)

    assert (error.status, error.request_id, error.signals) == (429, None, None)
    assert "asked calls of 'm' to wait: another 60 s, and max_hint_s is 10. It was not sent: " in str(error)


def test_the_answer_that_asked_for_the_wait_is_evidence() -> None:
    """Its status, its request id and itself; nobody tried the call, and it waited since it was queued."""
    ticket, said = waiting(), Signals(503, Reason.RATE_LIMITED, True, request_id="req_7")
    ticket.queued_since_ns = 2 * S
    error = asked_to_wait(ticket, Hint(60 * S, 0, said), now_ns=5 * S)

    assert (error.status, error.reason, error.request_id, error.signals) == (503, "rate_limited", "req_7", said)
    assert (error.attempts, error.waited_s) == (0, 3.0)
    assert "to wait, when it answered 503: another 55 s" in str(error)
    assert str(error).endswith("; request id req_7")


def test_a_deadline_is_held_against_every_bucket_but_a_guess() -> None:
    """A rate that was learnt is skipped, a minute's quota would do; the one over all keys, asked last, would not."""
    drive = Drive(scheduler(per_second(requests=1), shared=[Quota("requests", 2, 600)]), hold=True)
    drive.end(drive.ask(), Signals(429, Reason.RATE_LIMITED, True), Ending.IGNORED)
    drive.to(400)
    drive.ask()
    drive.ask()
    buckets = drive.machine.keys["m"].budget.by_unit["requests"]
    assert [bucket.source for bucket in buckets] == ["config", "learned", "config"]

    with pytest.raises(DeadlineUnreachable, match="2 flow back each 600 s"):
        drive.ask(deadline_ns=drive.now_ns + 60 * S)


def test_a_cost_that_no_wait_helps_is_told_with_both_numbers_and_the_window() -> None:
    """For machines as fields, for people as a sentence."""
    error = exceeds(
        Ticket(1, "m", "", 0, Cost(tokens=900), None, None, 0), config_bucket(Quota("tokens", 500, 60), now_ns=0)
    )

    assert (error.unit, error.cost, error.limit, error.window_s) == ("tokens", 900, 500, 60.0)
    assert str(error) == (
        "needs 900 tokens; the bucket of 'm' holds 500 per 60 s (from config), so no wait would help. "
        "It was not sent: split the request or raise the quota"
    )


def test_who_does_not_want_to_wait_is_told_of_the_bound_by_its_name() -> None:
    """All slots are taken, so nobody knows when one will be free."""
    drive = Drive(scheduler(slots=1), hold=True)
    drive.ask("other")

    with pytest.raises(WouldBlock, match="because of max_in_flight; it is not known when it could; nothing was sent"):
        drive.ask(waits=False)
