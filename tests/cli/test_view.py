"""A run at a glance."""

from __future__ import annotations

from collections import Counter

import pytest

from ratelimit_client.cli.activity import State, Tone
from ratelimit_client.cli.view import Past, time_left_s

GOING = State("")
WAITING = State("", Tone.WAITING)
AWAY = State("", Tone.TROUBLE, goes_on=False)


@pytest.mark.parametrize(
    ("left", "rate", "by_limit_s", "seconds", "state", "eta_s"),
    [
        (0, 0.0, None, 0.0, AWAY, 0.0),
        (None, 5.0, 60.0, 60.0, GOING, None),
        (100, 5.0, 60.0, 60.0, GOING, 60.0),
        (100, 1.0, 60.0, 60.0, GOING, 100.0),
        (100, 5.0, None, 60.0, GOING, 20.0),
        (100, 5.0, 0.0, 60.0, GOING, 20.0),
        (100, 0.1, 60.0, 2.0, GOING, 60.0),
        (100, 5.0, None, 2.0, GOING, None),
        (100, 0.0, None, 60.0, GOING, None),
        (100, 0.1, 60.0, 60.0, WAITING, 60.0),
        (100, 5.0, 60.0, 60.0, AWAY, None),
    ],
)
def test_the_time_left_is_the_longer_of_limit_and_server(
    left: int | None, rate: float, by_limit_s: float | None, seconds: float, state: State, eta_s: float | None
) -> None:
    """
    In the first seconds and while it waits the pace says nothing; while the server is away nobody knows.
    """
    assert time_left_s(left, rate, by_limit_s, seconds, state) == eta_s


def test_the_pace_is_that_of_the_last_minute() -> None:
    """
    An outage of an hour is forgotten a minute after it.
    """
    past = Past()
    ledger = [
        (0.0, 0, 0.0),
        (0.5, 5, 10.0),
        (10.0, 100, 10.0),
        (60.0, 600, 10.0),
        (3600.0, 600, 0.0),
        (3630.0, 600, 0.0),
        (3660.0, 600, 0.0),
        (3690.0, 900, 5.0),
        (3720.0, 1200, 10.0),
    ]
    for now_s, ended, rate in ledger:
        assert past.see(ended=ended, retries=Counter(), now_s=now_s).rate == pytest.approx(rate), now_s


def test_retries_are_those_of_the_last_minute_and_of_all_time() -> None:
    """
    What a limit refused is not among the latter.
    """
    past = Past()
    first = past.see(ended=0, retries=Counter(server_error=3, rate_limited=7), now_s=30.0)
    past.see(ended=0, retries=Counter(server_error=3, rate_limited=7), now_s=60.0)
    later = past.see(ended=0, retries=Counter(server_error=5, rate_limited=7), now_s=95.0)

    assert (first.retries, first.retried) == (Counter(server_error=3, rate_limited=7), 3)
    assert (later.retries, later.retried) == (Counter(server_error=2), 5)
