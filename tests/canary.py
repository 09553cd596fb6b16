"""
A key that can be recognised wherever it turns up.

Law of this file: every client of the suite has its key from here. The key is random for
each run (RLC_CANARY names it again), so that nothing can know it beforehand, and after
each test what that test left behind is searched for it: what any logger said, at DEBUG
and with the locals of its tracebacks, what was warned, what was printed, by this
process or by one it started, and every file below ``tmp_path``. A hit fails the test.

A piece of the key counts as the key, and so does its base64. The mask (``sk-...`` and four characters) does not.
"""

from __future__ import annotations

import base64
import logging
import os
import secrets
import stat
import subprocess
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

TOKEN: Final = os.environ.setdefault("RLC_CANARY", secrets.token_hex(16))
"""Processes that tests start inherit it."""

KEY: Final = f"sk-CANARY-{TOKEN}"
OTHER_KEY: Final = f"sk-CANARY-{TOKEN[::-1]}"
FIXED_KEYS: Final = ("sk-canary-0123456789abcdef", "sk-canary-fedcba9876543210")
"""For traces that have to be equal from run to run; looked for as a whole, because their pieces are ordinary."""

# Twelve digits: a piece long enough that no hash or id of a run of gigabytes holds it by chance.
_PIECE: Final = slice(10, 22)
_BLOCK: Final = 2**20


def _forms(key: str) -> Iterator[bytes]:
    yield key.encode()[10:][_PIECE]
    for shift in range(3):  # base64 reads three bytes at a time, from wherever the key begins
        whole = base64.b64encode(b"-" * shift + key.encode())
        yield whole[16:40]


NEEDLES: Final = (*_forms(KEY), *_forms(OTHER_KEY), *(key.encode() for key in FIXED_KEYS))
_TEXTS: Final = tuple(needle.decode() for needle in NEEDLES)


def shows(what: str | bytes | bytearray) -> bool:
    """Does *what* hold one of the keys, or a piece of one?"""
    if isinstance(what, str):
        return any(needle in what for needle in _TEXTS)
    return any(needle in what for needle in NEEDLES)


def clean(text: Any, where: str) -> Any:
    """*text* as it is; an AssertionError when it shows the key."""
    if isinstance(text, str | bytes):
        watch.texts += 1
        assert not shows(text), f"the key is in {where}"
    return text


def told(error: BaseException) -> str:
    """All that a crash reporter sends: the error, what it hangs on, and the locals of every frame."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@attrs.define(eq=False)
class Watch(logging.Handler):
    """What was searched so far, and where the key turned up since the last test."""

    tests: int = 0
    records: int = 0
    texts: int = 0
    files: int = 0
    size: int = 0
    found: list[str] = attrs.field(factory=list)
    hits: int = 0

    def __attrs_post_init__(self) -> None:
        super().__init__(logging.NOTSET)

    def __hash__(self) -> int:
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records += 1
        error = record.exc_info[1] if record.exc_info else None
        facts = {name: value for name, value in vars(record).items() if name != "exc_info"}
        if shows(record.getMessage()) or shows(repr(facts)) or (error is not None and shows(told(error))):
            self.found.append(f"a record of the logger {record.name!r} ({record.pathname}:{record.lineno})")

    def warned(self, warning: warnings.WarningMessage) -> None:
        self.texts += 1
        if shows(str(warning.message)) or shows(repr(warning.message)):
            self.found.append(f"a warning ({warning.filename}:{warning.lineno})")

    def read(self, sections: list[tuple[str, str]]) -> None:
        """What pytest captured."""
        for title, text in sections:
            self.texts += 1
            if shows(text):
                self.found.append(f"what was printed or logged ({title})")

    def walk(self, folder: Path) -> None:
        """The files below *folder*, and their names."""
        for path, folders, names in os.walk(folder):
            for name in [*folders, *names]:
                if shows(name):
                    self.found.append(f"the name of a file in {path}")
            for name in names:
                self._search(Path(path, name))

    def _search(self, path: Path) -> None:
        try:
            if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would be waited for, a device may have no end
                return
            with path.open("rb") as file:
                self.files += 1
                end = b""
                while block := file.read(_BLOCK):
                    self.size += len(block)
                    if shows(end + block):
                        self.found.append(f"the file {path}")
                        return
                    end = block[-64:]
        except OSError:  # gone, or not for us
            pass

    def taken(self) -> list[str]:
        """Where the key turned up; from now on forgotten."""
        found, self.found = self.found, []
        self.hits += len(found)
        return found

    @property
    def counts(self) -> dict[str, int]:
        """What was searched, for whoever adds up several processes."""
        return {name: getattr(self, name) for name in ("tests", "records", "texts", "files", "size", "hits")}

    def add(self, counts: dict[str, int]) -> None:
        """Another process has searched that much."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)

    def __repr__(self) -> str:
        return (
            f"{self.tests} tests, {self.records} log records, {self.texts} texts and {self.files} files "
            f"({self.size / 1e6:.0f} MB) searched for the key: {self.hits} hits"
        )


watch: Final = Watch()


def listen() -> None:
    """Hear every logger from here on."""
    root = logging.getLogger()
    if watch not in root.handlers:
        root.addHandler(watch)
        root.setLevel(logging.DEBUG)


def judge(item: pytest.Item, report: pytest.TestReport) -> None:
    """After the last phase of a test: search, and fail it for what is found."""
    if report.when != "teardown":
        return
    watch.tests += 1
    watch.read(report.sections)
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if folder is not None:
        watch.walk(folder)
    if found := watch.taken():
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: the API key was found in " + "; ".join(found)


class Heard:
    """A capture fixture whose captured text is searched as it is taken."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture

    def readouterr(self) -> Any:
        taken = self._capture.readouterr()
        clean(taken.out, "stdout")
        clean(taken.err, "stderr")
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._capture, name)


class Process(subprocess.Popen[bytes]):
    """A process whose output is searched as it is taken."""

    def communicate(self, *args: Any, **options: Any) -> tuple[bytes, bytes]:
        out, err = super().communicate(*args, **options)
        return clean(out, "the stdout of a process"), clean(err, "the stderr of a process")
