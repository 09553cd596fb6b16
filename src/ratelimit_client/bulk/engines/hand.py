"""
How a worker is reached.

Law of this file: two things go wrong on the way, and they are told apart. ``Lost``: the
process is gone. ``Away``: there was no answer, and nobody knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .recipe import Recipe
from .worker import News, Task


class Lost(Exception):
    """The worker's process is gone, and with it what it had."""


class Away(Exception):
    """The worker does not answer; it may be there."""


class Hand(Protocol):
    """The methods of a ``Worker`` from somewhere else; each may raise ``Lost`` or ``Away``."""

    async def open(self, recipe: Recipe, key: str | None) -> str: ...
    async def take(self, tasks: Sequence[Task]) -> None: ...
    async def collect(self, after: int) -> News: ...
    async def end_of_input(self) -> None: ...
    async def refuse_queued(self) -> None: ...
    async def close(self) -> None: ...
