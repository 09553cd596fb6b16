"""A file of finished rows that outlives its writer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import logging
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratelimit_client.bulk.journal import NO_ROOM, Journal, lock, look_at_tail, mend, open_file
from ratelimit_client.errors import ConfigurationError
from tests.bulk.failing import AFTER, BEFORE, HALF, FailingDisk


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = open_file(str(path))
    try:
        yield fd
    finally:
        os.close(fd)


def mended(path: Path, text: bytes) -> tuple[bytes, bytes]:
    """What stays of *text*, and what went to the torn file."""
    path.write_bytes(text)
    torn = path.with_suffix(".torn")
    torn.unlink(missing_ok=True)
    with opened(path) as fd:
        mend(fd, look_at_tail(fd), str(torn))
    return path.read_bytes(), torn.read_bytes() if torn.exists() else b""


ONE, TWO = b'{"id": 1, "text": "\\n}"}\n', b'{"id": 2}\n'


@pytest.mark.parametrize(
    ("text", "kept", "cut"),
    [
        (b"", b"", b""),
        (ONE + TWO, ONE + TWO, b""),
        (ONE + TWO[:-1], ONE + TWO, b""),
        (ONE + TWO[:-2], ONE, TWO[:-2]),
        (ONE + b"\0\0\0", ONE, b"\0\0\0"),
        (ONE + TWO[:-1] + b"\0\0", ONE + TWO, b"\0\0"),
        (ONE + TWO[:5] + b"\0\0", ONE, TWO[:5] + b"\0\0"),
        (ONE + TWO[:3] + b"\0\0" + TWO[5:], ONE + TWO[:3] + b"\0\0" + TWO[5:], b""),
        (b"\0" * 200_000, b"", b"\0" * 200_000),
        (ONE + b"[1]", ONE, b"[1]"),
        (ONE + b"5", ONE, b"5"),
        (ONE + b"  ", ONE, b"  "),
        (TWO[:4], b"", TWO[:4]),
        (ONE + b'{"a": "' + b"x" * 300_000, ONE, b'{"a": "' + b"x" * 300_000),
    ],
)
def test_a_torn_end_is_cut_and_kept_beside(tmp_path: Path, text: bytes, kept: bytes, cut: bytes) -> None:
    """
    After the last newline only a whole object stays; zeros at the end never do.
    """
    assert mended(tmp_path / "out", text) == (kept, cut)


def test_cut_or_zeroed_anywhere_whole_lines_stay(tmp_path: Path) -> None:
    """
    Every byte of two lines: what stays is whole lines of the original, and nothing of the rest is lost.
    """
    text = ONE + TWO
    for place in range(len(text) + 1):
        for tail in (b"", b"\0" * (len(text) - place)):
            kept, cut = mended(tmp_path / "out", text[:place] + tail)
            whole = sum(place >= end for end in (len(ONE) - 1, len(text) - 1))
            assert kept == b"".join((ONE, TWO)[:whole]), (place, tail)
            assert kept + cut in (text[:place] + tail, text[:place] + b"\n" + tail)


def test_mending_twice_changes_nothing_more(tmp_path: Path) -> None:
    """
    The torn file grows by what is cut, and only by that.
    """
    path = tmp_path / "out"
    path.write_bytes(ONE + TWO[:4])
    for _ in range(2):
        with opened(path) as fd:
            mend(fd, look_at_tail(fd), str(tmp_path / "torn"))
    assert path.read_bytes() == ONE
    assert (tmp_path / "torn").read_bytes() == TWO[:4]


def test_files_are_made_for_their_owner_only(tmp_path: Path) -> None:
    """
    Whatever the umask.
    """
    before = os.umask(0)
    try:
        with opened(tmp_path / "out") as fd:
            assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    finally:
        os.umask(before)


def test_only_regular_files_are_taken(tmp_path: Path) -> None:
    """
    No link, folder, pipe or device; and the sentence names what it is.
    """
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    for path, says in (
        (tmp_path / "link", "a symbolic link"),
        (tmp_path / "dangling", "a symbolic link"),
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "a pipe"),
        (Path("/dev/null"), "a device"),
        (tmp_path / "no" / "out", "No such file"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            open_file(str(path))
    assert not (tmp_path / "nowhere").exists()


def test_a_file_is_locked_for_one_run(tmp_path: Path) -> None:
    """
    The second is refused; the lock ends with the descriptor.
    """
    path = tmp_path / "out"
    with opened(path) as one, opened(path) as two:
        lock(one, str(path))
        with pytest.raises(ConfigurationError, match="another run is writing"):
            lock(two, str(path))
    with opened(path) as three:
        lock(three, str(path))


def test_no_room_is_no_refusal(tmp_path: Path) -> None:
    """
    The same command works once there is some; without leave to write it never does.
    """
    path = str(tmp_path / "out")
    for number in NO_ROOM:
        with pytest.raises(OSError, match="it cannot be written") as caught:
            open_file(path, FailingDisk(0, BEFORE, number))
        assert (caught.value.errno, caught.value.filename) == (number, path)
    with pytest.raises(ConfigurationError, match="out cannot be written: Permission denied"):
        open_file(path, FailingDisk(0, BEFORE, errno.EACCES))


def test_a_file_that_cannot_be_locked_is_refused(tmp_path: Path) -> None:
    """
    As on a file system that knows no locks.
    """
    fd = os.open(tmp_path, os.O_PATH)  # knows none either
    try:
        with pytest.raises(ConfigurationError, match=r"out cannot be locked .*: put it on a local disk"):
            lock(fd, "out")
    finally:
        os.close(fd)


def test_lines_of_one_turn_are_written_together_and_at_once(tmp_path: Path) -> None:
    """
    They are in the file one turn of the loop later, in order.
    """
    path = tmp_path / "out"

    async def write() -> bytes:
        journal = Journal(open_file(str(path)), "out")
        journal.append(b"one\n")
        journal.append(b"two\n")
        assert path.read_bytes() == b""
        await asyncio.sleep(0)
        before = path.read_bytes()
        await journal.sync()
        journal.append(b"three\n")
        journal.close()
        assert journal.failed is None
        return before

    assert asyncio.run(write()) == b"one\ntwo\n"
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_a_line_that_cannot_be_written_is_told_once_and_kept() -> None:
    """
    A full device: the bytes wait, and are tried again at the end.
    """
    told: list[OSError] = []

    async def write() -> None:
        journal = Journal(os.open("/dev/full", os.O_WRONLY), "full", durable=False, on_failure=told.append)
        journal.append(b"one\n")
        await asyncio.sleep(0)
        journal.append(b"two\n")
        await asyncio.sleep(0)
        assert journal.failed is told[0]

        room, spare = os.pipe()
        os.dup2(spare, journal.fd)
        os.close(spare)
        journal.close()
        assert journal.failed is None
        assert os.read(room, 100) == b"one\ntwo\n"
        os.close(room)
        os.close(journal.fd)

    asyncio.run(write())
    assert [error.strerror for error in told] == ["No space left on device"]


def test_what_a_full_disk_took_of_a_line_is_not_written_twice(tmp_path: Path) -> None:
    """
    A short write goes on where it stopped: the line is whole once there is room.
    """

    async def write() -> bytes:
        out, into = os.pipe()
        os.set_blocking(into, False)
        journal = Journal(into, "pipe", durable=False)
        text = bytes(range(256)) * 1024
        journal.append(text + b"\n")
        reading = asyncio.get_running_loop().run_in_executor(None, read_all, out, len(text) + 1)
        journal.flush()
        got = await reading
        os.close(out)
        os.close(into)
        assert got == text + b"\n"
        return got

    def read_all(fd: int, size: int) -> bytes:
        got = b""
        while len(got) < size:
            got += os.read(fd, 65536)
        return got

    asyncio.run(write())


def test_a_failed_sync_is_never_forgotten() -> None:
    """
    What was not synced may be lost although later writes and syncs succeed.
    """
    told: list[OSError] = []

    async def write() -> Journal:
        out, into = os.pipe()  # a pipe cannot be synced
        journal = Journal(into, "pipe", on_failure=told.append)
        journal.append(b"one\n")
        journal.flush()
        await journal.sync()
        assert journal.failed is told[0]
        journal.append(b"two\n")
        journal.flush()
        assert os.read(out, 100) == b"one\ntwo\n"
        assert journal.failed is not None
        journal.close()
        os.close(out)
        return journal

    assert asyncio.run(write()).failed is not None
    assert len(told) == 1


def test_answers_are_kept_up_to_a_cap_and_then_dropped() -> None:
    """
    What was dropped is never forgotten: the file stays failed although there is room again.
    """

    async def write() -> None:
        journal = Journal(os.open("/dev/full", os.O_WRONLY), "full", durable=False, cap=10)
        for line in (b"one\n", b"two\n", b"three\n", b"4\n"):
            journal.append(line)
            await asyncio.sleep(0)
        assert journal.dropped == 1

        room, spare = os.pipe()
        os.dup2(spare, journal.fd)
        os.close(spare)
        journal.close()
        assert os.read(room, 100) == b"one\ntwo\n4\n"
        assert journal.failed is not None
        os.close(room)
        os.close(journal.fd)

    asyncio.run(write())


def test_answers_that_wait_are_tried_again_with_each_sync(tmp_path: Path) -> None:
    """
    Once there is room they are written, in order, and nothing is wrong any more.
    """

    async def write() -> None:
        journal = Journal(os.open("/dev/full", os.O_WRONLY), "full")
        journal.append(b"one\n")
        await asyncio.sleep(0)
        journal.append(b"two\n")
        await journal.sync()
        assert journal.failed is not None

        room = open_file(str(tmp_path / "out"))
        os.dup2(room, journal.fd)
        os.close(room)
        await journal.sync()
        assert journal.failed is None
        assert (tmp_path / "out").read_bytes() == b"one\ntwo\n"
        journal.append(b"three\n")
        await asyncio.sleep(0)
        journal.close()
        assert journal.failed is None

    asyncio.run(write())
    assert (tmp_path / "out").read_bytes() == b"one\ntwo\nthree\n"


def test_a_sync_whose_waiter_left_is_still_heard_of() -> None:
    """
    Cancelled in the middle: closing waits for the disk and says that it failed.
    """

    async def write() -> Journal:
        out, into = os.pipe()  # a pipe cannot be synced
        journal = Journal(into, "pipe")
        journal.append(b"one\n")
        journal.flush()
        syncing = asyncio.create_task(journal.sync())
        await asyncio.sleep(0)
        syncing.cancel()
        await asyncio.wait([syncing])
        assert syncing.cancelled()
        journal.close()
        os.close(out)
        return journal

    assert asyncio.run(write()).failed is not None


def test_a_turn_in_which_writing_failed_already_does_not_try_again(tmp_path: Path) -> None:
    """
    Once a second is enough.
    """

    async def write() -> None:
        disk = FailingDisk(0, BEFORE, errno.ENOSPC, forever=True)
        journal = Journal(open_file(str(tmp_path / "out")), "out", disk=disk)
        journal.append(b"one\n")
        journal.flush()
        await asyncio.sleep(0)
        assert disk.done == ["write"]
        assert journal.unwritten == 1
        os.close(journal.fd)

    asyncio.run(write())


@pytest.mark.parametrize("when", [BEFORE, HALF, AFTER])
def test_what_a_failed_write_put_down_all_the_same_is_not_written_twice(tmp_path: Path, when: str) -> None:
    """
    Nothing of it, a half or all: the file says how much, and the rest follows.
    """

    async def write() -> None:
        disk = FailingDisk(1, when, errno.EIO)
        journal = Journal(open_file(str(tmp_path / "out")), "out", disk=disk)
        journal.append(b"one\n")
        await asyncio.sleep(0)
        journal.append(b"two\n")
        await asyncio.sleep(0)
        assert journal.failed is not None
        assert journal.unwritten == (when != AFTER)
        await journal.sync()
        assert (journal.failed, journal.unwritten) == (None, 0)
        journal.close()
        assert journal.failed is None

    asyncio.run(write())
    assert (tmp_path / "out").read_bytes() == b"one\ntwo\n"


def test_every_line_that_is_lost_is_counted_and_one_warning_tells(caplog: pytest.LogCaptureFixture) -> None:
    """
    Those that are kept count as unwritten as well.
    """

    async def write() -> None:
        journal = Journal(os.open("/dev/full", os.O_WRONLY), "full", durable=False, cap=10)
        for line in (b"one\n", b"two\n", b"three\n", b"four\n"):
            journal.append(line)
            await asyncio.sleep(0)
        assert (journal.dropped, journal.unwritten) == (2, 4)
        os.close(journal.fd)

    with caplog.at_level(logging.WARNING):
        asyncio.run(write())
    assert [record.getMessage() for record in caplog.records] == [
        "full: 0 MB of answers wait for room: further ones are lost"
    ]


@pytest.mark.parametrize("operation", ["sync", "close"])
def test_a_file_that_fails_as_it_is_closed_stays_failed(tmp_path: Path, operation: str) -> None:
    """
    Some file systems write only then; it is let go all the same.
    """

    async def write() -> Journal:
        disk = FailingDisk(["write", "sync", "close"].index(operation), AFTER, errno.EIO)
        journal = Journal(open_file(str(tmp_path / "out")), "out", disk=disk)
        journal.append(b"one\n")
        journal.close()
        assert disk.done == ["write", "sync", "close"]
        return journal

    journal = asyncio.run(write())
    assert journal.failed is not None
    assert journal.failed.errno == errno.EIO
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(journal.fd)


def test_a_file_that_somebody_deleted_is_told_once(tmp_path: Path) -> None:
    """
    It goes with its descriptor, and with it every answer in it: there is no way back.
    """
    told: list[OSError] = []

    async def write() -> None:
        journal = Journal(open_file(str(tmp_path / "out")), "out", on_failure=told.append)
        for line in (b"one\n", b"two\n"):
            journal.append(line)
            (tmp_path / "out").unlink(missing_ok=True)
            await journal.sync()
            assert journal.failed is told[0]
        journal.close()

    asyncio.run(write())
    assert [error.errno for error in told] == [errno.ENOENT]


def test_closing_does_not_wait_for_a_sync_that_has_not_begun(tmp_path: Path) -> None:
    """
    All threads are busy: closing syncs by itself, and the sync that comes too late leaves the closed file alone.
    """

    async def write() -> None:
        loop, free, waited = asyncio.get_running_loop(), threading.Event(), list[bool]()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, lambda: waited.append(free.wait(10)))
        disk = FailingDisk()
        journal = Journal(open_file(str(tmp_path / "out")), "out", disk=disk)
        journal.append(b"one\n")
        syncing = asyncio.create_task(journal.sync())
        await asyncio.sleep(0)
        journal.close()
        assert waited == []
        assert disk.done == ["write", "sync", "close"]

        free.set()
        await busy
        await syncing
        assert disk.done == ["write", "sync", "close"]
        assert journal.failed is None

    asyncio.run(write())
    assert (tmp_path / "out").read_bytes() == b"one\n"
