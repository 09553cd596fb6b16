"""Replacing a file as a whole."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ratelimit_client.bulk.disk import DISK, replace, resolved, sync_folder
from tests.bulk.failing import AFTER, BEFORE, HALF, FailingDisk


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    """
    For its owner only, and nothing is left beside it.
    """
    for text in (b"one", b"", b"x" * 100_000):
        replace(str(tmp_path / "file"), text, str(tmp_path / "file.tmp"))
        assert (tmp_path / "file").read_bytes() == text
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
        assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("kind", ["a file", "a link", "a pipe"])
def test_what_a_killed_process_left_goes(tmp_path: Path, kind: str) -> None:
    """
    Whatever stands under the temporary name: it is neither followed nor waited for.
    """
    temporary, elsewhere = tmp_path / "file.tmp", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"kept")
    if kind == "a file":
        temporary.write_bytes(b"half of i")
    elif kind == "a link":
        temporary.symlink_to(elsewhere)
    else:
        os.mkfifo(temporary)

    replace(str(tmp_path / "file"), b"new", str(temporary))

    assert (tmp_path / "file").read_bytes() == b"new"
    assert elsewhere.read_bytes() == b"kept"
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "file"]


def test_whatever_fails_it_is_the_old_or_the_new_and_nothing_is_left(tmp_path: Path) -> None:
    """
    Each operation, before it takes effect, after half of it and after it: told, and the next attempt succeeds.
    """
    path, temporary = tmp_path / "file", tmp_path / "file.tmp"
    undisturbed = FailingDisk()
    replace(str(path), b"x", str(temporary), undisturbed)
    for at, operation in enumerate(undisturbed.done):
        for when in (BEFORE, HALF, AFTER):
            path.write_bytes(b"old")
            disk = FailingDisk(at, when, errno.EIO)
            if operation == "unlink" and when != BEFORE:
                temporary.write_bytes(b"left")
            with pytest.raises(OSError, match="Input/output error"):
                replace(str(path), b"new", str(temporary), disk)
            assert path.read_bytes() in (b"old", b"new")
            replace(str(path), b"newer", str(temporary), DISK)
            assert path.read_bytes() == b"newer"
            assert os.listdir(tmp_path) == ["file"]


def test_a_link_is_followed_when_one_of_us_laid_it(tmp_path: Path) -> None:
    """
    Ours and root's are; another user's is an error, wherever it leads. What is no link is what it is.
    """
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    somebody = {os.geteuid() + 1}

    for name, leads_to in (("file", "file"), ("link", "file"), ("none", "none"), ("dangling", "none")):
        assert resolved(str(tmp_path / name)) == str(tmp_path / leads_to)
    for name in ("link", "dangling"):
        with pytest.raises(PermissionError, match="another user"):
            resolved(str(tmp_path / name), trusted=somebody)
    assert resolved(str(tmp_path / "file"), trusted=somebody) == str(tmp_path / "file")


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path) -> None:
    """
    Some file systems do not know it. Any other reason is told, and the folder is let go either way.
    """
    path = str(tmp_path / "file")
    for number in (errno.EINVAL, errno.ENOTSUP):
        disk = FailingDisk(1, BEFORE, number)
        sync_folder(path, disk)
        assert disk.done == ["open", "sync", "close"]
    disk = FailingDisk(1, BEFORE, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(path, disk)
    assert disk.done == ["open", "sync", "close"]
