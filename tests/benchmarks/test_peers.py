"""
The peers of the race, read and not run: they and their packages are never installed by the tests.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks.peers import FOLDER, PEERS, VARIANTS, Peer, envs, job

SHARED = ("job", "pause")
OF_THE_FOLDER = {"__init__.py", "envs.py", *(f"{name}.py" for name in SHARED)}
PINNED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[0-9][0-9A-Za-z.+!-]*)")

every_peer = pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)


def pinned(peer: Peer) -> dict[str, str]:
    """Versions by normalized name; a line that pins nothing fails the test."""
    found: dict[str, str] = {}
    for line in peer.requirements.read_text(encoding="utf-8").splitlines():
        match = PINNED.fullmatch(line)
        assert match, f"{peer.requirements.name}: {line!r} is not name==version"
        name = re.sub(r"[-_.]+", "-", match["name"]).lower()
        assert name not in found, f"{peer.requirements.name}: {name} twice"
        found[name] = match["version"]
    return found


def imported(path: Path) -> set[str]:
    """Top-level names of what a script imports, wherever it does."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} is run as a script, so a relative import fails"
            names.add(str(node.module).split(".")[0])
    return names


def test_every_script_and_requirement_file_is_of_a_peer() -> None:
    """Nothing lies in the folder that no peer owns, and no peer lacks its two files."""
    assert {path.name for path in FOLDER.glob("*.py")} - OF_THE_FOLDER == {peer.script.name for peer in PEERS}
    assert set((FOLDER / "requirements").iterdir()) == {peer.requirements for peer in PEERS}


@every_peer
def test_the_whole_closure_is_pinned(peer: Peer) -> None:
    """A requirement file is lines of name==version, the peer's own among them at the version that is raced."""
    assert pinned(peer)[peer.package] == peer.version


@every_peer
def test_a_script_knows_its_peer_and_nothing_of_ours(peer: Peer) -> None:
    """It imports the standard library, what all scripts share, and packages that its requirement file names."""
    theirs = {name.replace("-", "_") for name in pinned(peer)}

    strangers = imported(peer.script) - sys.stdlib_module_names - theirs - set(SHARED)

    assert strangers == set()


@pytest.mark.parametrize("name", SHARED)
def test_what_scripts_share_needs_the_standard_library_only(name: str) -> None:
    """It is imported by environments that hold nothing in common."""
    assert imported(FOLDER / f"{name}.py") <= sys.stdlib_module_names


@every_peer
def test_no_script_hides_the_package_it_is_about(peer: Peer) -> None:
    """The folder of a script comes first where Python looks, so its name must not be one that can be imported."""
    assert not peer.script.stem.isidentifier()


@every_peer
def test_a_script_says_what_was_set_and_why(peer: Peer) -> None:
    """Its docstring has a paragraph for each variant."""
    said = ast.get_docstring(ast.parse(peer.script.read_text(encoding="utf-8"))) or ""

    assert peer.variants == VARIANTS
    assert all(re.search(rf"^{variant}: ", said, re.MULTILINE) for variant in peer.variants)


def test_a_job_is_read_and_settled_line_by_line(tmp_path: Path) -> None:
    """What a peer writes is there at once: when it started, and which rows it answered or gave up, and when."""
    row = {"custom_id": "row-1", "body": {"messages": [{"role": "user", "content": "nine char"}]}}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    told = {
        "base_url": "http://127.0.0.1:1/v1",
        "rows": str(tmp_path / "rows.jsonl"),
        "out": str(tmp_path / "out.jsonl"),
        "started": str(tmp_path / "started.txt"),
        "variant": "tuned",
        "limits": {"requests_per_minute": 300, "tokens_per_minute": None},
        "in_flight": 64,
        "attempts": 8,
    }
    (tmp_path / "job.json").write_text(json.dumps(told), encoding="utf-8")

    work = job.read(tmp_path / "job.json")
    work.start()
    work.answered("row-1")
    work.gave_up("row-2", ValueError("no"))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    work.out.close()

    started = float((tmp_path / "started.txt").read_text(encoding="utf-8"))
    assert [(line["custom_id"], line["ok"], line.get("error")) for line in lines] == [
        ("row-1", True, None),
        ("row-2", False, "ValueError: no"),
    ]
    assert started <= lines[0]["at"] <= lines[1]["at"]
    assert (work.tuned, work.requests_per_minute, work.tokens_per_minute) == (True, 300, None)
    assert (job.prompt(work.rows[0]), job.tokens(work.rows[0])) == ("nine char", 5)


def test_a_peer_that_needs_a_python_that_is_not_there_says_so() -> None:
    """It is skipped with the reason, never run on a Python it does not support."""
    with pytest.raises(envs.Missing, match=r"needs Python 3\.99"):
        envs.interpreter((3, 99))


def test_a_peer_runs_on_the_python_that_runs_us_where_it_can() -> None:
    """So that nobody is faster by a newer one."""
    version, _ = envs.interpreter((3, 11))

    assert version == ".".join(map(str, sys.version_info[:3]))
