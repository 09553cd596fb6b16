"""The table once more on real sockets: what the virtual network says of TCP has to be so."""

from __future__ import annotations

import asyncio

import pytest

from tests.sizes import SCALE
from tests.wire.chunkings import CHUNKINGS
from tests.wire.play import Outcome, play
from tests.wire.script import Move, Pause, Row
from tests.wire.server import Pace
from tests.wire.table import ROWS

# Real seconds: long enough for a busy machine to bring a byte within them.
PACE = Pace(idle_s=1.0, gap_s=0.001, again_s=0.001)
AT_ONCE = 80


# Byte by byte takes its time in real seconds.
SOME = [name for name in CHUNKINGS if SCALE > 1 or name in ("at random", "head and body")]
TRIES = 3


def _has(row: Row, *kinds: type) -> bool:
    return any(isinstance(step, kinds) for one in row.script for step in one)


TIMED = [row for row in ROWS if row.deadline_idles or _has(row, Pause)]
SLOW_FIRST = sorted(ROWS, key=lambda row: not _has(row, Pause, Move))


@pytest.mark.parametrize("chunking", SOME)
def test_it_ends_alike_on_real_sockets(chunking: str) -> None:
    """
    Every row, many at a time, each with a server and a client of its own.

    A row in which time decides is played again, alone, when it ended otherwise: a machine that stood still
    for a second is no way to end.
    """

    async def story() -> dict[str, Outcome]:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(row: Row) -> Outcome:
            async with places:
                return await play(row, CHUNKINGS[chunking], "own", PACE)

        ends = dict(zip((row.name for row in SLOW_FIRST), await asyncio.gather(*map(one, SLOW_FIRST)), strict=True))
        for row in TIMED:
            for _ in range(TRIES):
                if not ends[row.name].ends.like(row.ends):
                    ends[row.name] = await one(row)
        return ends

    ends = asyncio.run(story())
    assert {name: each.wrong for name, each in ends.items() if each.wrong} == {}
    assert {row.name: ends[row.name].ends for row in ROWS if not ends[row.name].ends.like(row.ends)} == {}
    assert [row.name for row in ROWS if row.ends.says not in ends[row.name].ends.says] == []
