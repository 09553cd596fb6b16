"""Each example runs as its docstring says, against a model server; the job of examples/ is what its script writes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ratelimit_client import per_second
from tests.programs import ROOT, run

EXAMPLES = ROOT / "examples"
SCRIPTS = {"make_job.py"}
"""Not examples of the library: tried by tests of their own."""

PRINTS = {
    "attempts.py": ("spleen: ", "spiles: "),
    "headers.py": ("rate_limited: tokens", "requests: 4993 of 5000 left"),
    "map_rows.py": ("gpt-4o-mini-2024-07-18: ", "text-embedding-3-small: "),
    "realtime.py": ("Answer to gpt-realtime", "completed, "),
    "stream.py": (" characters were read.", " events, "),
    "openai_sdk.py": ("What is the answer? ", "What is 30 squared? "),
    "own_http.py": ("numbers for 'Call me Ishmael.'", "numbers for '吾輩は猫である。名前はまだ無い。'"),
    "own_session.py": ("spleen: ", "spiles: ", " numbers"),
    "worker_loop.py": (" 40 archive: answered after ", "  1 ada: answered after "),
}
"""What each example's output must contain."""


def make_job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_job", EXAMPLES / "make_job.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def job() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EXAMPLES / "job.jsonl").read_text(encoding="utf-8").split("\n") if line]


def prompt_length(body: dict[str, Any]) -> int:
    """The characters that a row sends to the model."""
    if "messages" in body:
        return sum(len(message["content"]) for message in body["messages"])
    return len(body["input"]) if isinstance(body["input"], str) else sum(map(len, body["input"]))


def test_every_example_is_tried() -> None:
    """
    A new example has to say here what it prints.
    """
    assert {path.name for path in EXAMPLES.glob("*.py")} == PRINTS.keys() | SCRIPTS


@pytest.mark.parametrize("name", PRINTS)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    """
    The program ends well, prints what it is about, and complains of nothing.
    """
    outcome = run(str(EXAMPLES / name), folder=tmp_path)

    assert (outcome.code, outcome.stderr) == (0, "")
    for line in PRINTS[name]:
        assert line in outcome.stdout


@pytest.mark.parametrize("name", ["attempts.py", "map_rows.py", "openai_sdk.py", "own_session.py", "worker_loop.py"])
def test_an_example_gets_everything_answered_by_a_strict_server(name: str, tmp_path: Path) -> None:
    """
    Where answers take time and the budget is tight, nothing is lost and each row is answered once.
    """
    easy = run(str(EXAMPLES / name), folder=tmp_path)
    strict = run(str(EXAMPLES / name), folder=tmp_path, limits=per_second(requests=15), latency=0.05)

    assert (strict.code, strict.stderr) == (0, "")
    assert strict.server.tally.answered == easy.server.tally.answered


def test_the_job_is_what_its_script_writes() -> None:
    """
    examples/job.jsonl is the script's output, byte for byte: the seed decides everything.
    """
    assert make_job().text() == (EXAMPLES / "job.jsonl").read_text(encoding="utf-8")


def test_the_job_is_a_real_one() -> None:
    """
    Over three hundred rows of very different lengths, for two chat models and one that embeds,
    some with max_tokens and some without, in many scripts.
    """
    rows = job()
    lengths = sorted(prompt_length(row["body"]) for row in rows)
    bodies = [row["body"] for row in rows]

    assert len(rows) >= 320
    assert len({row["custom_id"] for row in rows}) == len(rows)
    assert lengths[0] <= 20
    assert lengths[-1] >= 12_000
    assert lengths[len(lengths) // 2] < 1_000
    assert {row["url"] for row in rows} == {"/v1/chat/completions", "/v1/embeddings"}
    assert len({body["model"] for body in bodies}) == 3
    assert 0.2 < sum("max_tokens" in body for body in bodies) / len(bodies) < 0.8
    text = json.dumps(rows, ensure_ascii=False)
    for letter in "ßéñ吾舉Жμबخ":
        assert letter in text


def test_every_text_names_its_source() -> None:
    """
    Each text that the job is built from says in its first line what it is and that it is public domain.
    """
    firsts = [path.read_text(encoding="utf-8").split("\n", 1)[0] for path in sorted((EXAMPLES / "texts").iterdir())]

    assert len(firsts) >= 8
    assert [line for line in firsts if not (line.startswith("Source: ") and "public domain" in line.lower())] == []
