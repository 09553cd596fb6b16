"""Words as text: what is written is read back, and what is not ours says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.adapters.redis import telling, wire
from ratelimit_client.core.fitting import Evidence
from ratelimit_client.core.lease import Renewal
from ratelimit_client.core.lore import MOST_PIECES, MOST_RULES, Lore, Told, mark

PIECE = Evidence((2000, 1600, 0, 0, 400, 4), 400, 1)
LORE = Lore(500, ((mark("m", "/x"), (PIECE, PIECE)), (mark("m", "/y"), (PIECE,))))
TEXT = (
    f"1;500;{mark('m', '/x')}:2000,1600,0,0,400,4,400/2000,1600,0,0,400,4,400;{mark('m', '/y')}:2000,1600,0,0,400,4,400"
)

NUMBERS = st.integers(0, 10**15 - 1)
PIECES = st.builds(lambda terms, charged: Evidence(terms, charged, 1), st.tuples(*[NUMBERS] * 6), NUMBERS)
RULE = st.tuples(
    st.text("0123456789abcdef", min_size=12, max_size=12), st.lists(PIECES, min_size=1, max_size=MOST_PIECES).map(tuple)
)
WORDS = st.builds(lambda rate, rules: Lore(rate, tuple(rules)), NUMBERS, st.lists(RULE, max_size=MOST_RULES))


def test_a_word_is_one_word() -> None:
    """As the docstring of the file says."""
    assert telling.write(LORE) == TEXT
    assert telling.read(TEXT) == LORE
    assert telling.read("1;0") == Lore()


@given(WORDS)
def test_what_is_written_is_read_back(lore: Lore) -> None:
    """Unless it is larger than a word may be."""
    text = telling.write(lore)
    assert " " not in text
    assert telling.read(text) == (lore if len(text) <= telling.MOST_CHARS else None)


@given(st.text(max_size=80) | st.text("0123456789abcdef,/:;-", max_size=200).map(lambda text: "1;" + text))
def test_what_is_not_ours_says_nothing(text: str) -> None:
    """Never an error, and never a number that is none."""
    found = telling.read(text)
    assert found is None or telling.read(telling.write(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "2;500",
        TEXT.replace("1;", "2;", 1),
        TEXT.replace("2000", "-2000"),
        TEXT.replace("2000", "2e3"),
        TEXT.replace("2000", "9" * 16),
        TEXT.replace(",400/", ",400,7/"),
        TEXT.replace(":", "="),
        TEXT + "/" + ",".join("1" * 7) + ("/" + ",".join("1" * 7)) * MOST_PIECES,
        TEXT + ";0123456789ab:1,1,1,1,1,1,1" * MOST_RULES,
        "1;" + "0" * telling.MOST_CHARS,
    ],
)  # fmt: skip
def test_another_version_and_nonsense_are_passed_over(text: str) -> None:
    """By name, so that each of them is tried."""
    assert telling.read(text) is None


def test_a_lease_with_words_that_nobody_knows_is_a_lease() -> None:
    """What can be read is heard, the rest is not, and neither is an error of the store."""
    lease = wire.read("b", f"h 1 2 3 500000\nt 70 {TEXT}\nt 80 2;whatever\nt -5 1;9")
    assert lease.told == (Told(70, LORE), Told(0, Lore(9)))


def test_a_renewal_tells_and_asks() -> None:
    """In lines of their own."""
    assert wire.write(Renewal(budget="b", tells=LORE, asks=True)) == f"r 0 0 0\nt {TEXT}\na"
