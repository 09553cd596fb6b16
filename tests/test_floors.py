"""
The floors of the library, as rules about its code.

    errors  <-  core  <-  dialects  <-  runtime  <-  adapters  <-  { testing | bulk | proxy }  <-  cli

Two kinds of check, because each sees what the other cannot. The static rule
reads every import statement, also those inside functions. The dynamic rule
imports a floor in a fresh interpreter and looks at what that loaded, also by
way of a third library or the standard library itself.

An import under ``if TYPE_CHECKING:`` makes no dependency at run time, yet it
shows what a file knows of. It may point up only where UP_FOR_TYPES says why.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "ratelimit_client"
SOURCE = Path(__file__).parent.parent / "src" / PACKAGE

STOREYS = (("errors",), ("core",), ("dialects",), ("runtime",), ("adapters",), ("testing", "bulk", "proxy"), ("cli",))
STOREY_OF = {floor: storey for storey, floors in enumerate(STOREYS) for floor in floors}
ROOF = len(STOREYS)
"""Where ``__init__`` and ``__main__`` stand: they may know everybody, nobody may know them."""

FROM_THE_ROOF = {"__version__"}
"""What anybody may import from the package itself."""

UP_FOR_TYPES = {("errors", "core.signals"), ("errors", "core.failure")}
"""Errors carry the Signals of an answer, or the FailureKind of none; the classes are needed for annotations only."""

PURE = ("errors", "core", "dialects")
UNWORLDLY = {"asyncio", "time", "random", "socket", "logging", "secrets", "selectors", "ssl", "threading", "os"}
"""Clocks, dice, wires and the like: what a pure floor may not import."""

ASKS_THE_TIME = {"now", "utcnow", "today", "fromtimestamp"}
"""Methods of datetime that read a clock or the local time zone."""

GUESTS = {"tenacity": "runtime/retrying.py", "aiolimiter": "runtime/pacing.py"}
"""Libraries that live behind our own objects, each in one file."""

MAY_LOAD = {
    "errors": set(),
    "core": {"attr", "attrs"},
    "dialects": {"attr", "attrs"},
    "runtime": {"attr", "attrs", "tenacity", "aiolimiter"},
}
"""Third-party packages by floor; above these floors everything the project depends on is allowed."""


class Import(NamedTuple):
    """One imported name: the file, the module it names in full, and whether it is for types only."""

    file: str
    line: int
    module: str
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(node: ast.AST, typing_only: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import below *node*, and whether it stands under ``if TYPE_CHECKING:``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, typing_only
        elif isinstance(child, ast.If) and is_type_checking(child.test):
            for inner in child.body:
                yield from statements(ast.Module([inner], []), True)
            for inner in child.orelse:
                yield from statements(ast.Module([inner], []), typing_only)
        else:
            yield from statements(child, typing_only)


def exists(module: str) -> bool:
    path = SOURCE.joinpath(*module.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports_of(text: str, file: str) -> list[Import]:
    """
    Every import of a file, with relative ones resolved.

    ``from .core import bucket`` names the module ``core.bucket`` where there is
    one, and the name ``core.bucket`` of the package ``core`` where there is none.
    """
    package = [PACKAGE, *Path(file).parent.parts]
    found = []
    for node, typing_only in statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (base, node.module or "") if part)
            modules = [f"{base}.{alias.name}" for alias in node.names]
            modules = [m if not m.startswith(PACKAGE) or exists(m) or base == PACKAGE else base for m in modules]
        found += [Import(file, node.lineno, module, typing_only) for module in modules]
    return found


@cache
def all_imports() -> tuple[Import, ...]:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 20, "the source was not found"
    return tuple(
        found for path in files for found in imports_of(path.read_text(), str(path.relative_to(SOURCE).as_posix()))
    )


def floor_of_file(file: str) -> str:
    return file.removesuffix(".py").split("/")[0]


def ours(found: Import) -> str | None:
    """The path inside the package that an import names, or None for a foreign one."""
    head, _, rest = found.module.partition(".")
    return rest if head == PACKAGE else None


def points_up(found: Import) -> bool:
    """Does this import name a higher floor, or a neighbour on its own storey?"""
    target = ours(found)
    if target is None or target in FROM_THE_ROOF:
        return False
    here, there = floor_of_file(found.file), target.split(".")[0]
    if here == there or STOREY_OF.get(here, ROOF) == ROOF:
        return False
    if found.typing_only and (here, target) in UP_FOR_TYPES:
        return False
    return STOREY_OF.get(there, ROOF) >= STOREY_OF[here]


def neighbours_talk(found: Import) -> bool:
    """Does one adapter import another?"""
    target = ours(found)
    if target is None or not found.file.startswith("adapters/") or not target.startswith("adapters."):
        return False
    return target.split(".")[1] != found.file.removesuffix(".py").split("/")[1]


def test_every_file_stands_on_a_floor() -> None:
    """
    Whatever lies in the package is a floor of the drawing, or the roof.
    """
    found = {floor_of_file(path.relative_to(SOURCE).as_posix()) for path in SOURCE.rglob("*.py")}

    assert found - set(STOREY_OF) == {"__init__", "__main__"}


def test_imports_only_point_down() -> None:
    """
    No file imports from a higher floor, from a neighbour on its storey, or from the roof.
    """
    assert [str(found) for found in all_imports() if points_up(found)] == []


def test_adapters_do_not_know_each_other() -> None:
    """
    Each package below adapters/ stands alone.
    """
    assert [str(found) for found in all_imports() if neighbours_talk(found)] == []


def test_pure_floors_import_no_world() -> None:
    """
    Below the runtime there is no clock, no dice, no wire and no log, and nothing from outside but attrs.
    """
    wrong = [
        str(found)
        for found in all_imports()
        if floor_of_file(found.file) in PURE
        and ours(found) is None
        and (
            found.module.split(".")[0] in UNWORLDLY
            or found.module.split(".")[0] not in sys.stdlib_module_names | {"attr", "attrs"}
        )
    ]

    assert wrong == []


def test_pure_floors_ask_no_datetime_for_the_time() -> None:
    """
    A pure floor may do arithmetic with dates but not ask what day it is.
    """
    wrong = [
        f"{path.relative_to(SOURCE)}:{node.lineno} {ast.unparse(node)}"
        for floor in PURE
        for path in [SOURCE / f"{floor}.py", *(SOURCE / floor).rglob("*.py")]
        if path.is_file()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ASKS_THE_TIME and "date" in ast.unparse(node.value)
    ]

    assert wrong == []


@pytest.mark.parametrize("guest", GUESTS)
def test_a_guest_lives_in_one_file(guest: str) -> None:
    """
    tenacity and aiolimiter are each imported in the one file that hides them.
    """
    hosts = {found.file for found in all_imports() if found.module.split(".")[0] == guest and not found.typing_only}

    assert hosts == {GUESTS[guest]}


LOOK = """
import importlib, pkgutil, sys
name, whole = sys.argv[1], sys.argv[2:]
before = set(sys.modules)
module = importlib.import_module(name)
for inner in pkgutil.walk_packages(module.__path__ if whole else (), name + "."):
    importlib.import_module(inner.name)
print(*sorted(set(sys.modules) - before))
"""


@cache
def loaded_by(name: str) -> frozenset[str]:
    """The modules that a fresh interpreter loads for *name* and, where it is a floor, for every module in it."""
    whole = ["whole"] if name != PACKAGE and (SOURCE / name.split(".")[1]).is_dir() else []
    command = [sys.executable, "-I", "-W", "error", "-c", LOOK, name, *whole]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("floor", PURE)
def test_a_pure_floor_loads_no_world(floor: str) -> None:
    """
    Nothing below the runtime loads asyncio, sockets, dice or logs, not even through somebody else's module.

    The time module is not looked for: the interpreter itself loads it at its start. The static rule covers it.
    """
    loaded = {name.split(".")[0] for name in loaded_by(f"{PACKAGE}.{floor}")}

    assert loaded & {"asyncio", "socket", "_socket", "random", "_random", "logging", "ssl", "selectors"} == set()


@pytest.mark.parametrize("floor", MAY_LOAD)
def test_a_floor_loads_only_the_libraries_it_may(floor: str) -> None:
    """
    Up to the runtime the HTTP libraries, Prometheus and rich are strangers.
    """
    loaded = {name.split(".")[0] for name in loaded_by(f"{PACKAGE}.{floor}")}
    foreign = {name for name in loaded - sys.stdlib_module_names - {PACKAGE} if not name.startswith("_")}

    assert foreign <= MAY_LOAD[floor]


@pytest.mark.parametrize("floor", [floor for floors in STOREYS for floor in floors if exists(f"{PACKAGE}.{floor}")])
def test_a_floor_loads_nothing_from_above(floor: str) -> None:
    """
    Whatever a floor and all its modules load of this package stands on the same floor or lower.
    """
    mine = {name.split(".")[1] for name in loaded_by(f"{PACKAGE}.{floor}") if name.startswith(f"{PACKAGE}.")}

    assert {other for other in mine if other != floor and STOREY_OF[other] >= STOREY_OF[floor]} == set()


def test_importing_the_package_loads_almost_nothing() -> None:
    """
    ``import ratelimit_client`` brings in no other module of its own, no asyncio and no library.
    """
    loaded = loaded_by(PACKAGE)
    heads = {name.split(".")[0] for name in loaded}

    assert {name for name in loaded if name.startswith(f"{PACKAGE}.")} == set()
    assert heads & {"asyncio", "aiohttp", "attr", "attrs", "socket", "logging"} == set()


FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("core/a.py", "from ..runtime.clock import Clock", "up"),
        ("core/a.py", "from ratelimit_client.dialects import openai", "up"),
        ("core/a.py", "def f():\n    from .. import cli", "up"),
        ("core/a.py", "from .. import Limiter", "up"),
        ("core/a.py", "import ratelimit_client", "up"),
        ("core/a.py", FOR_TYPES + "from ..runtime import clock", "up"),
        ("bulk/a.py", "from ..testing import ModelServer", "up"),
        ("adapters/aiohttp/client.py", "from ..prometheus import collector", "neighbour"),
        ("adapters/logging.py", "from .aiohttp.client import Client", "neighbour"),
        ("runtime/a.py", "from .. import __version__", None),
        ("runtime/a.py", "from ..core.bucket import Bucket", None),
        ("adapters/aiohttp/client.py", "from . import reply\nfrom ...runtime.limiter import Limiter", None),
        ("errors.py", FOR_TYPES + "from .core.signals import Signals", None),
        ("errors.py", "from .core.signals import Signals", "up"),
        ("cli/a.py", "from ..bulk.job import run\nimport rich", None),
        ("__main__.py", "from .cli import main", None),
    ],
)
def test_the_rules_see_what_they_should(file: str, text: str, complaint: str | None) -> None:
    """
    A broken floor is seen in every spelling, and a sound one is not complained of.
    """
    found = imports_of(text, file)

    assert any(points_up(one) for one in found) == (complaint == "up")
    assert any(neighbours_talk(one) for one in found) == (complaint == "neighbour")
