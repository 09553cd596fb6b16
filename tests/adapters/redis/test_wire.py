"""Renewals and leases as text."""

from __future__ import annotations

import pytest

from ratelimit_client.adapters.redis.wire import read, write
from ratelimit_client.core.lease import BucketId, Fact, Fill, Grant, Lease, Renewal, Shown, Sight, Wish

ID = BucketId("tokens", "project-tokens", 60_000_000, True)


def test_a_renewal_is_lines_of_words() -> None:
    """As the docstring of the file says."""
    renewal = Renewal(
        budget="b",
        fence=3,
        born_us=5,
        leaves=True,
        facts=(Fact(id=ID, limit=9, capacity=8, level=-7, fill=Fill.SLICE, steps_in_us=6, news=True),),
        wishes=(Wish(unit="tokens", spent=1, keeps=2, wants=3, needs=4, waits_us=5),),
        sights=(Sight(id=ID, remaining=1, sent_us=2, seen_us=3, marks=(-4, 5)),),
    )
    assert write(renewal) == (
        "r 3 5 1\n"
        "f tokens project-tokens 60000000 1 s 9 8 -7 6 1\n"
        "w tokens 1 2 3 4 5\n"
        "s tokens project-tokens 60000000 1 1 2 3 -4 5"
    )


def test_a_lease_is_read_back() -> None:
    """Buckets in an order of their own."""
    text = "h 3 5 2 700000\ng tokens 10 20 1 -30 40\nb tokens z 60000000 0 w 9 9 9\nb tokens a 60000000 0 c 5 6 -7"
    assert read("b", text) == Lease(
        budget="b",
        fence=3,
        born_us=5,
        members=2,
        turn_us=700_000,
        grants=(Grant(unit="tokens", units=10, fair=20, at_once=True, lent=-30, out=40),),
        buckets=(
            Shown(id=BucketId("tokens", "a", 60_000_000), fill=Fill.CONTINUOUS, limit=5, capacity=6, level=-7),
            Shown(id=BucketId("tokens", "z", 60_000_000), fill=Fill.STEPS, limit=9, capacity=9, level=9),
        ),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x 1 2 3 4",
        "h 1 2 3",
        "h 1 2 3 4\nq 1",
        "h 1 2 3 4\ng tokens 1 2",
        "h 1 2 3 4\ng tokens 1 2 1 3 x",
        "h 1 2 3 4\nb tokens a 60 0 ? 1 1 1",
        f"h 1 2 3 {1 << 54}",
        "h 1e3 2 3 4",
    ],
)
def test_what_is_no_lease_is_no_lease(text: str) -> None:
    """A store is not trusted."""
    with pytest.raises(ValueError):
        read("b", text)
