"""
What a process and a store of budgets say to each other.

Law of this file: a renewal tells where the process stands, never what changed, and every
number is whole: units, or microseconds. So a renewal that is executed twice does what it
does once, and one that is lost is made good by the next.

Theory. A *lease* is capacity borrowed until an instant. What a process holds of it is
written down in two places: in the store when the process last spoke, and in the process,
which spends on. A renewal says how much was ever spent and how much is kept; what the
store had written down beyond both was given up, or never arrived. The answer is how much
comes on top.

The numbers of a store may be floats of 53 bits, so amounts above ``MOST_UNITS`` and
windows above ``LONGEST_US`` are not shared.
"""

from __future__ import annotations

from enum import Enum

import attrs

from .lore import Lore, Told
from .units import NS

US = NS // 1_000_000
"""Nanoseconds in a microsecond."""

TURN_US = 1_000_000
"""Each member renews about so often."""

MOST_UNITS = 1 << 40
LONGEST_US = 1 << 42


class Fill(Enum):
    """How a shared bucket fills: all the time, in steps, or as a slice of another that was learnt."""

    CONTINUOUS = "c"
    STEPS = "w"
    SLICE = "s"


@attrs.frozen(order=True)
class BucketId:
    """
    Which bucket of a budget.

    Args:
        unit: what a call pays in it.
        name: what the server calls it.
        window_us: its window.
        slice: it is the learnt slice of the bucket that is otherwise called so.
    """

    unit: str
    name: str
    window_us: int
    slice: bool = False


@attrs.frozen(kw_only=True)
class Fact:
    """
    A limit, as one process knows it.

    Args:
        limit: units that flow in within one window.
        capacity: units of a full one; 0: there is no such slice any more.
        level: units believed to be there; counts where nobody has told of this bucket before.
        fill: how it fills.
        steps_in_us: until it steps; 0: not known.
        news: it changed since this process last told; else it only counts where nobody has told of it.
    """

    id: BucketId
    limit: int
    capacity: int
    level: int
    fill: Fill = Fill.CONTINUOUS
    steps_in_us: int = 0
    news: bool = False


@attrs.frozen(kw_only=True)
class Sight:
    """
    What a server said it had left.

    Args:
        remaining: units.
        sent_us: how long ago the call was sent whose answer said so.
        seen_us: how long ago the server looked, at the least.
        marks: units that the budget had ever lent, and of these the units then out, when the process last
            heard of both before it sent the call.
    """

    id: BucketId
    remaining: int
    sent_us: int
    seen_us: int
    marks: tuple[int, int]


@attrs.frozen(kw_only=True)
class Wish:
    """
    One unit of a budget, as a process stands with it.

    Args:
        spent: units ever spent, whether leased or not.
        keeps: units of its lease that it still holds and does not give up.
        wants: units it would like to hold.
        needs: units that its next call takes and it does not hold; 0: none waits.
        waits_us: how long that call has waited.
    """

    unit: str
    spent: int
    keeps: int = 0
    wants: int = 0
    needs: int = 0
    waits_us: int = 0


@attrs.frozen(kw_only=True)
class Renewal:
    """
    One budget, as a process stands with it.

    Args:
        budget: its name, the same in all processes that share it; shows no key.
        fence: the number of its membership; 0: it is no member yet.
        born_us: of the budget as it knows it; 0: it has never heard of it.
        leaves: it wants nothing more, for now or for good.
        tells: what it learnt of how the server charges, for those that come later.
        asks: it is one of these.
    """

    budget: str
    fence: int = 0
    born_us: int = 0
    leaves: bool = False
    facts: tuple[Fact, ...] = ()
    wishes: tuple[Wish, ...] = ()
    sights: tuple[Sight, ...] = ()
    tells: Lore | None = None
    asks: bool = False


@attrs.frozen(kw_only=True)
class Grant:
    """
    One unit of a lease.

    Args:
        units: what comes on top of what was kept.
        fair: units that a process may hold, as things are; more is to be given up at the next renewal.
        at_once: there is plenty; else what was granted is to be spent evenly until the next renewal.
        lent, out: units that the budget has ever lent, and of these the units now out.
    """

    unit: str
    units: int
    fair: int
    at_once: bool
    lent: int
    out: int


@attrs.frozen(kw_only=True)
class Shown:
    """A bucket of a budget, as the store has it."""

    id: BucketId
    fill: Fill
    limit: int
    capacity: int
    level: int


@attrs.frozen(kw_only=True)
class Lease:
    """
    What a process may spend of one budget.

    Args:
        fence: of its membership. Another than was told: what was held under that is void.
        members: processes that hold a lease, this one with them.
        turn_us: until its turn to renew, if it keeps to the turns. They are evenly apart.
        told: what others told, if it asked.
    """

    budget: str
    fence: int
    born_us: int
    members: int
    turn_us: int
    grants: tuple[Grant, ...] = ()
    buckets: tuple[Shown, ...] = ()
    told: tuple[Told, ...] = ()


@attrs.frozen(kw_only=True)
class Call:
    """
    One trip to the store.

    Args:
        process: a name that no other process has.
        number: of this call; one that is not above the last is executed no second time.
        ttl_us: how long leases last.
    """

    process: str
    number: int
    ttl_us: int
    renewals: tuple[Renewal, ...]
