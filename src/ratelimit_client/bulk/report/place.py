"""
Where a report is written.

Law of this file: what cannot be is said before the first call. A file that is no report is
never overwritten, and a report is there as it was or as it is, never half.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from typing import Final

from ...errors import ConfigurationError
from ..disk import DISK, Disk, replace, resolved

MARK: Final = '<!doctype html>\n<html lang="en" data-made-by="ratelimit-client run --report">\n'
"""How every report begins, and nothing else."""

# Behind the name of an output: its shards, and the files beside each of them.
_BESIDE: Final = re.compile(r"(\.\d+-of-\d+)?(\.errors(\.\d+)?\.jsonl|\.job\.json|\.torn)?", re.ASCII)


def check(path: str, out: str, others: Iterable[str] = ()) -> str:
    """
    The file that a report to *path* is written to; nothing is touched.

    Args:
        out: the output of the run, "-" for stdout.
        others: further files that are read or written: the input, the summary file, ...

    Raises:
        ConfigurationError: it cannot be written there, or must not.
    """
    try:
        found = resolved(path)
        if path == "-" or _is_of(found, os.path.realpath(out)):
            raise _refused(path, "rows are written there; give a name of its own, such as report.html")
        if found in {os.path.realpath(other) for other in others}:
            raise _refused(path, "the run reads or writes that file; give a name of its own, such as report.html")
        _check_kind(path, found)
        folder = os.path.dirname(found)
        if not os.path.isdir(folder):
            raise _refused(path, f"there is no folder {folder}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _refused(path, f"nothing may be written to the folder {folder}")
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None
    except ValueError as error:  # a NUL in the name
        raise _refused(path, str(error)) from None
    return found


def _is_of(found: str, out: str) -> bool:
    return found.startswith(out) and _BESIDE.fullmatch(found, len(out)) is not None


def _check_kind(path: str, found: str) -> None:
    try:
        status = os.stat(found)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "it is no file")
    if status.st_size:
        with open(found, "rb") as file:
            if file.read(len(MARK)) != MARK.encode():
                raise _refused(path, "there is something else in it; move it away or give another name")


def probe(path: str, found: str, disk: Disk = DISK) -> None:
    """
    See that *found*, as ``check`` gave it, can be written: a file is made beside it and goes again.

    Raises:
        ConfigurationError: it cannot be.
    """
    temporary = _temporary(found)
    try:
        disk.close(disk.open(temporary, os.O_WRONLY | os.O_CREAT))
        disk.unlink(temporary)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None


def write(found: str, text: str, disk: Disk = DISK) -> None:
    """
    Put *text* there, complete or not at all, for its owner only.

    Raises:
        OSError: it cannot be written.
    """
    replace(found, text.encode("utf-8", "backslashreplace"), _temporary(found), disk)


def _temporary(found: str) -> str:
    return f"{found}.{os.getpid()}.tmp"


def _refused(path: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"--report {path} cannot be written: {why}")
