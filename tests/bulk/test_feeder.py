"""Ending each line of the input."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import cast

from ratelimit_client.bulk.feeder import Feeder
from ratelimit_client.bulk.fingerprints import State, row_bits
from ratelimit_client.bulk.lanes import Lanes
from ratelimit_client.bulk.manifest import Manifest
from ratelimit_client.bulk.output import Output, open_output
from ratelimit_client.bulk.row import Row, mark_of
from ratelimit_client.bulk.source import Source
from ratelimit_client.bulk.stops import Stop, Why
from ratelimit_client.bulk.tally import Tally
from ratelimit_client.bulk.walk import Walk
from tests.jobs import lines, row, rows, write


class Engine:
    """Notes that the input has ended."""

    ended = False

    def end_of_input(self) -> None:
        self.ended = True


class Offered:
    """Takes every row at once."""

    def __init__(self, tally: Tally) -> None:
        self.engine = Engine()
        self.tally = tally
        self.rows: list[Row] = []
        self.parked = 0
        self.full = False

    def open(self) -> None: ...

    def drop(self) -> None: ...

    def end_input(self) -> None:
        self.engine.end_of_input()

    def offer(self, row: Row) -> None:
        self.tally.start(row.model)
        self.rows.append(row)


class Joining(Offered):
    """Each row joins the limiter's queue in the third round of the loop, as one that asks for its key does."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(tally)
        self.joined = 0
        self.joined_before_the_end = -1
        self.tasks: list[asyncio.Task[None]] = []

    def offer(self, row: Row) -> None:
        super().offer(row)
        self.tasks.append(asyncio.get_running_loop().create_task(self.join()))

    async def join(self) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.joined += 1

    def end_input(self) -> None:
        super().end_input()
        self.joined_before_the_end = self.joined


class Bench:
    """A feeder over real files, whose rows go nowhere."""

    def __init__(self, folder: Path, *, max_rows: int | None = None, rerun: bool = False) -> None:
        self.source = Source.open(str(folder / "in"))
        self.output: Output = open_output(
            str(folder / "out"), self.source, Manifest(input="in", base_url="u"), rerun_edited=rerun
        )
        self.walk = Walk(self.output.ledger.table, rerun_edited=rerun)
        self.tally = Tally(lambda: 0.0)
        self.lanes = Offered(self.tally)
        self.stops: list[Stop] = []
        self.feeder = Feeder(
            self.source, self.walk, self.output, cast(Lanes, self.lanes), self.tally, max_rows, self.stops.append
        )

    def run(self) -> list[str]:
        """The names that were offered."""

        async def feed() -> None:
            await self.feeder.run()
            self.output.close()

        asyncio.run(feed())
        self.source.close()
        return [one.custom_id for one in self.lanes.rows]


def test_rows_are_offered_in_order_and_the_end_is_noted(tmp_path: Path) -> None:
    """
    The number of rows is kept in OUT.job.json.
    """
    write(tmp_path / "in", *rows(600), "oops")
    bench = Bench(tmp_path)

    assert bench.run() == [f"row-{number}" for number in range(600)]
    assert bench.feeder.input_ended
    assert bench.lanes.engine.ended
    assert json.loads((tmp_path / "out.job.json").read_text())["rows"] == 601


def test_the_end_is_told_when_the_last_rows_have_joined_the_queue(tmp_path: Path) -> None:
    """
    Told before, it would be taken back by the rows that come after it.
    """
    write(tmp_path / "in", *rows(3))
    bench = Bench(tmp_path)
    lanes = Joining(bench.tally)
    bench.feeder.lanes = cast(Lanes, lanes)

    async def feed() -> None:
        await bench.feeder.run()
        bench.output.close()

    asyncio.run(feed())
    bench.source.close()
    assert lanes.joined_before_the_end == 3


def test_a_name_that_only_looks_repeated_is_run(tmp_path: Path) -> None:
    """
    Another row's fingerprint: reading the input again shows that the name is new.
    """
    write(tmp_path / "in", *rows(3))
    bench = Bench(tmp_path)
    bench.walk.table.visit(mark_of("row-1"), 5)

    assert bench.run() == ["row-0", "row-2", "row-1"]
    assert bench.lanes.rows[-1].body
    assert lines(tmp_path / "out.errors.jsonl") == []


def test_a_done_row_that_looks_repeated_or_edited_is_not_sent_again(tmp_path: Path) -> None:
    """
    OUT itself says so.
    """
    write(tmp_path / "in", *rows(3))
    first = Bench(tmp_path)
    first.run()
    with (tmp_path / "out").open("wb") as file:
        for one in first.lanes.rows:
            file.write(
                b'{"id": "%s", "custom_id": "%s", "response": null, "error": null}\n'
                % (one.id.encode(), one.custom_id.encode())
            )

    bench = Bench(tmp_path)
    bench.walk.table.visit(mark_of("row-1"), 5)
    bench.walk.table.record(mark_of("row-2"), row_bits("rlc_00000"), State.DONE)
    assert bench.run() == []
    assert bench.walk.done_before == 3
    assert bench.stops == []


def test_no_more_rows_than_were_asked_for(tmp_path: Path) -> None:
    """
    The stop is told when one more would begin, and not when there is none.
    """
    write(tmp_path / "in", *rows(5))
    bench = Bench(tmp_path, max_rows=3)
    assert bench.run() == ["row-0", "row-1", "row-2"]
    assert [stop.why for stop in bench.stops] == [Why.MAX_ROWS]
    assert not bench.feeder.input_ended

    exact = Bench(tmp_path, max_rows=5)
    assert len(exact.run()) == 5
    assert exact.stops == []


def test_repetitions_are_proved_and_named(tmp_path: Path) -> None:
    """
    Several of one name, also when the first is no row that can be sent.
    """
    write(tmp_path / "in", row("a"), row("bad", url="/x"), row("a"), row("bad"), row("b"), row("a"))
    bench = Bench(tmp_path)

    assert bench.run() == ["a", "b"]
    errors = [line["error"] for line in lines(tmp_path / "out.errors.jsonl")]
    assert [(one["code"], one["line"], one.get("first_line")) for one in errors] == [
        ("invalid_url", 2, None),
        ("duplicate_custom_id", 3, 1),
        ("duplicate_custom_id", 4, 2),
        ("duplicate_custom_id", 6, 1),
    ]
