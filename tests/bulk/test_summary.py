"""Words for people that a summary is made of; what it says of a run is seen in tests/cli."""

from __future__ import annotations

import pytest

from ratelimit_client.bulk.words import number, window


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.0, "second"),
        (10.0, "10 seconds"),
        (60.0, "minute"),
        (90.0, "90 seconds"),
        (900.0, "15 minutes"),
        (3600.0, "hour"),
        (86400.0, "day"),
        (2_592_000.0, "30 days"),
        (0.5, "0.5 s"),
    ],
)
def test_a_window_is_told_in_its_largest_whole_unit(seconds: float, words: str) -> None:
    """
    As people say it.
    """
    assert window(seconds) == words


def test_a_large_number_is_told_in_groups() -> None:
    """
    Of three digits.
    """
    assert [number(amount) for amount in (0, 999, 1_000, 30_000_000)] == ["0", "999", "1 000", "30 000 000"]
