"""What a limiter tells of itself, in words."""

from __future__ import annotations

import pytest

from ratelimit_client.core.statistics import Explanation, LimiterStatistics


@pytest.mark.parametrize(
    ("unread", "rest"),
    [
        ({}, ""),
        ({"a: negative": 1}, "; not understood of the server's answers: a: negative (1 time)"),
        ({"a": 1, "b": 2_000}, "; not understood of the server's answers: b (2,000 times), a (1 time)"),
        (
            {"a": 2, "b": 1, "c": 1, "d": 1},
            "; not understood of the server's answers: a (2 times), b (1 time), c (1 time), and 1 kind more",
        ),
        (
            {"a": 1, "b": 1, "c": 1, "d": 1, "e": 9},
            "; not understood of the server's answers: e (9 times), a (1 time), b (1 time), and 2 kinds more",
        ),
    ],
)
def test_an_explanation_tells_what_was_not_understood(unread: dict[str, int], rest: str) -> None:
    """After its sentence, the most frequent kinds first and no more than three; nothing where there is nothing."""
    explanation = Explanation(True, 0.0, None, 0, "the call can go now", unread)
    assert str(explanation) == explanation.reason + rest


def test_an_explanation_can_be_kept_in_a_set() -> None:
    """Whatever was not understood."""
    kept = {Explanation(True, 0.0, None, 0, "fine", {"a": 1}), Explanation(True, 0.0, None, 0, "fine")}
    assert len(kept) == 2


def test_statistics_without_answers_have_nothing_unread() -> None:
    """Two snapshots share nothing."""
    first, second = LimiterStatistics("a", {}), LimiterStatistics("b", {})
    first.unread["x"] = 1
    assert second.unread == {}
