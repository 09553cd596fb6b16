"""Text and the cells of a terminal that it takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.cli.cells import cells, cut, fold, pace, span, squeeze

WIDE = "深度求索-V3"
COMMAND = "ratelimit-client retry prompts.jsonl -o answers.jsonl --codes 429,5xx"


@pytest.mark.parametrize(
    ("text", "width"), [("", 0), ("gpt-4o", 6), (WIDE, 11), ("e\u0301te\u0301", 3), ("a\u200db", 2)]
)
def test_wide_characters_take_two_cells_and_accents_none(text: str, width: int) -> None:
    """
    As a terminal has it.
    """
    assert cells(text) == width


@pytest.mark.parametrize(
    ("text", "width", "at_the_end", "in_the_middle"),
    [
        ("gpt-4o", 6, "gpt-4o", "gpt-4o"),
        ("gpt-4o-mini", 7, "gpt-4o…", "gpt…ini"),
        (WIDE, 6, "深度…", "深…-V3"),
        ("gpt", 1, "…", "…"),
        ("gpt", 0, "", ""),
    ],
)
def test_what_is_too_wide_says_that_something_is_missing(
    text: str, width: int, at_the_end: str, in_the_middle: str
) -> None:
    """
    A sentence loses its end, a name its middle.
    """
    assert (cut(text, width), squeeze(text, width)) == (at_the_end, in_the_middle)


@given(st.text(max_size=60), st.integers(0, 50))
def test_nothing_is_wider_than_it_may_be(text: str, width: int) -> None:
    """
    Whatever script it is in.
    """
    assert cells(cut(text, width)) <= width
    assert cells(squeeze(text, width)) <= width


def test_text_goes_on_below_its_label() -> None:
    """
    Broken between words, a number and its unit kept together.
    """
    line = "calls     244 sent, 0 refused (429), 1 retried, longest wait in the queue 11.8 s"

    assert fold(line, 79) == [
        "calls     244 sent, 0 refused (429), 1 retried, longest wait in the queue",
        "          11.8 s",
    ]
    assert fold(line, 80) == [line]
    assert fold("          and 1 000 000 more lines of models", 22) == [
        "          and",
        "          1 000 000",
        "          more lines",
        "          of models",
    ]


def test_a_command_is_never_broken() -> None:
    """
    It has a line of its own, so that copying the line gets all of it.
    """
    assert fold(f"next      look at it; to run its rows again: {COMMAND}", 60) == [
        "next      look at it; to run its rows again:",
        f"          {COMMAND}",
    ]
    assert fold(f"ratelimit-client: SIGINT: waiting for 32 calls. To go on later: {COMMAND}", 60) == [
        "ratelimit-client: SIGINT: waiting for 32 calls. To go on",
        "later:",
        COMMAND,
    ]


def test_a_word_that_fits_nowhere_is_left_whole() -> None:
    """
    The terminal breaks it.
    """
    assert fold("at " + "x" * 50, 40) == ["at", "x" * 50]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (7.4, "7 s"),
        (99.4, "99 s"),
        (100, "1 min 40 s"),
        (3599.6, "1 h 00 min"),
        (86400, "24 h 00 min"),
        (260000, "3 d 00 h"),
    ],
)
def test_time_is_told_without_flicker(seconds: float, words: str) -> None:
    """
    Whole seconds, then minutes, hours and days.
    """
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0, "0.0 rows/s"),
        (1234.5, "1 234 rows/s"),
        (12.34, "12.3 rows/s"),
        (0.5, "30.0 rows/min"),
        (0.005, "18.0 rows/h"),
    ],
)
def test_a_slow_pace_is_told_by_the_minute_or_hour(rate: float, words: str) -> None:
    """
    "0.0 rows/s" is said of standing still only.
    """
    assert pace(rate) == words
