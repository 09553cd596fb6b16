"""
A renewal and a lease as text, the way the script of the store reads and writes them.

Law of this file: a line is a letter and words between blanks; numbers are whole, names hold
no blank. What comes back is not trusted: a line that is none is a ``ValueError``, and the
store counts as failed.

    r FENCE BORN LEAVES                                      a renewal, then its facts, wishes and sights
    f UNIT NAME WINDOW SLICE FILL LIMIT CAPACITY LEVEL STEPS NEWS
    w UNIT SPENT KEEPS WANTS NEEDS WAITS
    s UNIT NAME WINDOW SLICE REMAINING SENT SEEN LENT OUT
    t WORD                                                   what it tells, see telling.py
    a                                                          it asks what others told

    h FENCE BORN MEMBERS TURN                                  a lease, then its grants and buckets
    g UNIT UNITS FAIR AT_ONCE LENT OUT
    b UNIT NAME WINDOW SLICE FILL LIMIT CAPACITY LEVEL
    t AGE WORD
"""

from __future__ import annotations

from collections.abc import Iterator

from ...core.lease import BucketId, Fill, Grant, Lease, Renewal, Shown
from ...core.lore import Told
from . import telling

_MOST = 1 << 53


def write(renewal: Renewal) -> str:
    """What the script reads."""
    return "\n".join(_lines(renewal))


def _lines(renewal: Renewal) -> Iterator[str]:
    yield f"r {renewal.fence} {renewal.born_us} {renewal.leaves:d}"
    for fact in renewal.facts:
        yield (
            f"f {_id(fact.id)} {fact.fill.value} {fact.limit} {fact.capacity} {fact.level} "
            f"{fact.steps_in_us} {fact.news:d}"
        )
    for wish in renewal.wishes:
        yield f"w {wish.unit} {wish.spent} {wish.keeps} {wish.wants} {wish.needs} {wish.waits_us}"
    for sight in renewal.sights:
        lent, out = sight.marks
        yield f"s {_id(sight.id)} {sight.remaining} {sight.sent_us} {sight.seen_us} {lent} {out}"
    if renewal.tells is not None:
        yield f"t {telling.write(renewal.tells)}"
    if renewal.asks:
        yield "a"


def _id(id_: BucketId) -> str:
    return f"{id_.unit} {id_.name} {id_.window_us} {id_.slice:d}"


def read(budget: str, text: str) -> Lease:
    """
    What the script wrote for this budget.

    Raises:
        ValueError: it wrote something else.
    """
    head, *lines = text.split("\n")
    letter, fence, born_us, members, turn_us = head.split(" ")
    if letter != "h":
        raise ValueError("a lease begins with its head")
    grants, shown, told = [], [], []
    for line in lines:
        kind, *words = line.split(" ")
        if kind == "g":
            unit, units, fair, at_once, lent, out = words
            numbers = {"units": _whole(units), "fair": _whole(fair), "lent": _whole(lent), "out": _whole(out)}
            grants.append(Grant(unit=unit, at_once=at_once == "1", **numbers))
        elif kind == "b":
            unit, name, window_us, part, fill, limit, capacity, level = words
            id_ = BucketId(unit, name, _whole(window_us), part == "1")
            amounts = {"limit": _whole(limit), "capacity": _whole(capacity), "level": _whole(level)}
            shown.append(Shown(id=id_, fill=Fill(fill), **amounts))
        elif kind == "t":
            age_us, word = words
            if (lore := telling.read(word)) is not None:
                told.append(Told(max(0, _whole(age_us)), lore))
        else:
            raise ValueError("a line of a lease is a grant, a bucket or what somebody told")
    return Lease(
        budget=budget,
        fence=_whole(fence),
        born_us=_whole(born_us),
        members=_whole(members),
        turn_us=_whole(turn_us),
        grants=tuple(grants),
        buckets=tuple(sorted(shown, key=lambda each: each.id)),
        told=tuple(told),
    )


def _whole(word: str) -> int:
    number = int(word)
    if abs(number) > _MOST:
        raise ValueError("a number of a lease is no larger than 2^53")
    return number
