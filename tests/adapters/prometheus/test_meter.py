"""Things that count, and what became of them."""

from __future__ import annotations

import gc

from ratelimit_client.adapters.prometheus.meter import Kept, cumulative
from ratelimit_client.core.counts import Counts


class Owner:
    """Somebody for whom something counts."""


def turns(kept: Kept[Counts]) -> int:
    return sum(counts.turns for counts in kept.all())


def test_what_the_dead_counted_is_in_the_sum():
    """
    A hundred that came and went: every count is there, and few of them are kept.
    """
    kept = Kept(Counts)
    for _ in range(100):
        owner, counts = Owner(), Counts()
        kept.add(owner, counts)
        counts.turns += 1
        del owner
    gc.collect()
    kept.add(kept, Counts())

    assert turns(kept) == 100
    assert len(kept.all()) < 20


def test_who_died_lately_may_still_count():
    """
    A call that ends after its client was forgotten.
    """
    kept = Kept(Counts)
    counts = Counts()
    kept.add(Owner(), counts)
    gc.collect()
    counts.turns += 1

    assert turns(kept) == 1


def test_what_is_added_twice_counts_once():
    """
    And its owner is not kept alive.
    """
    kept, owner, counts = Kept(Counts), Owner(), Counts()
    counts.turns = 5
    kept.add(owner, counts)
    kept.add(owner, counts)

    assert turns(kept) == 5


def test_in_a_forked_child_nothing_has_happened():
    """
    Neither to the living nor to the dead.
    """
    kept, owner, counts = Kept(Counts), Owner(), Counts()
    kept.add(owner, counts)
    counts.turns = 5
    kept.clear()
    counts.turns += 1

    assert turns(kept) == 1


def test_buckets_as_prometheus_wants_them():
    """
    Each holds all before it; whole bounds have a fraction, as OpenMetrics asks.
    """
    assert cumulative((0.05, 1.0), [1, 2, 3]) == [("0.05", 1.0), ("1.0", 3.0), ("+Inf", 6.0)]
