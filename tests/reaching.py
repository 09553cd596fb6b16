"""
What can be found from an error or an object, by whoever prints more than its text.

Law of this file: it looks everywhere a crash reporter or a debugger does, and not into a
`Secret`, which is the place for a secret. The frames of the tests are left out: they may
hold what is theirs.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

from ratelimit_client.runtime.secret import Secret
from tests.canary import shows

TESTS = str(Path(__file__).parent)


def chain(error: BaseException) -> Iterator[BaseException]:
    """*error* and all that hangs on it."""
    known: set[int] = set()
    ahead = [error]
    while ahead:
        one = ahead.pop()
        if id(one) not in known:
            known.add(id(one))
            yield one
            ahead += [other for other in (one.__cause__, one.__context__) if other is not None]
            ahead += one.exceptions if isinstance(one, BaseExceptionGroup) else ()


def frames(error: BaseException) -> Iterator[FrameType]:
    """The frames of its traceback, without those of the tests, which may hold what is theirs."""
    trace = error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(TESTS):
            yield trace.tb_frame
        trace = trace.tb_next


def inside(value: Any) -> Iterator[Any]:
    """What *value* holds, one level down. A Secret is the place for a secret, and is not opened."""
    if isinstance(value, Secret | type | ModuleType | FunctionType):
        return
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    else:
        yield from getattr(value, "__dict__", {}).values()
        for kind in type(value).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                with contextlib.suppress(AttributeError):
                    yield getattr(value, name)


def texts(error: BaseException) -> Iterator[tuple[str, str]]:
    """Everything about *error* that somebody could print, with the place it was found at."""
    for one in chain(error):
        name = type(one).__name__
        yield name, f"{one} {one!r} {one.args!r} {vars(one)!r}"
        for frame in frames(one):
            place = f"{name} in {frame.f_code.co_qualname}"
            for local, value in frame.f_locals.items():
                layer = [value]
                for level in range(3):
                    for found in layer:
                        yield f"{place}: {local}, level {level}", repr(found)
                    layer = [found for value in layer for found in inside(value)]


def places_of_the_key(error: BaseException) -> list[str]:
    return [place for place, text in texts(error) if shows(text)]


def printed(error: BaseException) -> str:
    """What a crash reporter sends of the library's frames: the texts of all errors, and the locals as they print."""
    return " ".join(text for place, text in texts(error) if "level" not in place or place.endswith("level 0"))


def reachable(*roots: object, but: object) -> Iterator[Any]:
    """Every object of the library that can be reached from *roots*; not what a Secret holds, nor the loop."""
    known: set[int] = {id(but), *map(id, roots)}
    layer: list[Any] = list(roots)
    while layer:
        yield from (one for one in layer if type(one).__module__.startswith("ratelimit_client"))
        opened = [one for one in layer if not isinstance(one, Secret | type | ModuleType | FunctionType)]
        layer = [one for one in gc.get_referents(*opened) if id(one) not in known]
        known.update(map(id, layer))
