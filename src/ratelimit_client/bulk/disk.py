"""
The operations that change files.

Law of this file: whatever a job writes is written by one of these, and they decide
nothing. So a disk on which each of them fails, before or after it did its work, can be
handed in, and what becomes of a job on such a disk can be tried.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection
from typing import Final

_MODE: Final = 0o600
_ALWAYS: Final = os.O_CLOEXEC | os.O_NOFOLLOW


class Disk:
    """The disk of this machine; every operation raises OSError as it comes."""

    def open(self, path: str, flags: int) -> int:
        """A descriptor; a file that is made for it is its owner's only."""
        return os.open(path, flags | _ALWAYS, _MODE)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        return os.write(fd, data)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        os.fsync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def link(self, path: str, other: str) -> None:
        os.link(path, other, follow_symlinks=False)

    def rename(self, path: str, other: str) -> None:
        """Takes the place of what *other* was."""
        os.replace(path, other)

    def unlink(self, path: str) -> None:
        os.unlink(path)


DISK: Final = Disk()


def write_all(fd: int, text: bytes, disk: Disk = DISK) -> None:
    """Write all of *text*, however many writes that takes."""
    view = memoryview(text)
    while view:
        view = view[disk.write(fd, view) :]


def sync_folder(path: str, disk: Disk = DISK) -> None:
    """Make the names in the folder of *path* as durable as the files."""
    fd = disk.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.sync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without synced folders
            raise
    finally:
        disk.close(fd)


def resolved(path: str, *, trusted: Collection[int] | None = None) -> str:
    """
    The file that *path* leads to, for those that may be links.

    Args:
        trusted: whose links are followed; by default ours and root's. In a folder that everybody may write to
            another user could lay a link with that name to one of our files.

    Raises:
        PermissionError: somebody else laid it.
    """
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode) and found.st_uid not in ({os.geteuid(), 0} if trusted is None else trusted):
            raise PermissionError(errno.EPERM, "it is a link that another user laid", path)
    return os.path.realpath(path)


def replace(path: str, text: bytes, temporary: str, disk: Disk = DISK) -> None:
    """
    Put a file with *text* in the place of *path*: old or new, never half.

    Args:
        temporary: where it is written first, in the same folder; what a killed process left there goes.
    """
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(temporary)
    fd = disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        try:
            write_all(fd, text, disk)
            disk.sync(fd)
        finally:
            disk.close(fd)
        disk.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.unlink(temporary)
        raise
    sync_folder(path, disk)
