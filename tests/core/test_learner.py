"""A rate for servers that say nothing but no."""

from __future__ import annotations

import pytest

from ratelimit_client.core.learner import RateLearner
from ratelimit_client.core.units import NS as S


def rate(learner: RateLearner) -> float:
    """Calls a second."""
    assert learner.bucket is not None
    return learner.bucket.limit / 1000


def sends(learner: RateLearner, calls: int, per_s: float, *, from_s: float = 0.0) -> int:
    """So many calls, evenly; the instant of the last in nanoseconds."""
    at_ns = 0
    for number in range(calls):
        at_ns = round((from_s + number / per_s) * S)
        learner.granted(now_ns=at_ns)
    return at_ns


def test_the_first_refusal_halves_what_was_let_out_since_the_start() -> None:
    """The burst is in that number, so half of it is a guess."""
    learner = RateLearner()
    last_ns = sends(learner, 101, 100)

    assert learner.refused(last_ns, now_ns=last_ns + S // 50)
    assert rate(learner) == 50


def test_a_refusal_of_a_call_sent_before_the_cut_teaches_nothing_new() -> None:
    """One cut per epoch."""
    learner = RateLearner()
    last_ns = sends(learner, 101, 100)
    learner.refused(last_ns, now_ns=last_ns + S // 50)

    assert not learner.refused(last_ns, now_ns=last_ns + S // 25)
    assert rate(learner) == 50


def test_what_was_let_out_between_two_refusals_is_the_rate() -> None:
    """The bucket was empty at both, so what came out is what flowed in; five per cent less is asked for."""
    learner = RateLearner()
    learner.refused(sends(learner, 101, 100), now_ns=S)
    last_ns = sends(learner, 41, 20, from_s=1.05)

    assert learner.refused(last_ns, now_ns=last_ns + S // 50)
    assert rate(learner) == pytest.approx(40 / (last_ns / S - 1) * 0.95, abs=0.002)


def test_while_nothing_is_admitted_the_key_pauses_twice_as_long_each_time() -> None:
    """The rate stands for a while, and is halved when that goes on."""
    learner = RateLearner()
    learner.refused(sends(learner, 101, 100), now_ns=S)
    pauses, rates, now_ns = [], [], S
    for _ in range(7):
        now_ns = learner.resumes_ns + 1
        learner.granted(now_ns=now_ns)
        learner.refused(now_ns, now_ns=now_ns + 1)
        pauses.append((learner.resumes_ns - now_ns) * 10 // S)
        rates.append(rate(learner))

    assert pauses == [2, 4, 8, 16, 32, 64, 128]
    assert rates == [50, 50, 50, 50, 25, 12.5, 6.25]


def test_only_admissions_earn_growth() -> None:
    """Half as much again a second while nothing was measured."""
    learner = RateLearner()
    learner.refused(sends(learner, 101, 100), now_ns=S)
    learner.admitted(S // 2, now_ns=2 * S)
    assert rate(learner) == 50, "it was sent before the cut"

    learner.admitted(S + 1, now_ns=2 * S)
    assert rate(learner) == 75


def test_the_memory_of_grants_is_bounded() -> None:
    """Ten thousand calls without a refusal are counted and not kept one by one."""
    learner = RateLearner()
    last_ns = sends(learner, 10_001, 1000)

    assert learner.refused(last_ns, now_ns=last_ns + 1)
    assert rate(learner) == 500
