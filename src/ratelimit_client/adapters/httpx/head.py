"""
The header fields of an answer, as bytes until somebody reads them.

Law of this file: every field is there as it was sent, also one that was sent twice. Of most
answers few fields are read, or none, and httpx's own mapping looks through all of them,
and for their encoding, whenever it is asked for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Head:
    """
    What ``dialects.read`` takes for headers.

    Args:
        headers: of httpx, or of a module like it.
    """

    __slots__ = ("_headers", "_listed")

    def __init__(self, headers: Any) -> None:
        self._headers = headers
        self._listed: list[tuple[bytes, bytes]] | None = None
        """Made when somebody asks: of most answers nobody does."""

    @property
    def _raw(self) -> list[tuple[bytes, bytes]]:
        if self._listed is None:
            self._listed = self._headers.raw
        return self._listed

    def __iter__(self) -> Iterator[str]:
        return iter([name.decode("latin-1") for name, _ in self._raw])

    def values(self) -> list[str]:
        """In the order of the names."""
        return [value.decode("latin-1") for _, value in self._raw]

    def items(self) -> list[tuple[str, str]]:
        """Each field with its name."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._raw]

    def get(self, name: bytes) -> str:
        """The first field of that name, which is given in lower case; "" when there is none."""
        for each, value in self._raw:
            if len(each) == len(name) and each.lower() == name:
                return value.decode("latin-1")
        return ""

    def __repr__(self) -> str:
        return f"<Head of {len(self._raw)} fields>"
