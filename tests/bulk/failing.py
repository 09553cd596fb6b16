"""A disk on which one operation fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import attrs

from ratelimit_client.bulk.disk import Disk

T = TypeVar("T")

BEFORE, HALF, AFTER = "before", "half", "after"


@attrs.define(eq=False)
class FailingDisk(Disk):
    """
    The disk of this machine, until one operation.

    Args:
        at: number of the operation that fails, from 0; None: all is well.
        when: before it took effect, after it did, or, of a write, after half of it.
        number: the errno.
        forever: so does every later one that puts something on the disk.
        done: the operations, by name.
    """

    at: int | None = None
    when: str = BEFORE
    number: int = 0
    forever: bool = False
    done: list[str] = attrs.field(factory=list)

    def open(self, path: str, flags: int) -> int:
        made: list[int] = []

        def act() -> int:
            made.append(super(FailingDisk, self).open(path, flags))
            return made[0]

        try:
            return self._do("open", act)
        except OSError as error:
            for fd in made:
                os.close(fd)
            raise OSError(error.errno, error.strerror, path) from None

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self.when == HALF and self.at == len(self.done):
            super().write(fd, data[: len(data) // 2])
        return self._do("write", lambda: super(FailingDisk, self).write(fd, data))

    def truncate(self, fd: int, size: int) -> None:
        self._do("truncate", lambda: super(FailingDisk, self).truncate(fd, size))

    def sync(self, fd: int) -> None:
        self._do("sync", lambda: super(FailingDisk, self).sync(fd))

    def close(self, fd: int) -> None:
        self.done.append("close")
        super().close(fd)  # a descriptor is closed whatever is said of it
        if self.at == len(self.done) - 1:
            raise OSError(self.number, os.strerror(self.number))

    def link(self, path: str, other: str) -> None:
        self._do("link", lambda: super(FailingDisk, self).link(path, other))

    def rename(self, path: str, other: str) -> None:
        self._do("rename", lambda: super(FailingDisk, self).rename(path, other))

    def unlink(self, path: str) -> None:
        self._do("unlink", lambda: super(FailingDisk, self).unlink(path))

    def _do(self, name: str, act: Callable[[], T]) -> T:
        index = len(self.done)
        self.done.append(name)
        fails = index == self.at or (self.forever and self.at is not None and index > self.at and name != "unlink")
        if not fails:
            return act()
        if self.when == AFTER:
            act()
        raise OSError(self.number, os.strerror(self.number))
