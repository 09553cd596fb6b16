"""
A job on a cluster: nothing is lost and nothing is twice, whoever is killed.

Starting a cluster takes longer than all tests of a module elsewhere, so there is one,
and none at all at the size of `make test`.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

from tests import canary
from tests.jobs import lines, names, row, rows, serving, wait_for, write
from tests.ray.clusters import Cluster, cluster
from tests.sizes import SIZE

ROWS = 1200


def answered(folder: Path, of: int) -> list[str]:
    return [name for number in range(1, of + 1) for name in names(folder / f"out.{number}-of-{of}")]


def killed_again_and_again(ray: Cluster, folder: Path) -> None:
    """
    Two workers, then the run itself; the same command goes on, and each row has one answer. What failed is retried.
    """
    write(folder / "in", *rows(ROWS), "no row", row("unknown", model="nobody-knows-it"))
    job = ("in", "-o", "out", "--ray-workers", "3", "--summary-file", "summary.json")
    with serving(models=["gpt-4o-mini"], latency=0.3) as server:
        first = ray.start(*job, folder=folder)
        wait_for(folder / "out.1-of-3", 60, within_s=120)
        ray.kill_a_worker()
        wait_for(folder / "out.1-of-3", 150, within_s=120)
        ray.kill_a_worker()
        wait_for(folder / "out.1-of-3", 220, within_s=120)
        first.kill()
        said, _ = first.communicate()

        last = ray.start(*job, folder=folder)
        out, err = last.communicate(timeout=240)
        server.models, before = None, server.tally.calls
        again = ray.start(*job[1:3], folder=folder, command="retry")
        again.communicate(timeout=240)
        assert server.tally.calls == before + 1

    assert last.returncode == 1, err.decode()
    assert sorted(answered(folder, 3)) == sorted(["unknown", *(f"row-{number}" for number in range(ROWS))])
    errors = [line for number in (1, 2, 3) for line in lines(folder / f"out.{number}-of-3.errors.jsonl")]
    assert [line["error"]["code"] for line in errors] == ["invalid_line"]
    aside = [line for path in folder.glob("out.*.errors.1.jsonl") for line in lines(path)]
    assert sorted(line["error"]["code"] for line in aside) == ["invalid_line", "model_not_found"]
    assert again.returncode == 1
    assert said == b""
    assert out == b""  # of what Ray says of its workers, nothing is where rows could be
    assert f" of {ROWS + 2} already done".encode() in err
    facts = json.loads((folder / "summary.json").read_text())
    assert (facts["rows"], facts["ok"] + facts["skipped"], facts["workers"]) == (ROWS + 2, ROWS, 3)
    # What was under way when its worker was killed is paid for twice, and nothing else is.
    assert server.tally.calls <= ROWS + 700


def reads_what_ray_reads(ray: Cluster, folder: Path) -> None:
    """
    A folder of files, one of them compressed, one without a last newline; the shards are as many as the workers.
    """
    (folder / "in").mkdir()
    write(folder / "in" / "a.jsonl", *rows(20))
    (folder / "in" / "b.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(row("second")).encode())
    with gzip.open(folder / "in" / "c.jsonl.gz", "wb") as file:
        file.write(json.dumps(row("third")).encode() + b"\r\n" + json.dumps(row("row-3")).encode() + b"\n")
    with serving() as server:
        done = ray.start("in", "-o", "out", folder=folder)
        _, err = done.communicate(timeout=240)
        again = ray.start("in", "-o", "out", folder=folder)
        again.communicate(timeout=240)

    assert (done.returncode, again.returncode) == (1, 1), err.decode()
    assert server.tally.calls == 22
    assert sorted(answered(folder, 2)) == sorted([*(f"row-{number}" for number in range(20)), "second", "third"])
    (error,) = [line for number in (1, 2) for line in lines(folder / f"out.{number}-of-2.errors.jsonl")]
    assert (error["error"]["code"], error["error"]["line"], error["error"]["first_line"]) == (
        "duplicate_custom_id",
        23,
        4,
    )


def stays_within_the_limit(ray: Cluster, folder: Path) -> None:
    """
    A limit that was typed is divided: two workers together are refused no more than one would be.
    """
    write(folder / "in", *rows(240))
    with serving("600 requests/min", latency=0.1) as server:
        done = ray.start("in", "-o", "out", "--limit", "600 requests/min", folder=folder)
        _, err = done.communicate(timeout=240)
    assert done.returncode == 0, err.decode()
    assert (server.tally.calls, server.tally.refusals) == (240, 0)


def rows_to_stdout(ray: Cluster, folder: Path) -> None:
    """
    Rows only, though Ray prints there that a worker died.
    """
    write(folder / "in", *rows(300))
    with serving(latency=0.5):
        done = ray.start("in", "-o", "-", folder=folder)
        assert done.stdout is not None
        first = os.read(done.stdout.fileno(), 1)  # what a reader of lines would have ahead, communicate would not see
        ray.kill_a_worker()
        out, err = done.communicate(timeout=240)
    assert done.returncode == 0, err.decode()
    found = [json.loads(line)["custom_id"] for line in (first + out).splitlines()]
    assert sorted(found) == sorted(f"row-{number}" for number in range(300))
    assert b"a worker was lost" in err


def is_refused_in_a_sentence(ray: Cluster, folder: Path) -> None:
    """
    An input that is not there; no shard is made for it.
    """
    with serving():
        done = ray.start("in", "-o", "out", folder=folder)
        _, err = done.communicate(timeout=240)
    assert (done.returncode, list(folder.iterdir())) == (2, [])
    assert b"in cannot be read: there is no such file or folder" in err


SCENES = (
    killed_again_and_again,
    reads_what_ray_reads,
    stays_within_the_limit,
    rows_to_stdout,
    is_refused_in_a_sentence,
)


if SIZE != "test":

    def test_jobs_on_a_cluster(tmp_path: Path) -> None:
        """
        The scenes above, one after the other; nothing that Ray wrote down holds the key.
        """
        with cluster() as ray:
            for scene in SCENES:
                folder = tmp_path / scene.__name__
                folder.mkdir()
                scene(ray, folder)
            assert not any(canary.KEY.encode() in text for text in ray.written())
