"""
What came of each scene, told to the other processes of the same run of tests.

Law of this file: a scene is tortured once in a run. The table wants the reports of all scenes, and where tests are
spread over processes another one has most of them.
"""

from __future__ import annotations

import functools
import os
import pickle
from collections.abc import Callable
from pathlib import Path

from tests.torture.plans import Report, torture, torture_on_sockets
from tests.torture.trial import Scene

_folder: Path | None = None


def share(folder: Path) -> None:
    """Keep them in *folder*, which all processes of this run have and no other run."""
    global _folder
    _folder = folder


@functools.cache
def report(scene: Scene, seed: int = 0) -> Report:
    """Of ``torture``. The scene is one that its name tells."""
    return _told(f"{scene.__name__}, {seed}", lambda: torture(scene, seed))


@functools.cache
def report_on_sockets(scene: Scene) -> Report:
    """Of ``torture_on_sockets``."""
    return _told(f"{scene.__name__} on sockets", lambda: torture_on_sockets(scene))


def _told(name: str, find: Callable[[], Report]) -> Report:
    """One that failed is told to nobody: whoever wants it sees for himself."""
    if _folder is None:
        return find()
    path = _folder / f"torture of {name}"
    if path.exists():
        told: Report = pickle.loads(path.read_bytes())
        return told
    found = find()
    half = path.with_name(f"{path.name}, of {os.getpid()}")
    half.write_bytes(pickle.dumps(found))
    half.rename(path)
    return found
