"""The public names: one list in the code, the same list in docs/reference.md, each of them there."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import ratelimit_client
from ratelimit_client import errors

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


def documented() -> dict[str, set[str]]:
    """The names of each section of the reference, by the module that is its heading."""
    sections = re.split(r"^## ", REFERENCE, flags=re.MULTILINE)[1:]
    return {
        section.split("\n", 1)[0].strip("` "): set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        for section in sections
    }


def imported_for_types() -> set[str]:
    """The names that the TYPE_CHECKING block of the package gives to type checkers."""
    tree = ast.parse(Path(ratelimit_client.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    found = set()
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            assert alias.name == alias.asname, f"{alias.name} is not re-exported for type checkers"
            assert ratelimit_client._HOME_OF[alias.name] == statement.module, alias.name
            found.add(alias.name)
    return found


@pytest.mark.parametrize("module", documented())
def test_the_documented_names_are_the_public_names(module: str) -> None:
    """
    A module's __all__ and its section of the reference hold the same names.
    """
    assert set(import_module(module).__all__) == documented()[module]


@pytest.mark.parametrize("module", documented())
def test_every_documented_name_is_there(module: str) -> None:
    """
    Each public name can be imported and is an object of this library.
    """
    home = import_module(module)

    for name in sorted(documented()[module]):
        value = getattr(home, name)
        assert isinstance(value, ModuleType) or value.__module__.startswith("ratelimit_client"), name


def test_type_checkers_see_the_same_names() -> None:
    """
    The TYPE_CHECKING block and the lazy table agree, name by name and home by home.
    """
    assert imported_for_types() == set(ratelimit_client.__all__)


def test_every_error_is_a_friendly_name() -> None:
    """
    Whatever errors.py defines can be imported from the package itself.
    """
    defined = {name for name, value in vars(errors).items() if getattr(value, "__module__", "") == errors.__name__}
    kinds = {name for name in defined if not name.startswith("_")}

    assert kinds <= set(ratelimit_client.__all__)


def test_a_name_is_loaded_once_and_a_wrong_one_is_named() -> None:
    """
    A lazy name is kept after its first use; a name that is not there raises AttributeError saying which.
    """
    first = ratelimit_client.Reading

    assert vars(ratelimit_client)["Reading"] is first
    assert set(ratelimit_client.__all__) <= set(dir(ratelimit_client))
    with pytest.raises(AttributeError, match="'Limitre'"):
        ratelimit_client.Limitre


def test_the_version_is_a_version() -> None:
    """
    The package, and so its distribution, has a version of three numbers.
    """
    assert re.fullmatch(r"\d+\.\d+\.\d+", ratelimit_client.__version__)
