"""What ``top`` shows, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.bulk.words import number
from ratelimit_client.cli.block import text_of
from ratelimit_client.cli.board import Around, Frame, board
from ratelimit_client.cli.cells import cells
from ratelimit_client.cli.seen import read
from tests.cli.states import bucket, key, state, waiting, why

HERE = Around(where="127.0.0.1:9464", right="each 1 s; q leaves")


def shown(state_: Any, width: int = 100, height: int | None = None, around: Around = HERE, **how: Any) -> list[str]:
    frame = Frame(width=width, height=height, **how)
    return [text_of(line).rstrip() for line in board(read(state_), around, frame)]


def test_a_key_that_waits_is_shown_in_full() -> None:
    """Where, when, how much; why the first waits and when one that comes now would go; each limit, and what went."""
    buckets = [
        bucket(level=0, server_remaining=3, foreign_ratio=0.25, gate_s=4.0),
        bucket("tokens", limit=30_000, level=-20, reserve=0.0, server_remaining=None, learnt_burst=90, source="config"),
    ]
    queue = [
        {"priority": -1, "queued": 1, "tokens": 1500, "oldest_wait_s": 5.0},
        {"priority": 0, "queued": 2, "tokens": 0, "oldest_wait_s": 3.0},
    ]
    assert shown(state(waiting(buckets=buckets, queue=queue)), width=108) == [
        "ratelimit-client top  127.0.0.1:9464  08:00:00 UTC                                        each 1 s; q leaves",
        "mine  3 queued, 1 of 200 in flight",
        "",
        "MODEL                   WAITS FOR      NEXT IN  QUEUED       OLDEST  IN FLIGHT  SENT/S",
        "gpt-4o                   requests         12 s       3          5 s       1/32     1.0",
        "  waits 12.0 s: requests hold 0 of 1 000 per 60 s and the call needs 1",
        "  a call that comes now goes in 40 s, behind 3",
        "  requests        ━━━━━━━━━━━━ 100% used  0 of 1 000/minute left, closed for 4.0 s, we take 75%, others 25%…",
        "  tokens          ━━━━━━━━━━━━ 100% used  -20 of 30 000/minute left, 90 at once, config",
        "  queue           priority -1: 1 (1 500 tokens) for 5 s; priority 0: 2 for 3 s",
        "  sent                      ▅█  1.0/s, 1 refused in the last minute",
    ]


def test_a_rate_that_was_learnt_is_shown_as_one() -> None:
    """Its window means nothing to anybody."""
    learnt = bucket("learnt rate", limit=5750, window_s=1000.0, level=1, reserve=0.0, source="learned")
    assert "at most 5.75 a second, the server said 250, learned" in shown(state(key(buckets=[learnt])))[6]


def test_one_at_rest_says_so() -> None:
    """And nobody knows when a slot comes back."""
    lines = shown(state(key(history={})))
    assert (lines[4].split(), lines[5]) == (["gpt-4o", "-", "-", "0", "0/32", "0.0"], "  the call can go now")
    slots = waiting(first=why("slots", None, reason="waits"), explanation=why("slots", None, 3))
    assert "?" in shown(state(slots))[4]
    assert "  a call that comes now goes at a time that nobody knows, behind 3" in shown(state(slots))


def test_jobs_and_clients_are_at_the_top() -> None:
    """A bulk run says how far it is; of many clients the first three have a line, and keys say whose they are."""
    told = {"rate": 12.06, "eta_s": 320.0, "state": "at the limit's pace"}
    jobs = [
        {"job": "out.jsonl", "rows": {"pending": 50, "running": 2, "done": 1200, "failed": 3}, "progress": told},
        {"job": "other", "rows": {"done": 1}, "progress": None},
    ]
    one = state(key(), jobs=jobs)
    assert shown(one)[2:4] == [
        "out.jsonl: 1 203 of 1 255 rows, 3 failed, 12.1 rows/s, about 5 min 20 s left: at the limit's pace",
        "other: 1 of 1 rows",
    ]
    assert shown(one, 70)[2:4] == [
        "out.jsonl: 1 203 of 1 255 rows, 3 failed, 12.1 rows/s, about 5 min",
        "20 s left: at the limit's pace",
    ]
    many = state(key()) | {"clients": [state(key(), client=f"c{number}")["clients"][0] for number in range(5)]}
    lines = shown(many)
    assert [line.split()[0] for line in lines[1:5]] == ["c0", "c1", "c2", "and"]
    assert lines[4] == "and 2 more clients: 0 queued, 0 in flight"
    assert lines[7].startswith("c0/gpt-4o ")


def test_an_empty_page_says_what_is_not_there() -> None:
    """No client, or one that was not called yet."""
    assert shown(state() | {"clients": []})[1] == "no client is shown there yet"
    assert shown(state())[-1] == "no call was made yet"


def test_what_has_no_line_is_counted() -> None:
    """The worst is in full though many have no line, and the last line says how many and what waits there."""
    keys = [waiting(f"model-{number:02}", oldest_wait_s=float(number)) for number in range(32)]
    whole = state(*keys)
    whole["clients"][0]["others"] = {"keys": 9968, "queued": 12, "in_flight": 3}
    lines = shown(whole, 80, 24)

    assert len(lines) == 24
    assert lines[1].endswith("; 9 968 small keys: 12 queued, 3 in flight")
    assert lines[4].startswith("model-31 ")
    assert lines[5].startswith("  waits 12.0 s: requests hold")
    rows = [line for line in lines if line.startswith("model-")]
    left = 32 - len(rows)
    assert lines[-1] == f"and {number(9968 + left)} more: {3 * left + 12} queued, {left + 3} in flight"
    assert 8 <= len(rows) < 32


def test_a_tall_terminal_shows_all_of_them_in_full() -> None:
    """And nothing is said of more."""
    lines = shown(state(*(waiting(f"m{number}") for number in range(5))), 100, 60)
    assert sum(line.startswith("  waits") for line in lines) == 5
    assert not any(line.startswith("and ") for line in lines)


@pytest.mark.parametrize("width", [1, 8, 20, 39, 44, 68, 80, 92, 104, 116, 200])
@pytest.mark.parametrize("height", [1, 2, 5, 12, 24, 60])
def test_nothing_is_wider_or_higher_than_the_terminal(width: int, height: int) -> None:
    """Whatever the names are like: wide, long, or hostile."""
    names = ["模型" * 30, "x" * 500, "\x1b[31m", "e\u0301" * 40, "gpt-4o"]
    whole = state(*(waiting(name) for name in names), client="ミ" * 40, jobs=[{"job": "答" * 60, "rows": {}}])
    lost = Around(where="h" * 90, right="r" * 30, lost="no news for 3 s: " + "w" * 200)
    for around in (HERE, lost):
        lines = shown(whole, width, height, around)
        assert len(lines) <= height
        assert max(map(cells, lines)) <= width


def test_wide_names_keep_the_columns_below_each_other() -> None:
    """A wide character takes two cells."""
    lines = shown(state(waiting("模型模型"), waiting("gpt-4o"), waiting("模" * 60)), 80, 30)
    rows = [line for line in lines if line.endswith("1/32")]
    assert len(rows) == 3
    assert {cells(line) for line in rows} == {cells(lines[3])}


def test_lost_contact_is_said_first() -> None:
    """And the last numbers stay."""
    lines = shown(
        state(key()), around=Around(where="here", lost="no news for 12 s, these are the last: nobody listens")
    )
    assert lines[1] == "no news for 12 s, these are the last: nobody listens"
    assert any(line.startswith("gpt-4o") for line in lines)


def test_where_no_terminal_is_nothing_is_cut() -> None:
    """A sentence is a line, a name is whole, and all columns are there."""
    long = "ft:" + "x" * 100
    first = why("requests", 3.0, reason="waits " + "w " * 200 + "end")
    lines = shown(state(waiting(long, first=first)), folds=False)
    assert lines[4].startswith(f"{long} ")
    assert lines[3].endswith("REFUSED/MIN")
    assert lines[5].endswith("end")


def test_a_terminal_without_unicode_gets_none() -> None:
    """Bars of its own, and cut lines."""
    lines = shown(state(waiting("m" * 90)), 80, 24, ascii_only=True)
    assert all(line.isascii() for line in lines)
    assert any("#########---" in line for line in lines)


def test_a_date_beyond_all_dates_is_a_date() -> None:
    """Whatever the page says the time is."""
    assert "UTC" in shown(state() | {"now_s": 1e18})[0]
