from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.fitting import PPM, Coefficients, Evidence, clamp_fit, fits, predict, step

LEAST: Coefficients = (0, 0, 0, 0, PPM // 4, 0)
MOST: Coefficients = (PPM, PPM, 2 * PPM, 64 * PPM, 4 * PPM, 4096 * PPM)
START: Coefficients = (PPM, 0, PPM, PPM, PPM, 8 * PPM)

amounts = st.integers(0, 10**6)
terms = st.tuples(amounts, amounts, amounts, amounts, amounts, st.integers(1, 100))
pieces = st.lists(
    st.builds(Evidence, terms=terms, charged=st.integers(0, 10**9), weight=st.sampled_from([1, 8])), max_size=32
)
between = st.tuples(*(st.integers(low, high) for low, high in zip(LEAST, MOST, strict=True)))


def pieces_of(rule: Coefficients, *rows: Coefficients) -> list[Evidence]:
    """Honest evidence of a rule."""
    return [Evidence(row, predict(rule, row), 1) for row in rows]


ROWS: tuple[Coefficients, ...] = (
    (4000, 3000, 0, 0, 1000, 4),
    (0, 0, 900, 3060, 2000, 4),
    (400, 0, 0, 0, 9000, 4),
    (8000, 7950, 3000, 0, 50, 4),
    (0, 0, 0, 6120, 100, 4),
    (0, 0, 0, 0, 300, 8),
)


def test_the_rule_is_found_from_honest_evidence() -> None:
    """Six terms, six rows, no error: the coefficients come out to a few per cent."""
    rule: Coefficients = (PPM // 2, 0, PPM // 4, 3 * PPM, 2 * PPM, 3 * PPM)
    found = clamp_fit(START, pieces_of(rule, *ROWS, *ROWS), least=LEAST, most=MOST)

    assert all(fits(found, piece) for piece in pieces_of(rule, *ROWS))


def test_one_lie_in_ten_moves_nothing() -> None:
    """The median, not the mean: an absurd charge leaves the rule where it was."""
    rule: Coefficients = (0, 0, 0, PPM, PPM, 4 * PPM)
    honest = pieces_of(rule, *ROWS, *ROWS)
    found = clamp_fit(START, [*honest, Evidence(ROWS[1], 10**6, 1)], least=LEAST, most=MOST)

    assert all(fits(found, piece) for piece in honest)


def test_a_charge_of_one_outvotes_nobody() -> None:
    """However little its text is: what was charged is held against what was expected as well."""
    rule: Coefficients = (0, 0, 0, PPM, PPM, 3000 * PPM)
    honest = pieces_of(rule, *ROWS)
    found = clamp_fit(rule, [*honest, *honest, Evidence(ROWS[5], 4, 1)], least=LEAST, most=MOST)

    assert all(fits(found, piece) for piece in honest)


def test_weight_counts_like_so_many_pieces() -> None:
    """One number the server stated outweighs five that say something else."""
    row: Coefficients = (0, 0, 0, 0, 1000, 4)
    charges = {}
    for weight in (1, 8):
        found = START
        for _ in range(20):  # each lesson goes on from the last
            evidence = [Evidence(row, 3000, 1)] * 5 + [Evidence(row, 1000, weight)]
            found = clamp_fit(found, evidence, least=LEAST, most=MOST)
        charges[weight] = predict(found, row)

    assert abs(charges[1] - 3000) < 60
    assert abs(charges[8] - 1000) < 60


def test_a_term_nothing_speaks_of_stays() -> None:
    """Rows without max_output, tools and pictures say nothing about their coefficients."""
    evidence = pieces_of((0, 0, 0, 0, 2 * PPM, 0), (0, 0, 0, 0, 1000, 4), (0, 0, 0, 0, 5000, 4))
    found = clamp_fit(START, evidence, least=LEAST, most=MOST)

    assert found[:4] == START[:4]


def test_a_term_charged_next_to_nothing_is_not_charged() -> None:
    """Below a fiftieth a coefficient is noise and becomes 0."""
    found = clamp_fit(START, pieces_of((PPM // 100, 0, 0, PPM, PPM, 0), *ROWS), least=LEAST, most=MOST)

    assert found[0] == 0


@given(pieces, between)
def test_coefficients_stay_in_their_bounds(evidence: list[Evidence], start: Coefficients) -> None:
    """Whatever the evidence says."""
    found = clamp_fit(start, evidence, least=LEAST, most=MOST)

    assert all(low <= value <= high for low, value, high in zip(LEAST, found, MOST, strict=True))


@given(between, between, st.lists(st.builds(Evidence, terms=terms, charged=st.just(0), weight=st.just(1)), max_size=8))
def test_a_step_is_bounded_for_every_piece(now: Coefficients, aim: Coefficients, evidence: list[Evidence]) -> None:
    """No price grows by more than half or falls by more than a third, give or take a rounded unit."""
    after = step(now, aim, evidence)
    for piece in evidence:
        old, new = predict(now, piece.terms), predict(after, piece.terms)
        slack = 2 + sum(piece.terms) // PPM + abs(predict(aim, piece.terms) - old) // PPM
        assert old - old // 3 - slack <= new <= old + max(old, piece.terms[-1]) // 2 + slack


@given(between, between, terms)
def test_steps_arrive(now: Coefficients, aim: Coefficients, of: Coefficients) -> None:
    """However far the aim is, walking gets there."""
    evidence = [Evidence(of, 0, 1)]
    for _ in range(200):
        now = step(now, aim, evidence)
        if now == aim:
            return
    raise AssertionError(f"still at {now} on the way to {aim}")


def test_what_fits() -> None:
    """Within a fiftieth and a unit for each call."""
    rule: Coefficients = (0, 0, 0, 0, PPM, 0)

    assert fits(rule, Evidence((0, 0, 0, 0, 1000, 4), 1024, 1))
    assert not fits(rule, Evidence((0, 0, 0, 0, 1000, 4), 1030, 1))
