"""Every row of the table, in memory and in virtual time: one end, however its bytes are cut."""

from __future__ import annotations

import pytest

from ratelimit_client.testing import run_virtual
from tests.sizes import SCALE
from tests.wire.chunkings import CHUNKINGS, Chunking, at_random, whole
from tests.wire.play import Outcome, Way, play
from tests.wire.script import Row
from tests.wire.server import Pace
from tests.wire.table import ROWS

PACE = Pace(idle_s=20.0, gap_s=0.001, again_s=0.1)
AN_HOUR_S = 3600.0

ALL = {**CHUNKINGS, **{f"at random, {seed}": at_random(seed) for seed in range(2, 1 + min(SCALE, 100))}}
SOME = {name: cut for name, cut in ALL.items() if SCALE > 1 or name in ("whole", "at random")}
SEAMS = (SOME if SCALE > 1 else {"whole": whole}) | {"head and body": ALL["head and body"]}
CUT = [name for name in CHUNKINGS if name != "whole"]


def of_ours(row: Row) -> dict[str, Chunking]:
    """Every way to cut it in CI; at first as a whole and in one more way, each of which a quarter of the rows has."""
    return ALL if SCALE > 1 else {name: ALL[name] for name in ("whole", CUT[ROWS.index(row) % len(CUT)])}


each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def outcomes(row: Row, way: Way, cuts: dict[str, Chunking]) -> dict[str, Outcome]:
    """What became of it, by how the bytes were cut; nothing may be wrong besides, and nothing left behind."""
    ends = {}
    for name, cut in cuts.items():
        ends[name], loop = run_virtual(lambda cut=cut: play(row, cut, way, PACE), horizon_s=AN_HOUR_S)  # type: ignore[misc]
        assert not loop.left_behind, (name, loop.left_behind)
        assert not ends[name].wrong, (name, ends[name].wrong)
    return ends


def is_as_told(row: Row, ends: dict[str, Outcome]) -> None:
    """They are all alike, to the words of the message and the excerpt of the body, and are what the row says."""
    first = ends["whole"]
    assert {name: each.ends for name, each in ends.items() if each.ends != first.ends} == {}
    if "corrupt" not in first.ends.says:  # zlib keeps back what it had unpacked before the fault
        assert {name: each.excerpt for name, each in ends.items() if each.excerpt != first.excerpt} == {}
    assert first.ends.like(row.ends), first.ends
    assert row.ends.says in first.ends.says


@each_row
def test_on_connections_of_our_own(row: Row) -> None:
    """
    Requests of ordinary size, which go past aiohttp's session.
    """
    is_as_told(row, outcomes(row, "own", of_ours(row)))


@pytest.mark.parametrize("row", [row for row in ROWS if row.method == "POST"], ids=lambda row: row.name)
def test_with_a_large_body(row: Row) -> None:
    """
    Requests that go through a session of our own.
    """
    is_as_told(row, outcomes(row, "upload", SOME))


@each_row
def test_on_a_session_of_the_users(row: Row) -> None:
    """
    The same, or what the row says of it: aiohttp's own end of a connection drops what it understood of a segment
    when it fails on the rest.
    """
    for name, each in outcomes(row, "theirs", SEAMS).items():
        expected = [row.ends] if row.theirs is None else [row.ends, row.theirs]
        assert any(each.ends.like(end) for end in expected), (name, each.ends)


def test_what_a_row_says_of_a_users_session_happens() -> None:
    """
    A row that allows another end there does so because it comes.
    """
    rows = [row for row in ROWS if row.theirs is not None]
    idle = [
        row.name
        for row in rows
        if row.theirs is not None
        and not any(each.ends.like(row.theirs) for each in outcomes(row, "theirs", ALL).values())
    ]
    assert rows
    assert idle == []


FRAMED = [
    "two answers",
    "an answer and half a head",
    "later chunk of no size",
    "a trailer that states a length",
    "chunks with extensions",
    "early hints with a length",
    "100 first",
    "429 for a bill in broken chunks",
]


@pytest.mark.parametrize("row", [row for row in ROWS if row.name in FRAMED], ids=lambda row: row.name)
def test_cut_in_two_anywhere(row: Row) -> None:
    """
    Two segments, the seam at every eighth byte; at larger sizes at every byte.
    """
    size = max(len(step) for step in row.script[0] if isinstance(step, bytes))
    seams = {str(at): cut_at(at) for at in range(1, size, max(1, 8 // SCALE))}
    is_as_told(row, outcomes(row, "own", {"whole": whole, **seams}))


def cut_at(at: int) -> Chunking:
    return lambda data: [part for part in (data[:at], data[at:]) if part]
