"""The live block as lines of text."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.cli.activity import Tone
from ratelimit_client.cli.block import block, text_of
from ratelimit_client.cli.cells import cells
from ratelimit_client.cli.view import View

TUNED = "ft:gpt-4o-mini-2024-07-18:acme-corp:customer-support:AbCdEfGh"
SMALL = View(
    total=339,
    done=290,
    failed=0,
    in_flight=1,
    queued=48,
    rate=37.04,
    refused=0,
    limit="150 requests/minute",
    model="gpt-4o-mini-2024-07-18",
    models=3,
    share=0.994,
    eta_s=16.2,
    seconds=7.8,
    state="at the limit's pace",
)
LARGE = View(
    total=1_000_000,
    done=998_213,
    failed=12_345,
    in_flight=2_000,
    queued=512,
    rate=1234.5,
    refused=123_456,
    retried=12_345,
    limit="30 000 000 tokens/minute",
    model=TUNED,
    models=12,
    share=0.987,
    eta_s=18_305.0,
    seconds=86_399.0,
    state="trying again: 123 server errors, 4 lost connections in the last minute",
    tone=Tone.TROUBLE,
)


def drawn(view: View, width: int = 80, height: int = 24, *, ascii_only: bool = False) -> list[str]:
    return [text_of(line) for line in block(view, width, height, ascii_only=ascii_only)]


def test_a_small_job() -> None:
    """
    How far, how long, which limit binds, how much of it is used, what it is doing.
    """
    assert drawn(SMALL) == [
        "rows   ━━━━━━━━━━━━━━━━━━━┄┄┄┄  290 of 339   85%  0 failed",
        "time   8 s so far         about 16 s left        37.0 rows/s",
        "limit  ━━━━━━━━━━━━━━━━━━━━━━┄   99% of 150 requests/minute used",
        "model  gpt-4o-mini-2024-07-18, the slowest of 3 models",
        "calls  1 in flight        48 queued              0 refused       0 retried",
        "now    at the limit's pace",
    ]


def test_a_large_job_fits_eighty_columns() -> None:
    """
    A million rows, thirty million tokens a minute, twelve models with long names.
    """
    assert drawn(LARGE) == [
        "rows   ━━━━━━━━━━━━━━━━━━━━━━┄    998 213 of 1 000 000   99%  12 345 failed",
        "time   23 h 59 min so far about 5 h 05 min left  1 234 rows/s",
        "limit  ━━━━━━━━━━━━━━━━━━━━━━┄   99% of 30 000 000 tokens/minute used",
        "model  ft:gpt-4o-mini-2024-07-…tomer-support:AbCdEfGh, the slowest of 12 models",
        "calls  2 000 in flight    512 queued             123 456 refused 12 345 retried",
        "now    trying again: 123 server errors, 4 lost connections in the last minute",
    ]


def test_a_wide_terminal_shows_the_whole_name_and_no_wider_bars() -> None:
    """
    So that hardly a line is broken when it is made narrow.
    """
    wide = drawn(LARGE, 200)

    assert wide[3] == f"model  {TUNED}, the slowest of 12 models"
    assert [line for number, line in enumerate(wide) if number != 3] == [
        line for number, line in enumerate(drawn(LARGE)) if number != 3
    ]


def test_a_narrow_terminal_has_no_bars() -> None:
    """
    Numbers matter more.
    """
    assert drawn(SMALL, 56) == [
        "rows   290 of 339   85%  0 failed",
        "time   8 s so far, about 16 s left, 37.0 rows/s",
        "limit   99% of 150 requests/minute used",
        "model  gpt-4o-mini-2024-07-18, the slowest of 3 models",
        "calls  1 in flight, 48 queued, 0 refused, 0 retried",
        "now    at the limit's pace",
    ]


def test_a_low_terminal_has_the_two_lines_that_matter() -> None:
    """
    How far, and what it is doing.
    """
    assert [line.split()[0] for line in drawn(SMALL, height=6)] == ["rows", "now"]


def test_what_nobody_knows_leaves_its_place_empty() -> None:
    """
    A pipe has no total, a job that just began no limit and no time.
    """
    unknown = attrs.evolve(
        SMALL, total=None, done=0, rate=0.0, limit=None, share=None, model=None, models=1, eta_s=None
    )

    assert drawn(unknown) == [
        "rows   0 done  0 failed",
        "time   8 s so far                                0.0 rows/s",
        "limit  none known yet",
        "calls  1 in flight        48 queued              0 refused       0 retried",
        "now    at the limit's pace",
    ]
    assert drawn(attrs.evolve(unknown, rate=1.0))[2] == "limit  none known: the server shows none"
    assert drawn(attrs.evolve(unknown, models=2))[3] == "model  2 models"


def test_a_limit_that_does_not_bind_slows_nobody() -> None:
    """
    Its model is one of several.
    """
    assert drawn(attrs.evolve(SMALL, binds=False))[3] == "model  gpt-4o-mini-2024-07-18, 1 of 3 models"


def test_all_but_one_is_not_all() -> None:
    """
    100% is said at the end.
    """
    assert "  99%" in drawn(attrs.evolve(SMALL, total=1000, done=999))[0]
    assert " 100%" in drawn(attrs.evolve(SMALL, total=1000, done=1000))[0]


def test_a_terminal_without_such_characters_gets_others() -> None:
    """
    ASCII, where the encoding has nothing else.
    """
    lines = drawn(LARGE, ascii_only=True)

    assert lines[0] == "rows   ######################-    998 213 of 1 000 000   99%  12 345 failed"
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize(("tone", "style"), [(Tone.WELL, ""), (Tone.WAITING, "bold"), (Tone.TROUBLE, "bold red")])
def test_trouble_catches_the_eye(tone: Tone, style: str) -> None:
    """
    In words and in style.
    """
    *_, now = block(attrs.evolve(SMALL, tone=tone), 80)

    assert now[-1] == ("at the limit's pace", style)


def test_failed_rows_catch_the_eye() -> None:
    """
    As soon as there is one.
    """
    styles = [block(attrs.evolve(SMALL, failed=failed), 80)[0][-1] for failed in (0, 1)]

    assert styles == [("  0 failed", ""), ("  1 failed", "bold red")]


def test_columns_stand_still() -> None:
    """
    Whatever grows, what stands beside it stays where it is.
    """
    later = attrs.evolve(SMALL, in_flight=12_345, queued=99_999, seconds=3_700.0, eta_s=7_205.0, done=9)

    for number, words in ((1, "rows/min"), (4, "refused"), (0, "of 339")):
        before, after = (drawn(attrs.evolve(view, rate=0.5))[number].index(words) for view in (SMALL, later))
        assert before == after


@given(
    st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=90),
    st.integers(20, 250),
    st.booleans(),
)
def test_no_line_is_wider_than_the_terminal(name: str, width: int, large: bool) -> None:
    """
    Whatever models are called and states say.
    """
    view = attrs.evolve(LARGE if large else SMALL, model=name, state=name)

    assert all(cells(line) < width for line in drawn(view, width))
