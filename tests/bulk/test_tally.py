"""What a run has done so far."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.bulk.tally import OTHER, Tally


def test_snapshots_say_who_answered_and_since_when() -> None:
    """
    By the model that was asked for: rows, first and last time, first row.
    """
    times = iter([10.0, 11.0, 12.0, 13.0])
    tally = Tally(lambda: next(times))
    for name, answered in (("a", "m-1"), ("b", "m-1"), ("c", "m-2"), ("d", "m-1")):
        tally.answered(name, "m", {"model": answered, "usage": {"total_tokens": 5}}, 1, 0.5)

    one, two = tally.snapshots["m"].values()
    assert list(tally.snapshots["m"]) == ["m-1", "m-2"]
    assert (one.rows, one.first_s, one.last_s, one.first_id) == (3, 10.0, 13.0, "a")
    assert (two.rows, two.first_s, two.last_s, two.first_id) == (1, 12.0, 12.0, "c")
    assert (tally.ok, tally.tokens, tally.sent, tally.sends) == (4, 20, 4, 4)


@pytest.mark.parametrize("data", [None, [], "text", {}, {"model": 5, "usage": {"total_tokens": -1}}, {"usage": "x"}])
def test_an_answer_may_say_nothing_of_that(data: Any) -> None:
    """
    It counts all the same.
    """
    tally = Tally(lambda: 0.0)
    tally.answered("a", "m", data, 3, 2.5)

    assert (tally.ok, tally.tokens, tally.sent, tally.sends, tally.slowest_wait_s) == (1, 0, 1, 3, 2.5)
    assert list(tally.snapshots["m"]) == [""]


def test_names_from_outside_take_bounded_room() -> None:
    """
    32 models, snapshots of each and codes of errors; the rest is called other.
    """
    tally = Tally(lambda: 0.0)
    for number in range(100):
        tally.answered("a", f"m{number}", {"model": "x"}, 1, 0.0)
        tally.answered("a", "m0", {"model": f"s{number}"}, 1, 0.0)
        tally.refused(f"code-{number}")

    assert len(tally.snapshots) == 33
    assert len(tally.snapshots["m0"]) == 33
    assert tally.snapshots[OTHER]["x"].rows == 68
    assert len(tally.codes) == 33
    assert tally.codes[OTHER] == 68


def test_a_success_elsewhere_is_one_of_another_model() -> None:
    """
    What an unknown model is judged by.
    """
    tally = Tally(lambda: 0.0)
    assert not tally.succeeded_elsewhere("m")
    tally.answered("a", "m", {}, 1, 0.0)
    assert not tally.succeeded_elsewhere("m")
    assert tally.succeeded_elsewhere("n")
