from __future__ import annotations

import math
from typing import Any

import pytest

from ratelimit_client.core.backoff import Backoff
from ratelimit_client.core.retry import RetryPolicy
from ratelimit_client.errors import ConfigurationError


def test_the_policy_of_the_contract() -> None:
    """The numbers a user may rely on."""
    policy = RetryPolicy()

    assert (policy.max_attempts, policy.backoff, policy.budget) == (5, Backoff(base_s=0.5, cap_s=30), 0.2)
    assert (policy.max_refusals, policy.max_hint_s, policy.max_outage_s) == (50, 120, 60)
    assert (policy.retry_on, policy.stop, policy.wait) == (None, None, None)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"max_attempts": 0}, "max_attempts is at least 1, such as 5; got 0"),
        ({"budget": 1.1}, "budget is from 0 to 1, such as 0.2, a fifth of the calls; got 1.1"),
        ({"budget": math.nan}, "got nan"),
        ({"max_refusals": -1}, "max_refusals is at least 0, such as 50, or None for no bound"),
        ({"max_hint_s": -1}, "max_hint_s is at least 0"),
        ({"max_outage_s": -1}, "max_outage_s is at least 0"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(fields: dict[str, Any], complaint: str) -> None:
    """The message names the field, the bound, an example and the number."""
    with pytest.raises(ConfigurationError, match=complaint):
        RetryPolicy(**fields)


def test_the_policy_of_one_attempt() -> None:
    """Nothing is outlived: no failure, no refusal, no outage, and nothing is drawn from the budget."""
    policy = RetryPolicy.none()

    assert (policy.max_attempts, policy.budget, policy.max_refusals, policy.max_outage_s) == (1, 0, 0, 0)
