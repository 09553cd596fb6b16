"""
What closing a limiter leaves to wait for.

Law of this file: it is nothing, and awaiting it is allowed.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any


class Closing:
    """The nothing that awaiting ``close()`` waits for."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield
