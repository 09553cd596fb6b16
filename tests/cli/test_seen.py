"""What a page said of a process, read with care."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.cli.board import Around, Frame, board
from ratelimit_client.cli.seen import Band, Limit, NotOurs, Why, read
from tests.cli.states import bucket, key, state, waiting, why


def test_a_state_is_read_as_it_is() -> None:
    """Numbers, names, why the first waits, and how fast calls went out of late."""
    bands = [{"priority": -1, "queued": 3, "tokens": 90, "oldest_wait_s": 5.0}]
    seen = read(state(waiting(queue=bands)))
    (found,) = seen.keys

    assert (seen.version, seen.at_s, seen.unread) == ("1.0", 1_800_000_000.0, 0)
    assert [(client.name, client.queued, client.in_flight, client.most) for client in seen.clients] == [
        ("mine", 3, 1, 200)
    ]
    assert (found.client, found.model, found.queued, found.oldest_s, found.window) == ("mine", "gpt-4o", 3, 5.0, 32)
    assert found.why == found.first == Why(12.0, "requests", 0, found.why.reason)
    assert (found.new.ready_s, found.new.ahead) == (40.0, 3)
    assert found.bands == (Band(-1, 3, 90, 5.0),)
    assert found.limits == (Limit("requests", 1000, 60.0, 250, 10, 250, "header", 0.0, None, 0.0),)
    assert found.limits[0].used == 0.75
    assert (found.pace, found.refused_lately) == (1.0, 1)


def test_where_nobody_waits_it_is_told_of_a_call_that_comes_now() -> None:
    """There is no first."""
    (found,) = read(state(key(explanation=why("tokens", 3.0)))).keys
    assert (found.first, found.why.binding, found.why.ready_s) == (None, "tokens", 3.0)


def test_the_worst_comes_first() -> None:
    """No answers, then those that wait, the longest first; then those at work, and those at rest by their names."""
    keys = [
        key("rest-b"),
        key("work", in_flight=2),
        waiting("young"),
        key("would", explanation=why("requests", 1.0)),
        key("rest-a"),
        waiting("old", oldest_wait_s=50.0),
        key("away", mode="outage"),
    ]
    names = [each.model for each in read(state(*keys)).keys]
    assert names == ["away", "old", "young", "work", "would", "rest-a", "rest-b"]


@pytest.mark.parametrize(
    "text", ["[]", "3", "null", '"clients"', "{}", '{"clients": [], "status": "ok"}', '{"version": "1", "clients": {}}']
)
def test_what_is_no_state_is_none_of_ours(text: str) -> None:
    """Whatever else an address may show."""
    with pytest.raises(NotOurs):
        read(json.loads(text))


HOSTILE = [
    ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
    ("a\nb\r\tc\x00", "a\\nb\\r\\tc\\x00"),
    ("evil\u202egnp.exe\u2066", "evil\\u202egnp.exe\\u2066"),
    ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
    ("heart\u2764\ufe0f", "heart\u2764\\ufe0f"),
    ("half\ud800", "half\\ud800"),
    ("\x9b31mred", "\\x9b31mred"),
    ("x" * 500, "x" * 125 + "..."),
    ("", "-"),
    (7, "-"),
    ("模型", "模型"),
]


@pytest.mark.parametrize(("name", "shown"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_name_steers_no_terminal(name: Any, shown: str) -> None:
    """It is shown escaped and cut, wherever it stands."""
    job = {"job": name, "rows": {}, "progress": {"state": name}}
    seen = read(state(key(name, buckets=[bucket(name)]), client=name, version=name, jobs=[job]))

    assert {seen.version, seen.clients[0].name, seen.keys[0].model, seen.keys[0].limits[0].name} == {shown}
    assert seen.jobs[0].name == shown
    assert all(line.isprintable() for line in (seen.jobs[0].state, seen.keys[0].why.reason))


def test_numbers_that_are_none_are_nothing() -> None:
    """Texts, truths, lists, what is not finite; and what is beyond all reckoning is cut down."""
    odd = key(queued="3", in_flight=True, window=[1], oldest_wait_s=float("inf"), refused=-5, buckets=[{}, 7, None])
    (found,) = read(state(odd) | {"history": {"at_s": "x"}, "now_s": 10**400}).keys
    assert (found.queued, found.in_flight, found.window, found.oldest_s, found.refused) == (0, 0, 0, 0.0, 0)
    assert (len(found.limits), found.limits[0].used, found.pace) == (1, 1.0, 0.0)
    assert read(state() | {"now_s": 10**400}).at_s == 10**18


def test_more_keys_than_anybody_reads_are_counted() -> None:
    """Two thousand are read; a page shows 33."""
    seen = read(state(*(key(f"m{number}") for number in range(2005))))
    assert (len(seen.keys), seen.unread, seen.others) == (2000, 5, (5, 0, 0))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*key(), "x"]), _JSON), st.dictionaries(st.sampled_from([*state()]), _JSON))
def test_anything_is_read_or_refused_and_what_is_read_can_be_shown(odd: Any, around: Any) -> None:
    """Whatever stands where: no other error, no line that is too wide."""
    whole = state(key() | odd, waiting()) | around
    try:
        seen = read(whole)
    except NotOurs:
        return
    lines = board(seen, Around(where="here"), Frame(width=60, height=20))
    assert len(lines) <= 20
