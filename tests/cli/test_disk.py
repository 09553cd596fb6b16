"""Every operation on the disk fails once, in every way it can: nothing paid is lost, and nothing is paid twice."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs
import pytest

from ratelimit_client.cli import guarded
from ratelimit_client.cli.args import read_arguments
from ratelimit_client.cli.commands import retry, run
from ratelimit_client.cli.target import with_shard
from ratelimit_client.cli.voice import Voice
from ratelimit_client.testing import ModelServer
from tests.bulk.failing import AFTER, BEFORE, HALF, FailingDisk
from tests.jobs import lines, names, row, rows, serving, write
from tests.jobs import run as run_well
from tests.sizes import SCALE

ERRNOS = (errno.EIO, errno.ENOSPC)
UNKNOWN = "nobody-knows-it"


def on(disk: FailingDisk, command: str, *words: str | Path) -> int:
    """The exit code of a command whose files are on *disk*."""

    def act() -> int:
        request = read_arguments([command, *map(str, words), "--progress", "none"])
        request = attrs.evolve(request, options=with_shard({"overwrite": False, **request.options}))
        plan = run.open_run if command == "run" else retry.open_retry
        return run.carry_out(request, Voice(), str(request.options["input"]), partial(plan, disk=disk))

    return guarded(act, Voice(), debug=False)


@attrs.define(eq=False)
class Scene:
    """
    A command in a folder, and what stood there before.

    Args:
        models: that the server knows while it runs.
    """

    folder: Path
    command: str
    server: ModelServer
    before: dict[str, bytes] = attrs.field(factory=dict)

    def reset(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        for name, text in self.before.items():
            (self.folder / name).write_bytes(text)

    def act(self, disk: FailingDisk) -> int:
        return on(disk, self.command, self.folder / "in", "-o", self.folder / "out")

    def result(self) -> tuple[list[str], list[str]]:
        return sorted(names(self.folder / "out")), sorted(names_of_errors(self.folder / "out.errors.jsonl"))


def names_of_errors(path: Path) -> list[str]:
    return [str(line["custom_id"]) for line in lines(path)]


def ways(operation: str) -> tuple[str, ...]:
    """How an operation can fail."""
    if operation == "close":
        return (AFTER,)
    return (BEFORE, HALF, AFTER) if operation == "write" else (BEFORE, AFTER)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving(models=["gpt-4o-mini"], latency=0.0) as found:
        yield found


def fresh(folder: Path, server: ModelServer) -> Scene:
    """Nothing there yet."""
    write(folder / "in", *rows(4), "no row", row("z", model=UNKNOWN))
    return Scene(folder, "run", server, {"in": (folder / "in").read_bytes()})


def resumed(folder: Path, server: ModelServer) -> Scene:
    """Some rows are done, and both files end within a line, one of them in zeros."""
    write(folder / "in", *rows(2), "no row", row("z", model=UNKNOWN))
    assert run_well(folder / "in", "-o", folder / "out") == 1
    write(folder / "in", *rows(2), "no row", row("z", model=UNKNOWN), *(row(name) for name in "abc"))
    for name in ("out", "out.errors.jsonl"):
        with (folder / name).open("ab") as file:
            file.write(b'{"id": "rlc_00' + bytes(20))
    (folder / "out.job.json.tmp").write_bytes(b"of a killed process")
    return Scene(folder, "run", server, {path.name: path.read_bytes() for path in folder.iterdir()})


def retried(folder: Path, server: ModelServer) -> Scene:
    """Rows failed, and will succeed; others will fail again."""
    write(folder / "in", row("ok"), row("a", model=UNKNOWN), row("b", model=UNKNOWN), "no row", row("z", model=UNKNOWN))
    assert run_well(folder / "in", "-o", folder / "out") == 1
    write(folder / "in", row("ok"), row("a"), row("b"), "no row", row("z", model=UNKNOWN))
    (folder / "out.errors.jsonl.tmp").write_bytes(b"of a killed process")
    return Scene(folder, "retry", server, {path.name: path.read_bytes() for path in folder.iterdir()})


@pytest.mark.parametrize("make", [fresh, resumed, retried])
def test_each_operation_fails_once(
    make: Callable[[Path, ModelServer], Scene],
    tmp_path: Path,
    server: ModelServer,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """
    Before, within and after it takes effect, with EIO and with ENOSPC: the command ends with 74 or goes on as if
    nothing had been, and the same command then ends as the undisturbed one did, every row paid for once.
    """
    scene = make(tmp_path, server)
    scene.reset()
    undisturbed = FailingDisk()
    paid = server.tally.admitted
    code = scene.act(undisturbed)
    paid, expected = server.tally.admitted - paid, scene.result()
    assert code == 1
    assert {"open", "write", "sync", "close", "rename"} <= set(undisturbed.done)
    leftovers = {path.name for path in tmp_path.iterdir()}
    assert not [name for name in leftovers if name.endswith(".tmp")]

    cases = [
        (at, when, number)
        for at, operation in enumerate(undisturbed.done)
        for when in ways(operation)
        for number in ERRNOS
    ]
    for index, (at, when, number) in enumerate(cases):
        if SCALE == 1 and index % 2 == at % 2:  # each operation in each way, with one of the two
            continue
        scene.reset()
        before = server.tally.admitted
        capfd.readouterr()
        told = f"{undisturbed.done[at]} {at} {when} {errno.errorcode[number]}"
        first = scene.act(FailingDisk(at, when, number))
        said = capfd.readouterr().err
        assert first in (74, code), (told, said)
        assert "bug" not in said, told
        second = scene.act(FailingDisk())

        assert (second, scene.result()) == (code, expected), (told, first, said)
        assert server.tally.admitted - before == paid, (told, first, said)
        assert {path.name for path in tmp_path.iterdir()} <= leftovers | {"out.torn", "out.errors.2.jsonl"}, told


def test_a_disk_that_stays_broken_costs_what_was_out_and_no_more(tmp_path: Path, server: ModelServer) -> None:
    """
    From any operation on nothing is written any more: 74, whole lines, and the same command finishes the job.
    """
    scene = fresh(tmp_path, server)
    undisturbed = FailingDisk()
    assert scene.act(undisturbed) == 1
    expected = scene.result()
    for at in range(len(undisturbed.done) - 2):  # what is closed in the end has been synced
        if undisturbed.done[at] in ("close", "unlink"):
            continue
        scene.reset()
        assert scene.act(FailingDisk(at, BEFORE, errno.EIO, forever=True)) == 74, (at, undisturbed.done)
        assert scene.act(FailingDisk()) == 1
        assert scene.result() == expected


