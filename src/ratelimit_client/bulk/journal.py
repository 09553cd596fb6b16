"""
A file of finished rows that outlives its writer.

Law of this file: append only, whole lines only. What was once synced is never
moved or changed, so every crash leaves whole lines and at most one torn tail.

Theory. A process that is killed loses what it had not yet handed to the kernel;
a machine that loses power also loses what was not synced, and may leave zeros in
its place. So lines are handed over in the turn of the loop that finished them
(all lines of a turn in one write), synced each second and at the end, and a file
is mended before it is continued: zeros at the end go, and what follows the last
newline goes too, unless it is a whole object that only misses its newline. What
is cut is kept beside it.

A write that fails keeps its bytes, up to a cap: they are tried again each second and
at the end, so that answers already paid for survive a disk that was full for a while.
A sync that fails is another matter. What it was to make durable may be gone, the next
sync would not say so, and so the file stays failed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import fcntl
import json
import logging
import os
import select
import stat
from collections.abc import Callable
from typing import Final

import attrs

from ..errors import ConfigurationError
from ..runtime.logs import fields, one_line
from .disk import DISK, Disk, write_all

_log: Final = logging.getLogger(__name__)

_PIECE: Final = 1 << 16
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND
# Nothing is wrong with the command, and the same one goes on once somebody made room.
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
# Answers that wait for room on the disk: far more than all calls under way bring, far less than a machine has.
_KEPT: Final = 64 << 20


def open_file(path: str, disk: Disk = DISK) -> int:
    """
    Open or create a file that rows are appended to, readable and writable by its owner only.

    Raises:
        ConfigurationError: it is no regular file, or cannot be opened; says which.
        OSError: there is no room for it.
    """
    check_kind(path)
    try:
        return disk.open(path, _FLAGS)
    except OSError as error:
        raise refused(path, error) from None


def refused(path: str, error: OSError) -> Exception:
    """What to raise when *path* cannot be written: a refusal, unless the same command may work later."""
    if error.errno in NO_ROOM:
        return OSError(error.errno, f"it cannot be written: {_reason(error)}", path)
    return ConfigurationError(f"{path} cannot be written: {_reason(error)}")


def check_kind(path: str) -> None:
    """
    Look at *path* before it is opened: opening a FIFO would wait for its other end.

    Raises:
        ConfigurationError: something is there that is no regular file; says what.
    """
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(kind):
        message = f"{path} is {_kind_name(kind)}: rows are kept in a regular file ('-' writes to stdout)"
        raise ConfigurationError(message)


def lock(fd: int, path: str) -> None:
    """
    Take the file for this run; the lock goes with the descriptor.

    Raises:
        ConfigurationError: another run has it, or the file system knows no locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(f"another run is writing {path}: wait for it, or give another output") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be locked ({_reason(error)}): put it on a local disk") from None


@attrs.frozen
class Tail:
    """
    What is to be done at the end of a file before it is continued.

    Args:
        keep: bytes that stay.
        cut: bytes after them that go.
        newline: what stays is a whole object without its newline.
        text: what followed the last newline, without zeros.
    """

    keep: int
    cut: int
    newline: bool
    text: bytes


def look_at_tail(fd: int) -> Tail:
    """Read the end of a file; changes nothing."""
    size = os.fstat(fd).st_size
    end = _end_of_content(fd, size)
    start = _start_of_last_line(fd, end)
    text = _read(fd, start, end)
    whole = is_object(text)
    keep = end if whole else start
    return Tail(keep=keep, cut=size - keep, newline=whole, text=text)


def mend(fd: int, tail: Tail, torn_path: str, disk: Disk = DISK) -> None:
    """Carry out what ``look_at_tail`` found; the bytes that are cut go to *torn_path* first."""
    if tail.cut:
        torn = open_file(torn_path, disk)
        try:
            place, end = tail.keep, tail.keep + tail.cut
            while place < end:
                piece = os.pread(fd, min(_PIECE, end - place), place)
                place += len(piece)
                write_all(torn, piece, disk)
            disk.sync(torn)
        finally:
            disk.close(torn)
        disk.truncate(fd, tail.keep)
    if tail.newline:
        write_all(fd, b"\n", disk)
    if tail.cut or tail.newline:
        disk.sync(fd)


def is_object(text: bytes) -> bool:
    """Is this one whole JSON object?"""
    if not text.endswith(b"}"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


@attrs.define(eq=False)
class Journal:
    """
    Appends lines to an open file.

    Args:
        fd: where to; closed by ``close``.
        name: how people know it.
        durable: sync it; False for a pipe or a terminal.
        on_failure: called with the first error when a line could not be written.
        cap: bytes that are kept when they cannot be written.
        disk: what writes.
        failed: why something is not on the disk that should be, or None.
        dropped: lines that could neither be written nor kept; their rows are not done.
    """

    fd: int
    name: str
    durable: bool = True
    on_failure: Callable[[OSError], None] | None = None
    cap: int = _KEPT
    disk: Disk = DISK
    failed: OSError | None = None
    dropped: int = 0
    _unsafe: bool = False
    _waiting: list[bytes] = attrs.field(factory=list)
    _kept: int = 0  # bytes that could not be written
    _scheduled: bool = False
    _dirty: bool = False
    _syncing: concurrent.futures.Future[None] | None = None

    def append(self, line: bytes) -> None:
        """Hand over *line*, newline and all, before the next turn of the loop."""
        if self.failed is not None:
            if self._kept + len(line) > self.cap:
                if not self.dropped:
                    held, said = self.cap >> 20, "%s: %d MB of answers wait for room: further ones are lost"
                    extra = fields("answers_dropped", file=self.name, held_mb=held)
                    _log.warning(said, one_line(str(self.name)), held, extra=extra)
                self.dropped += 1
                return
            self._kept += len(line)
        self._waiting.append(line)
        if not self._scheduled and self.failed is None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self.failed is None:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting; a failure keeps what is left of it and is told once."""
        if not self._waiting:
            self._recover()
            return
        text = memoryview(b"".join(self._waiting))
        self._waiting = []
        try:
            while text:
                end = self._end()
                text = text[_write_some(self.disk, self.fd, text) :]
                self._dirty = True
            self._kept = 0
            self._recover()
        except OSError as error:
            text = text[self._arrived(end, len(text)) :]
            self._waiting = [bytes(text)] if text else []
            self._kept = len(text)
            self._fail(error)

    def _recover(self) -> None:
        """All that was ever to be written is written."""
        if not self._unsafe and not self.dropped:
            self.failed = None

    def _end(self) -> int:
        return os.fstat(self.fd).st_size if self.durable else 0

    def _arrived(self, before: int, size: int) -> int:
        """Bytes of a write that failed that are in the file all the same: they must not be written twice."""
        arrived = self._end() - before
        if not 0 < arrived <= size:
            return 0
        self._dirty = True
        return arrived

    @property
    def unwritten(self) -> int:
        """Lines that are not in the file, or not with their end."""
        return self.dropped + sum(text.count(b"\n") for text in self._waiting)

    def is_empty(self) -> bool:
        """Nothing was ever written, and nothing waits."""
        return not self._waiting and os.fstat(self.fd).st_size == 0

    async def sync(self) -> None:
        """Wait until what was written is on the disk; lines that could not be written are tried again."""
        self.flush()
        if not (self._dirty and self.durable):
            return
        self._see_that_it_is_there()
        self._dirty = False
        self._syncing = concurrent.futures.Future()
        await asyncio.get_running_loop().run_in_executor(None, _sync_into, self._syncing, self.disk, self.fd)
        self._end_sync()

    def close(self) -> None:
        """Write and sync what is left; ``failed`` tells whether all of it arrived."""
        self.flush()
        self._end_sync()  # of a sync whose waiter was cancelled: the disk is at it, and only it knows how it goes
        if self._dirty and self.durable:
            try:
                self.disk.sync(self.fd)
            except OSError as error:
                self._fail_to_sync(error)
        if self.durable:
            try:
                self.disk.close(self.fd)
            except OSError as error:  # it is closed all the same; some file systems write only now
                self._fail_to_sync(error)

    def _see_that_it_is_there(self) -> None:
        """A file without a name goes with its descriptor, and with it every answer in it."""
        if not self._unsafe and os.fstat(self.fd).st_nlink == 0:
            self._unsafe = True
            self._fail(OSError(errno.ENOENT, "somebody deleted it", self.name))

    def _end_sync(self) -> None:
        """Wait for the sync under way, if any, and take down how it went."""
        syncing, self._syncing = self._syncing, None
        if syncing is None:
            return
        if syncing.cancel():  # it never began
            self._dirty = True
            return
        try:
            syncing.result()
        except OSError as error:
            self._fail_to_sync(error)

    def _fail_to_sync(self, error: OSError) -> None:
        """What was not synced may be lost, and a later sync that succeeds would not say so: there is no way back."""
        self._unsafe = True
        self._fail(error)

    def _fail(self, error: OSError) -> None:
        told = self.failed is not None
        self.failed = error
        if not told and self.on_failure is not None:
            self.on_failure(error)


def _sync_into(told: concurrent.futures.Future[None], disk: Disk, fd: int) -> None:
    """Sync in a thread, and leave word how it went for whoever asks."""
    if told.set_running_or_notify_cancel():
        try:
            disk.sync(fd)
        except OSError as error:
            told.set_exception(error)
        else:
            told.set_result(None)


def _end_of_content(fd: int, size: int) -> int:
    """Where the zeros at the end begin."""
    end = size
    while end:
        start = max(0, end - _PIECE)
        kept = _read(fd, start, end).rstrip(b"\0")
        end = start + len(kept)
        if kept:
            break
    return end


def _start_of_last_line(fd: int, end: int) -> int:
    place = end
    while place:
        start = max(0, place - _PIECE)
        found = _read(fd, start, place).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        place = start
    return 0


def _read(fd: int, start: int, end: int) -> bytes:
    pieces = []
    while start < end and (piece := os.pread(fd, end - start, start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def _write_some(disk: Disk, fd: int, text: memoryview) -> int:
    try:
        return disk.write(fd, text)
    except BlockingIOError:  # somebody set our stdout to non-blocking: wait until it takes more
        select.select([], [fd], [])
        return 0


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _kind_name(mode: int) -> str:
    names = ((stat.S_ISLNK, "a symbolic link"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"))
    return next((name for test, name in names if test(mode)), "a device")
