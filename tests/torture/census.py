"""
What there is to be cancelled: every public coroutine, and every await of the library.

Law of this file: it looks at the code and at nothing that was written down about it, so
whatever is new is seen. A coroutine is public when it can be reached from a name that is
exported: from a function, a method, or what they say they return. An await is a line of
code at which a coroutine may stand still.
"""

from __future__ import annotations

import dis
import functools
import importlib
import inspect
import linecache
import pkgutil
import re
from collections.abc import Iterable, Iterator
from types import CodeType, ModuleType
from typing import Any

import attrs

import ratelimit_client
from tests.torture.victim import Place, is_ours

EXPORTING = (
    "ratelimit_client",
    "ratelimit_client.adapters.aiohttp",
    "ratelimit_client.adapters.prometheus",
    "ratelimit_client.proxy",
    "ratelimit_client.testing",
    "ratelimit_client.testing.serve",
    "ratelimit_client.bulk.job",
)
"""Modules whose names are for others."""

_SUSPENDING = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_AWAITABLE = re.compile(r"\b(Coroutine|Awaitable|AsyncIterator|AsyncGenerator)\b")
_ENTRANCES = frozenset({"__aenter__", "__aexit__", "__anext__", "__await__"})


def public_coroutines() -> dict[str, Any]:
    """By qualified name: functions that return something to be awaited."""
    named = {value.__name__: value for module in _modules() for value in vars(module).values() if _is_our_class(value)}
    ahead: list[Any] = [value for name in EXPORTING for value in _exported(importlib.import_module(name))]
    known: set[int] = set()
    found: dict[str, Any] = {}
    while ahead:
        one = ahead.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        functions = _methods(one) if inspect.isclass(one) else [one]
        for function in functions:
            returned = str(getattr(function, "__annotations__", {}).get("return", ""))
            ahead += [named[word] for word in re.findall(r"\w+", returned) if word in named]
            if inspect.iscoroutinefunction(function) or _AWAITABLE.search(returned) or _is_await(function):
                found[function.__qualname__] = function
    return found


def _exported(module: ModuleType) -> Iterator[Any]:
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    for name in names:
        value = getattr(module, name)
        if getattr(value, "__module__", "").startswith("ratelimit_client") and callable(value):
            yield value


def _methods(cls: type) -> Iterator[Any]:
    for base in cls.__mro__:
        if base.__module__.startswith("ratelimit_client"):
            for name, value in vars(base).items():
                if inspect.isfunction(value) and (name in _ENTRANCES or not name.startswith("_")):
                    yield value


def _is_await(function: Any) -> bool:
    return getattr(function, "__name__", "") == "__await__"


def _is_our_class(value: Any) -> bool:
    return inspect.isclass(value) and value.__module__.startswith("ratelimit_client")


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(ratelimit_client.__path__, "ratelimit_client."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


@attrs.frozen
class Await:
    """
    A line at which a coroutine may stand still.

    Args:
        file: below the package.
        function: its qualified name.
        text: of the line.
    """

    file: str
    function: str
    text: str


@functools.cache
def awaits() -> dict[tuple[str, str, int], Await]:
    """All there are in the package, by file, function and line."""
    found = {}
    for module in _modules():
        path = module.__file__
        assert path is not None
        with open(path, encoding="utf-8") as source:
            code = compile(source.read(), path, "exec")
        for one in _within(code):
            for step in dis.get_instructions(one):
                if step.opname == "SEND" and step.positions is not None and step.positions.lineno is not None:
                    line = step.positions.lineno
                    text = linecache.getline(path, line).strip()
                    file = path.partition("/ratelimit_client/")[2]
                    found[file, one.co_qualname, line] = Await(file, one.co_qualname, text)
    return found


def _within(code: CodeType) -> Iterator[CodeType]:
    if code.co_flags & _SUSPENDING:
        yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _within(constant)


def met(places: Iterable[Place]) -> set[tuple[str, str, int]]:
    """Those places that are the library's, as ``awaits`` names them."""
    return {
        (code.co_filename.partition("/ratelimit_client/")[2], code.co_qualname, line)
        for code, line in places
        if is_ours(code)
    }
