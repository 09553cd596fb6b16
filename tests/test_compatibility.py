"""The examples of frameworks: each is in the table, says how to install it, and imports what is public. Two are run."""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import anthropic
import pytest

from ratelimit_client import per_minute
from ratelimit_client.testing import ModelServer
from tests.programs import EXAMPLE_KEY, ROOT

FOLDER = ROOT / "examples" / "frameworks"
PAGE = ROOT / "docs" / "compatibility.md"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture
def compat(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/compat.py, which is no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return import_module("compat")


def imported(path: Path) -> list[tuple[str, str]]:
    """Module and name of each import of this library."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ratelimit_client":
            found += [(str(node.module), alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names if alias.name.split(".")[0] == "ratelimit_client"]
    return found


def rows_of_the_page() -> list[tuple[str, str, str]]:
    """What the page has tabled: title, version, example."""
    written = PAGE.read_text(encoding="utf-8").split("<!-- make compat: begin -->")[1]
    written = written.split("<!-- make compat: end -->")[0]
    return re.findall(r"^\| ([^|]+) \| ([^|]+) \| \[(\w+)\.py\]", written, re.MULTILINE)


def test_the_table_has_every_example_and_no_other(compat: ModuleType) -> None:
    """
    The examples, the rows of the run and the rows of the page are the same ones, in one order.
    """
    assert {row.name for row in compat.ROWS} == set(NAMES)
    assert [(title, name) for title, _, name in rows_of_the_page()] == [(row.title, row.name) for row in compat.ROWS]


def test_the_table_tells_versions(compat: ModuleType) -> None:
    """
    Each row begins with the package that it is about, and its version; "-" where it was not run.
    """
    packages = [row.package for row in compat.ROWS]
    versions = [version for _, version, _ in rows_of_the_page()]

    for package, version in zip(packages, versions, strict=True):
        assert version == "-" or re.match(rf"{package} \d+\.", version), version


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_made_of_public_names(name: str) -> None:
    """
    It compiles, and what it takes from this library is in the lists of public names.
    """
    path = FOLDER / f"{name}.py"
    compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
    found = imported(path)

    assert found
    for module, public in found:
        assert public in import_module(module).__all__, f"{module}.{public}"


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_how_it_is_run(name: str, compat: ModuleType) -> None:
    """
    Its docstring has the line that installs all it needs, this library first, and the line that runs it.
    """
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    row = next(row for row in compat.ROWS if row.name == name)
    first, *others = compat.packages(row)

    assert f"    python examples/frameworks/{name}.py [CALLS]" in text
    assert first.startswith(f"{ROOT}[")
    assert row.package in {other.split("[")[0] for other in others} | ({"openai"} if "[openai]" in first else set())


@pytest.mark.parametrize("name", ["openai_sdk", "anthropic_sdk"])
def test_an_example_gets_its_answers(name: str, compat: ModuleType) -> None:
    """
    Those whose SDK the tests have anyhow are run as `make compat` runs them, with fewer questions.
    """
    row = next(row for row in compat.ROWS if row.name == name)

    result = asyncio.run(compat.tried(row, sys.executable, questions=8))

    assert result.problem is None
    assert (result.said, result.admitted, result.refused) == ("4 answers, 4 streamed", 8, 0)
    assert result.green


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ({}, None),
        ({"refused": 10}, None),
        ({"refused": 11}, "11 refusals"),
        ({"streamed": 3}, "1 of 8 not answered"),
        ({"admitted": 9, "repeated": 1}, "9 calls were made for 8 answers, 1 of them answered twice"),
        ({"admitted": 9}, "9 calls were made for 8 answers, 0 of them answered twice"),
    ],
)
def test_a_run_is_judged_by_what_the_server_saw(
    counts: dict[str, int], problem: str | None, compat: ModuleType
) -> None:
    """
    Lost, doubled or refused too often: each is a problem of its own.
    """
    result = compat.Result(compat.Row("x", "X", "x"), **{"plain": 4, "streamed": 4, "admitted": 8, **counts})

    assert compat.judged(result, 4) == problem


def test_what_was_not_run_is_not_green(compat: ModuleType) -> None:
    """
    Neither is what failed, nor what works though it is said not to.
    """
    works, fails = compat.Row("x", "X", "x"), compat.Row("x", "X", "x", works=False)

    assert compat.Result(works, ran=True).green
    assert compat.Result(fails, ran=True, problem="15 of 80 not answered").green
    assert not compat.Result(works, problem="no redis-server on this machine").green
    assert not compat.Result(fails, problem="not installed").green
    assert not compat.Result(works, ran=True, problem="11 refusals").green
    assert not compat.Result(fails, ran=True).green
    assert "**not run**: not installed" in compat.line(compat.Result(works, problem="not installed"))
    assert compat.last("ERROR: long story\nERROR: none | at all\n") == "ERROR: none / at all"


def test_the_rest_of_the_page_stays(compat: ModuleType) -> None:
    """
    The table is written between its marks, however often.
    """
    page = f"# Title\n\n{compat.BEGIN}\nold\n{compat.END}\n\nmore\n"
    once = compat.written(page, "new")

    assert once == f"# Title\n\n{compat.BEGIN}\nnew\n{compat.END}\n\nmore\n"
    assert compat.written(once, "new") == once


def test_the_small_server_refuses_in_anthropics_language(compat: ModuleType) -> None:
    """
    It has true quotas: the second call of a minute that has one is a 429 with their headers and a time to wait.
    """
    serving = import_module("compat_server").serving
    asked: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}

    async def main() -> None:
        async with (
            serving(ModelServer(per_minute(requests=1))) as url,
            anthropic.AsyncAnthropic(api_key=EXAMPLE_KEY, base_url=url, max_retries=0) as client,
        ):
            assert (await client.messages.create(**asked)).content[0].text.endswith("5 characters were read.")
            with pytest.raises(anthropic.RateLimitError) as caught:
                await client.messages.create(**asked)
        headers = caught.value.response.headers
        assert headers["anthropic-ratelimit-requests-limit"] == "1"
        assert headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert 0 < int(headers["retry-after"]) <= 60

    asyncio.run(main())
