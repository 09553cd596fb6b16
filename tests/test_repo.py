"""Rules about the files of the repository: their size, their functions, and what none of them may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LINES_IN_A_FILE = 500
LINES_IN_A_FUNCTION = 60

SOMEBODYS_FOLDER = re.compile(r"(?<![\w.])/(?:root|work|opt|home/\w+|Users/\w+)/\w")
"""An absolute path of the machine somebody happened to sit at."""

KEY = re.compile(r"\bsk-(?:proj-)?[A-Za-z0-9]{20,}")
"""What an API key looks like."""

PUBLIC_INDEX = {"pypi.org", "files.pythonhosted.org"}


@cache
def files() -> tuple[Path, ...]:
    """The files of the repository: what git tracks or would add, or everything outside hidden folders without git."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        found = [ROOT / name for name in listed.stdout.splitlines()]
    else:
        found = [path for path in ROOT.rglob("*") if not any(p.startswith(".") for p in path.relative_to(ROOT).parts)]
    return tuple(sorted(path for path in found if path.is_file()))


def python_files() -> list[Path]:
    return [path for path in files() if path.suffix == ".py"]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function from its first statement on; its docstring and signature are free."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_a_file_answers_one_question() -> None:
    """
    No Python file is longer than 500 lines.
    """
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in python_files()}

    assert len(lengths) > 20
    assert {name: length for name, length in lengths.items() if length > LINES_IN_A_FILE} == {}


def test_a_function_fits_on_a_screen() -> None:
    """
    No function of the library has more than 60 lines below its docstring.
    """
    long = {
        f"{name_of(path)}:{node.lineno} {node.name}": body_lines(node)
        for path in python_files()
        if name_of(path).startswith("src/")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: length for name, length in long.items() if length > LINES_IN_A_FUNCTION} == {}


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """
    There is no absolute path of somebody's folders anywhere.
    """
    wrong = []
    for path in files():
        if path.suffix in (".png", ".gif", ".lock"):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            wrong += [f"{name_of(path)}:{number} {found[0]}" for found in [SOMEBODYS_FOLDER.search(line)] if found]

    assert wrong == []


def test_no_file_holds_a_key() -> None:
    """
    Nothing that looks like an API key is in the repository.
    """
    assert [name_of(path) for path in files() if KEY.search(path.read_text(errors="replace"))] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("see /home" "/ada/notes.txt", True),
        ("cd /work" "/main", True),
        ("https://host/work/item", False),
        ("/v1/chat/completions", False),
        ("benchmarks/work/x", False),
    ],
)
def test_the_rule_about_paths_sees_what_it_should(line: str, wrong: bool) -> None:
    """
    A home folder is seen; the path of a URL and a relative path are not.
    """
    assert bool(SOMEBODYS_FOLDER.search(line)) == wrong


def test_the_lock_names_the_public_index_and_nothing_else() -> None:
    """
    Every address in uv.lock is of the public package index; only the project itself comes from a folder.
    """
    text = (ROOT / "uv.lock").read_text()
    packages = tomllib.loads(text)["package"]

    assert set(re.findall(r"\w+://([^/\"]*)", text)) == PUBLIC_INDEX
    assert [p["name"] for p in packages if "registry" not in p["source"]] == ["ratelimit-client"]


def test_every_module_begins_with_its_docstring() -> None:
    """
    Each file of the library that holds code opens by saying what it is about.
    """
    trees = {name_of(path): ast.parse(path.read_text()) for path in python_files() if name_of(path).startswith("src/")}

    assert [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []
