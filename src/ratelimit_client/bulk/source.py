"""
Where the lines of a job come from.

Law of this file: one pass, bounded memory. A file is read at its own places, so
it can be looked at again (for a name that occurred before); a pipe cannot, so
what may be asked again, the names, is kept in an unnamed file on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from typing import IO, Final

import attrs

from ..errors import ConfigurationError
from ..runtime.logs import fields
from .fingerprints import Passed
from .jsonl import CHUNK, Line, Splitter, count_lines, lines_of, regions_of
from .row import Flaw, Row, read_row
from .skim import Piece

_log: Final = logging.getLogger(__name__)

# How often a file whose last line is not finished is looked at: seldom enough to cost nothing.
_LOOK_S: Final = 0.2
_MANY: Final = 64
_COUNTED_BYTES: Final = 2 << 30


@attrs.define(eq=False)
class Source:
    """
    An open input.

    Args:
        fd: what is read.
        path: how people know it; "-" is stdin.
        regular: it is a file that can be read again.
        start: where its first line begins.
    """

    fd: int
    path: str
    regular: bool
    start: int
    _names: IO[bytes] | None = None

    @classmethod
    def open(cls, path: str) -> Source:
        """
        Open *path* for reading, "-" for stdin.

        Raises:
            ConfigurationError: there is no such file, or it cannot be read.
        """
        try:
            fd = sys.stdin.fileno() if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            kind = os.fstat(fd).st_mode
            if stat.S_ISDIR(kind):
                raise ConfigurationError(f"{path} is a folder: give a file of rows, or '-' for stdin")
            regular = stat.S_ISREG(kind)
            return cls(fd, path, regular, os.lseek(fd, 0, os.SEEK_CUR) if regular else 0)
        except (OSError, ValueError, AttributeError) as error:  # a closed stdin is None, or has no descriptor
            what = error.strerror if isinstance(error, OSError) else "it is closed"
            raise _unreadable(path, what) from None

    def is_file(self, other: os.stat_result) -> bool:
        """Is the input the file that *other* describes?"""
        return self.regular and os.path.samestat(os.fstat(self.fd), other)

    def size(self) -> int | None:
        """Bytes of the whole input, None for a pipe."""
        return os.fstat(self.fd).st_size - self.start if self.regular else None

    def count(self) -> int | None:
        """Lines of the whole input; None for a pipe, and for a file that takes seconds to count."""
        size = self.size()
        if size is None or size > _COUNTED_BYTES:
            return None
        with self.reading():
            return count_lines(self.fd, start=self.start)

    async def batches(
        self, skip: Callable[[Piece], Passed] | None = None, *, busy: Callable[[], bool] = bool
    ) -> AsyncGenerator[list[Line], None]:
        """
        The lines in order, as many at a time as one read brought.

        A file may still be written. Its last line may then be the first half of one: while others are *busy* it may
        grow, and in a file that did grow what is still half at the end is no line yet.

        Args:
            skip: is shown whole lines of a file, and says how many of them need no look.
            busy: is there anything else to wait for?

        Raises:
            ConfigurationError: it cannot be read on.
        """
        splitter = Splitter()
        with self.reading():
            if self.regular:
                first_size, place = os.fstat(self.fd).st_size, self.start
                while True:
                    for region in regions_of(self.fd, start=place):
                        for part in (region,) if skip is None else unfinished(region, splitter, skip):
                            yield splitter.feed(part)
                        place += len(region)
                        await asyncio.sleep(0)
                    last = splitter.unfinished()
                    if last is None or isinstance(read_row(last), Row):
                        break
                    if not await self._grows(place, busy):
                        if place > first_size:
                            extra = fields("line_unfinished", line=last.number)
                            _log.warning("line %d is not finished: left for the next run", last.number, extra=extra)
                            return
                        break
            else:
                while chunk := await _read_when_ready(self.fd):
                    yield splitter.feed(chunk)
            yield splitter.end()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """For a block in which nothing but reading the input can fail with OSError: says so."""
        try:
            yield
        except OSError as error:
            raise _unreadable(self.path, error.strerror) from None

    async def _grows(self, size: int, busy: Callable[[], bool]) -> bool:
        """Wait until the file has more than so many bytes, as long as others are *busy*."""
        while True:
            waiting = busy()
            if os.fstat(self.fd).st_size > size:
                return True
            if not waiting:
                return False
            await asyncio.sleep(_LOOK_S)

    def remember(self, row: Row | Flaw) -> None:
        """Note the name of a row, if the input cannot be read again."""
        if self.regular or row.custom_id is None:
            return
        if self._names is None:
            self._names = tempfile.TemporaryFile("w+b", prefix="ratelimit-client-")  # noqa: SIM115  # until close()
        self._names.write(b"%d %s\n" % (row.number, row.name.encode()))

    def again(self, row: Row | Flaw) -> Row | Flaw:
        """A row as it stands in the input now; from a pipe, as it stood."""
        if not self.regular:
            return row
        data = os.pread(self.fd, row.size, self.start + row.offset)
        return read_row(Line(row.number, row.offset, data))

    def slim(self, row: Row | Flaw) -> Row | Flaw:
        """The same row without what ``again`` can bring back."""
        return attrs.evolve(row, body=b"") if self.regular and isinstance(row, Row) else row

    def lines(self) -> Iterator[Line]:
        """The lines of a file, from the first."""
        return lines_of(self.fd, start=self.start)

    def after(self, offset: int) -> Iterator[Row | Flaw]:
        """The rows of a file from the line that begins at *offset*; none of a pipe."""
        if self.regular:
            with self.reading():
                for line in lines_of(self.fd, start=self.start + offset):
                    yield read_row(line)

    def first_lines(self, names: Collection[str]) -> Iterator[tuple[str, int] | None]:
        """
        The first line of each of *names*; None now and then, so that the caller can do other things.

        Reads the input, or the remembered names, again: takes as long as that.
        """
        missing = set(names)
        for name, number in self._again():
            if name in missing:
                missing.discard(name)
                yield name, number
            elif number % 256 == 0:
                yield None
            if not missing:
                return

    def _again(self) -> Iterator[tuple[str | None, int]]:
        if self.regular:
            with self.reading():
                for line in lines_of(self.fd, start=self.start):
                    yield read_row(line).custom_id, line.number
        elif self._names is not None:
            self._names.seek(0)
            for text in self._names:
                number, _, name = text.partition(b" ")
                yield read_row(Line(0, 0, b'{"custom_id":%s}' % name)).custom_id, int(number)
            self._names.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Let go of it; stdin stays open."""
        if self._names is not None:
            self._names.close()
        if self.path != "-":
            os.close(self.fd)


def _unreadable(path: str, what: str | None) -> ConfigurationError:
    return ConfigurationError(f"{'stdin' if path == '-' else path} cannot be read: {what}")


def unfinished(region: bytes, splitter: Splitter, skip: Callable[[Piece], Passed]) -> Iterator[bytes]:
    """
    What *skip* leaves of *region*, in parts to be fed before the next is asked for.

    After a line that needs a look the next few do so as well, more likely than not: twice as many each time, until
    many were passed at once. So a mixture costs no more than a look at every line.
    """
    lines = 1
    while region:
        if splitter.at_start and region.endswith(b"\n"):
            passed = skip(Piece(region, splitter.number, splitter.offset))
            if passed.size:
                splitter.skip(passed.lines, passed.size)
                region = region[passed.size :]
                if passed.lines >= _MANY:
                    lines = 1
        size = sum(map(len, region.split(b"\n", lines)[:lines])) + lines
        yield region[:size]
        region = region[size:]
        lines *= 2


async def _read_when_ready(fd: int) -> bytes:
    """Some bytes of a pipe or terminal, waited for without a thread that could not be stopped."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_reader(fd, _wake, ready)
    except (OSError, ValueError):  # a device that cannot be waited for is always ready (/dev/null)
        await asyncio.sleep(0)  # it may never end, and signals have to be heard
        return os.read(fd, CHUNK)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return await _read_when_ready(fd)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
