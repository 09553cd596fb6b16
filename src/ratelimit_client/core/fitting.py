"""
Six coefficients from a handful of sums, some of which lie.

Law of this file: integers in, integers out, inside the bounds; the same
evidence gives the same coefficients.

Theory. What is sought has the least sum of *relative* errors, so that a short
call counts like a long one, and of their absolute values, not their squares: the
median of the evidence, which one absurd number in 32 does not move, neither one
that is far too large nor one that is far too small. It is found
by least squares in which each piece weighs the inverse of its last error, done
over and over; each time, the coefficients are improved one after the other and
held inside their bounds, which for a sum of squares leads to the minimum.

Terms that always come together (all calls of one size) cannot be told apart.
Then the earlier coefficient takes the change and the others stay; for calls like
those seen the price is the same. One goes before all: what a call costs beside its
text is a guess at the start and rather too much, so where that alone explains a
price that was too high it is laid to that, and not to the text, by which calls a
hundred times as large are priced.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

PPM = 1_000_000

Coefficients = tuple[int, int, int, int, int, int]
"""In millionths."""

_TERMS = 6
_CALLS = 5  # the place of the calls among them
# Few, because each lesson goes on from the last one's result.
_ROUNDS = 3
_SWEEPS = 24
_WEIGHT_SCALE = 1 << 40
_SMALL = 64  # below it (16 units) an error counts as an absolute one
_EXACT = 32  # an error below a 32nd weighs like one of a 32nd, or the first perfect piece would never let go
_NEGLIGIBLE = PPM // 50  # a term charged at less than a fiftieth is noise


@attrs.frozen
class Evidence:
    """
    What some calls were charged together.

    Args:
        terms: what each coefficient is multiplied with; the last two are the text
            and the calls.
        charged: what came of it, in the unit of the terms.
        weight: as many times as an ordinary piece.
    """

    terms: Coefficients
    charged: int
    weight: int


def predict(coefficients: Coefficients, terms: Coefficients) -> int:
    """What the coefficients make of the terms."""
    c0, c1, c2, c3, c4, c5 = coefficients
    t0, t1, t2, t3, t4, t5 = terms
    return (c0 * t0 + c1 * t1 + c2 * t2 + c3 * t3 + c4 * t4 + c5 * t5) // PPM


def fits(coefficients: Coefficients, evidence: Evidence) -> bool:
    """Within a fiftieth, and a unit for each call (the last term) for the server's rounding."""
    error = abs(evidence.charged - predict(coefficients, evidence.terms))
    return error <= evidence.charged // 50 + evidence.terms[-1]


def clamp_fit(
    start: Coefficients, pieces: Sequence[Evidence], *, least: Coefficients, most: Coefficients
) -> Coefficients:
    """The coefficients between *least* and *most* that explain the pieces best, sought from *start*."""
    best = start
    for _ in range(_ROUNDS):
        squares, products = _sums(best, pieces)
        best = _minimum(best, squares, products, least, most)
    b0, b1, b2, b3, b4, b5 = (
        max(value if value >= _NEGLIGIBLE else 0, low) for value, low in zip(best, least, strict=True)
    )
    return b0, b1, b2, b3, b4, b5


def step(now: Coefficients, aim: Coefficients, pieces: Sequence[Evidence]) -> Coefficients:
    """
    From *now* towards *aim*, as far as no piece's price grows by more than half or falls by more than a third.

    All coefficients move together by one share of their way: one of them may be
    there to make up for what another loses.
    """
    share = PPM
    for piece in pieces:
        before, after = predict(now, piece.terms), predict(aim, piece.terms)
        allowed = max(before, piece.terms[-1]) // 2 if after > before else before // 3
        allowed = max(1, allowed)  # what rounding does is no change
        change = abs(after - before)
        if change > allowed:
            share = min(share, max(1, allowed * PPM // change))
    if share == PPM:
        return aim
    n0, n1, n2, n3, n4, n5 = (_part_of_the_way(n, a, share) for n, a in zip(now, aim, strict=True))
    return n0, n1, n2, n3, n4, n5


def _part_of_the_way(start: int, end: int, share: int) -> int:
    """A share of the way, rounded forward, so that walking always arrives."""
    way = (end - start) * share
    return start - (-way // PPM) if way > 0 else start + way // PPM


def _sums(at: Coefficients, pieces: Sequence[Evidence]) -> tuple[list[list[int]], list[int]]:
    """The weighted normal equations: sums of term x term, and of term x charge."""
    squares = [[0] * _TERMS for _ in range(_TERMS)]
    products = [0] * _TERMS
    for piece in pieces:
        expected = predict(at, piece.terms)
        # Held against what is expected, too: or "charged 1" would outvote all that say otherwise.
        size = max(piece.charged, expected, piece.terms[-2] + piece.terms[-1]) + _SMALL
        error = max(abs(piece.charged - expected), size // _EXACT)
        weight = piece.weight * _WEIGHT_SCALE // (size * error)
        for row, term in enumerate(piece.terms):
            if term:
                weighted = weight * term
                products[row] += weighted * piece.charged
                for column, other in enumerate(piece.terms):
                    squares[row][column] += weighted * other
    return squares, products


def _minimum(
    start: Coefficients, squares: list[list[int]], products: list[int], least: Coefficients, most: Coefficients
) -> Coefficients:
    """Where the weighted sum of squares is least inside the bounds, one coefficient at a time."""
    values = list(start)

    def best(row: int) -> int:
        """Of one coefficient, while the others stay."""
        line = squares[row]
        if not line[row]:
            return values[row]  # no evidence speaks of it
        others = sum(line[column] * values[column] for column in range(_TERMS) if column != row)
        return (PPM * products[row] - others) // line[row]

    if least[_CALLS] < (each_call := best(_CALLS)) < start[_CALLS]:
        values[_CALLS] = each_call
    for _ in range(_SWEEPS):
        before = values.copy()
        for row in range(_TERMS):
            values[row] = min(max(best(row), least[row]), most[row])
        if values == before:
            break
    v0, v1, v2, v3, v4, v5 = values
    return v0, v1, v2, v3, v4, v5
