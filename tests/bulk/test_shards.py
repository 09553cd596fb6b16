"""Which row belongs to which shard, and where its lines are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ratelimit_client.bulk.fingerprints import Fingerprints
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.row import read_row
from ratelimit_client.bulk.shards import Shard, ShardWalk, check_division, parts_of, remainder
from ratelimit_client.bulk.walk import Step
from ratelimit_client.errors import ConfigurationError
from tests.jobs import row


def line(number: int, name: str) -> Line:
    return Line(number, number * 100, json.dumps(row(name)).encode())


def test_the_rule_is_fixed() -> None:
    """
    SHA-256 of the name modulo N, so that others can compute it; shards count from 1.
    """
    # printf a | sha256sum: ca978112...8afee48bb
    assert remainder("a", 16) == 0xB
    assert remainder("a", 256) == 0xBB
    assert Shard(12, 16).owns(line(1, "a"))
    assert not Shard(11, 16).owns(line(1, "a"))
    assert str(Shard(12, 16)) == "12/16"
    assert remainder("\ud800", 7) in range(7)


def test_a_line_without_a_name_is_the_first_shards() -> None:
    """
    So that it is told once.
    """
    assert [Shard(number, 3).owns(Line(3, 300, b"no row")) for number in (1, 2, 3)] == [True, False, False]


@pytest.mark.parametrize(
    "text",
    [
        '{"custom_id": "a", "method": "POST"}',
        '{"custom_id":"a"}',
        '{"method": "POST", "custom_id": "a"}',
        '{"custom_id": "b", "custom_id": "a"}',
        '{"custom_id": "b", "custom\\u005fid": "a"}',
        '{"custom_id": "b", "\\u0063ustom_id": "a"}',
        '{"custom_id": "\\u0061"}',
        '{"custom_id": "a", "body": {"custom_id": "b"}}',
    ],
)
def test_the_name_counts_however_the_line_is_written(text: str) -> None:
    """
    The last of several, escapes read, inner members left alone.
    """
    assert read_row(Line(1, 0, text.encode())).custom_id == "a"
    assert [number for number in range(1, 17) if Shard(number, 16).owns(Line(1, 0, text.encode()))] == [12]


def test_a_line_that_is_no_row_has_one_owner() -> None:
    """
    So that it is told once, whatever is wrong with it.
    """
    for data in (b'{"custom_id": "x", "body": {', b'{"custom_id": "\xff"}', b'{"custom_id": "x"', b"[]", b"\xff"):
        assert sum(Shard(number, 5).owns(Line(1, 0, data)) for number in range(1, 6)) == 1


def test_rows_of_other_shards_are_no_rows_of_this_one() -> None:
    """
    They are not counted; the place in the file moves on.
    """
    walks = [ShardWalk(Fingerprints(), shard=Shard(number, 2)) for number in (1, 2)]
    whole = ShardWalk(Fingerprints())
    for number in range(1, 21):
        one = line(number, f"row-{number}")
        steps = sorted(walk.take(one)[0].value for walk in walks)
        assert steps == [Step.OTHER.value, Step.RUN.value]
        assert whole.take(one)[0] is Step.RUN
    assert sum(walk.rows for walk in walks) == whole.rows == 20
    assert {walk.offset for walk in (*walks, whole)} == {2000}
    assert len({walk.bytes for walk in (*walks, whole)}) == 1


def test_parts_are_found_by_their_names(tmp_path: Path) -> None:
    """
    Side files, other outputs and odd numbers are none.
    """
    out = str(tmp_path / "out")
    for name in ("out.10-of-12", "out.2-of-12", "out.2-of-12.job.json", "out.0-of-3", "other.1-of-2", "out.1-of-12x"):
        (tmp_path / name).touch()

    assert list(parts_of(out).items()) == [(Shard(2, 12), f"{out}.2-of-12"), (Shard(10, 12), f"{out}.10-of-12")]
    assert parts_of(str(tmp_path / "nowhere" / "out")) == {}


def test_one_division_for_ever(tmp_path: Path) -> None:
    """
    Whole or in N parts; an empty output was not begun.
    """
    out = tmp_path / "out"
    check_division(str(out), None)
    out.touch()
    check_division(str(out), Shard(1, 2))
    (tmp_path / "out.1-of-2").touch()
    check_division(str(out), Shard(2, 2))
    for other in (None, Shard(1, 3)):
        with pytest.raises(ConfigurationError, match="was begun in 2 shards"):
            check_division(str(out), other)
    (tmp_path / "out.1-of-2").unlink()
    out.write_text("x")
    with pytest.raises(ConfigurationError, match="was begun without --shard"):
        check_division(str(out), Shard(1, 2))
