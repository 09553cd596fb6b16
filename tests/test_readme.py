"""
What README.md and docs/ tell a reader to type is tried here.

Every Python block is compiled. One that stands below ``<!-- run -->`` is a whole
program and is run against a model server. Every ``ratelimit-client`` and ``make``
line of a shell block names only commands, flags and targets that exist. Every
relative link leads somewhere.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.programs import EXAMPLE_KEY, ROOT, run

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"^(?P<mark><!-- run -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
MARK = "<!-- run -->"


class Block(NamedTuple):
    """A fenced block of a page: where it stands, its language, its text, and whether it is to be run."""

    place: str
    language: str
    text: str
    runs: bool


def blocks_of(text: str, page: str) -> list[Block]:
    return [
        Block(
            f"{page}:{text.count(chr(10), 0, found.start('text'))}",
            found["language"],
            found["text"],
            found["mark"] is not None,
        )
        for found in FENCE.finditer(text)
    ]


def blocks(*languages: str) -> list[Block]:
    found = [block for page in PAGES for block in blocks_of(page.read_text(), str(page.relative_to(ROOT)))]
    return [block for block in found if block.language in languages]


def by_place(block: Block) -> str:
    return block.place


def shell_lines(program: str) -> list[tuple[str, list[str]]]:
    """The words after *program* in every shell line that starts with it, continued lines joined."""
    lines = []
    for block in blocks("sh", "console", "bash"):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = line.split("#")[0].removeprefix("$ ").split()
            if words and words[0] == program:
                lines.append((f"{block.place} {' '.join(words)}", words[1:]))
    return lines


@cache
def help_of(command: str) -> str:
    """What ``ratelimit-client COMMAND --help`` prints."""
    arguments = [sys.executable, "-m", "ratelimit_client", *([command] if command else []), "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} --help: {done.stderr}"
    return done.stdout


@pytest.mark.parametrize("block", blocks("python"), ids=by_place)
def test_a_python_block_is_python(block: Block) -> None:
    """
    Each block compiles; a fragment may await at its top.
    """
    compile(block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


@pytest.mark.parametrize("block", [block for block in blocks("python") if block.runs], ids=by_place)
def test_a_marked_block_runs(block: Block, tmp_path: Path) -> None:
    """
    Each block marked as a program runs to its end against a model server, prints something and complains of nothing.
    """
    outcome = run("-c", block.text, folder=tmp_path)

    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.stdout
    assert EXAMPLE_KEY not in outcome.stdout


@pytest.mark.parametrize("line", shell_lines("ratelimit-client"), ids=lambda line: line[0])
def test_a_command_line_names_what_exists(line: tuple[str, list[str]]) -> None:
    """
    The subcommand and every flag of a documented command line are in its --help.
    """
    _place, words = line
    command = words[0] if words and not words[0].startswith("-") else ""
    flags = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}

    assert flags <= set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", help_of(command)))


@pytest.mark.parametrize("line", shell_lines("make"), ids=lambda line: line[0])
def test_a_make_line_names_targets_that_exist(line: tuple[str, list[str]]) -> None:
    """
    Every target that a page tells the reader to make is in the Makefile.
    """
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert {word for word in line[1] if "=" not in word} <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """
    Each relative link of a page is the path of a file or folder in the repository.
    """
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_the_pages_were_read() -> None:
    """
    The rules above have something to look at: programs, command lines and links are found, and no mark goes unheard.
    """
    assert sum(block.runs for block in blocks("python")) >= 3
    assert sum(block.runs for block in blocks("python")) == sum(page.read_text().count(MARK) for page in PAGES)
    assert len(shell_lines("ratelimit-client")) >= 2
    assert {"demo", "test"} <= {word for _, words in shell_lines("make") for word in words}
    sample = f"see [a](b.md#c)\n\n{MARK}\n```python\nprint(1)\n```\n\n```sh\nls\n```\n"
    assert [block.runs for block in blocks_of(sample, "x")] == [True, False]
    assert LINK.findall(sample) == ["b.md"]
