"""
What the library never does, read from its source.

A rule stands here when breaking it once would be enough, and when the code cannot be seen doing it in a test.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "ratelimit_client"

NEVER_IMPORTED = {
    "pickle": "whoever writes the bytes runs code",
    "cPickle": "the same",
    "dill": "the same",
    "marshal": "the same, and it crashes",
    "shelve": "it is pickle",
    "yaml": "JSON is all that is read or written",
    "tomllib": "nothing of a user's is TOML",
    "xml": "JSON is all that is read or written",
    "ctypes": "no memory is touched",
    "telnetlib": "one protocol is spoken",
    "ftplib": "one protocol is spoken",
    "http.cookiejar": "no cookie is kept",
    "netrc": "no credential is looked for",
    "brotli": "only gzip can be checked for completeness and counted",
    "zstandard": "the same",
    "imp": "no code comes from data",
    "runpy": "no code comes from data",
    "code": "no code comes from data",
    "pty": "no shell is opened",
    "subprocess": "no program is started",
}
NEVER_CALLED = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
NEVER_METHODS = {"os.system", "os.popen", "tempfile.mktemp", "os.chmod", "logging.basicConfig", "os.execv", "os.spawnv"}
NEVER_ARGUMENTS = {
    ("shell", True): "a shell reads what it is given",
    ("ssl", False): "certificates are always checked",
    ("verify", False): "the same",
    ("verify_ssl", False): "the same",
    ("check_hostname", False): "the same",
    ("allow_redirects", True): "no redirect is followed",
    ("trust_env", True): "no proxy and no password of the environment is used unasked",
    ("unsafe", True): "no cookie of an address is kept",
}


@cache
def trees() -> tuple[tuple[str, ast.Module], ...]:
    return tuple(
        (path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())) for path in sorted(SOURCE.rglob("*.py"))
    )


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def wrong_imports(tree: ast.Module) -> list[str]:
    return [name for name in imported(tree) if any(name == no or name.startswith(no + ".") for no in NEVER_IMPORTED)]


def wrong_calls(tree: ast.Module) -> list[str]:
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keeps_cookies = called.endswith("CookieJar") and "Dummy" not in called
            if called in NEVER_CALLED or called in NEVER_METHODS or keeps_cookies:
                wrong.append(f"{node.lineno} {called}")
            wrong += [
                f"{node.lineno} {keyword.arg}={keyword.value.value}"
                for keyword in node.keywords
                if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in NEVER_ARGUMENTS
            ]
    return wrong


def test_nothing_that_runs_or_trusts_what_it_reads():
    """
    No pickle, no eval, no YAML, no shell, no cookie jar, no certificate unchecked, in no file of the library.
    """
    found = dict(trees())

    assert len(found) > 100
    assert {name: wrong for name, tree in found.items() if (wrong := wrong_imports(tree))} == {}
    assert {name: wrong for name, tree in found.items() if (wrong := wrong_calls(tree))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import xml.etree.ElementTree",
        "def f():\n    import subprocess",
        "eval('1')",
        "x = compile('1', '', 'eval')",
        "os.system('ls')",
        "aiohttp.CookieJar()",
        "session.get(url, ssl=False)",
        "session.get(url, allow_redirects=True)",
        "aiohttp.ClientSession(trust_env=True)",
    ],
)
def test_the_rules_see_what_they_should(line: str):
    """
    One line of each kind.
    """
    tree = ast.parse(line)
    assert wrong_imports(tree) or wrong_calls(tree)


@pytest.mark.parametrize("line", ["aiohttp.DummyCookieJar()", "re.compile('x')", "f(ssl=context)", "import json"])
def test_the_rules_let_the_rest_be(line: str):
    """
    What only looks alike.
    """
    tree = ast.parse(line)
    assert wrong_imports(tree) == wrong_calls(tree) == []


def test_a_secret_is_revealed_in_few_places():
    """
    Where the key leaves its Secret: on the wire, and where it is compared or scrubbed. A new place is a decision.
    """
    places = {name for name, tree in trees() for node in ast.walk(tree) if reveals(node)}

    assert places == {
        "adapters/aiohttp/exchange.py",
        "adapters/aiohttp/pool.py",
        "adapters/aiohttp/session.py",
        "adapters/redis/address.py",
        "runtime/secret.py",
    }


def reveals(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reveal"


def test_files_are_opened_for_writing_in_one_place():
    """
    Where the mode is 0600 and no link is followed; besides, only the demo writes its own input, and pipes and devices
    get a summary.
    """
    writers = {name for name, tree in trees() for node in ast.walk(tree) if opens_to_write(node)}

    assert writers == {"bulk/disk.py", "bulk/summary.py", "cli/__init__.py", "cli/demo_job.py"}


def opens_to_write(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    if called in ("os.open",):
        return "O_RDONLY" not in ast.unparse(node)
    if called == "open" or called.endswith(".open"):
        modes = [argument.value for argument in [*node.args, *(k.value for k in node.keywords)] if is_text(argument)]
        return any(re.fullmatch(r"[rwaxbt+]+", mode) and set(mode) & set("wax+") for mode in modes)
    return called.endswith((".write_text", ".write_bytes"))


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_nothing_runs_when_it_is_installed():
    """
    The build has one backend, no hooks, no scripts of its own, and the five dependencies that were decided on.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert project["build-system"]["build-backend"] == "hatchling.build"
    assert "hooks" not in str(project["tool"]["hatch"])
    assert not (ROOT / "setup.py").exists()
    names = [re.split(r"[<>=!~\[]", line)[0] for line in project["project"]["dependencies"]]
    assert names == ["aiohttp", "aiolimiter", "attrs", "prometheus-client", "tenacity"]
