"""Errors about lines, held against the input as it is now."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.lines import error_line, read_line
from ratelimit_client.bulk.mended import LineErrors, stale
from ratelimit_client.bulk.row import Flaw, duplicate, read_row
from tests.jobs import row, write


def text(name: str, content: str = "hello") -> str:
    return json.dumps(row(name, content))


def errors_of(*lines: str) -> tuple[LineErrors, dict[int, int]]:
    """What a run says of the lines of an input, and which mark belongs to which line."""
    noted, lines_of_marks, firsts = LineErrors(), {}, dict[str, int]()
    for number, line in enumerate(lines, 1):
        found = read_row(Line(number, 0, line.encode()))
        if found.custom_id is not None and firsts.setdefault(found.custom_id, number) != number:
            found = duplicate(found, firsts[found.custom_id])
        if isinstance(found, Flaw):
            finished = read_line(error_line(found, found.code, found.message, **found.lines))
            assert finished is not None
            noted.add(found.mark, finished)
            lines_of_marks[found.mark] = number
    return noted, lines_of_marks


def held_against(folder: Path, errors: list[LineErrors], *lines: str) -> tuple[int, set[int]]:
    fd = os.open(write(folder / "in", *lines), os.O_RDONLY)
    try:
        return stale(errors, fd)
    finally:
        os.close(fd)


A, B, BAD = text("a"), text("b"), "no row"
ESCAPED = A.replace('"a"', '"\\u0061"', 1)


@pytest.mark.parametrize(
    ("before", "now", "gone"),
    [
        ([A, BAD, B], [A, BAD, B], []),
        ([A, BAD, B], [A, text("c"), B], [2]),
        ([A, BAD, B], [A, "other", B], [2]),
        ([A, BAD, B], [BAD, A, B], [2]),
        ([A, BAD], [A, BAD, BAD], []),
        ([A, BAD], [A], [2]),
        ([A, "{}", A], [A, "", A], [2]),
        ([A, B, A], [A, B, A], []),
        ([A, B, A], [ESCAPED, B, A], []),
        ([A, B, ESCAPED], [A, B, ESCAPED], []),
        ([A, B, A], [B, B, A], [3]),
        ([A, B, A], [A, B, text("c")], [3]),
        ([A, B, A], [A, B, text("a", "edited")], [3]),
        ([A, B, A, A], [B, B, A, A], [3]),
        ([A, BAD, A], [BAD, BAD, A], [3]),
    ],
)
def test_an_error_stands_as_long_as_a_run_would_say_it_again(
    tmp_path: Path, before: list[str], now: list[str], gone: list[int]
) -> None:
    """
    Of that line: mended or moved ones are forgotten, and those of a name that is the first of its kind by now.
    """
    noted, numbers = errors_of(*before)

    count, marks = held_against(tmp_path, [noted], *now)
    with (tmp_path / "in").open("rb") as file:
        assert noted.standing(file.fileno()) == (count, noted.all() - marks)

    assert sorted(numbers[mark] for mark in marks) == gone
    assert count == len([line for line in now if line])


def test_an_error_about_a_row_is_not_held_against_the_input(tmp_path: Path) -> None:
    """
    It names a row, wherever that stands.
    """
    noted, numbers = errors_of(json.dumps(row("a", url="elsewhere")))

    assert len(numbers) == 1
    assert noted.all() == set()
    assert held_against(tmp_path, [noted], B) == (1, set())


def test_errors_of_several_files_are_held_against_the_input_at_once(tmp_path: Path) -> None:
    """
    Each shard knows of its own lines, and a name that one of them met is met for all.
    """
    one, _ = errors_of(A, BAD, A)
    other, numbers = errors_of(A, B, A, "{}")

    count, marks = held_against(tmp_path, [one, other], A, BAD, A, B)

    assert count == 4
    assert [numbers[mark] for mark in marks] == [4]
