"""
Which job an output belongs to: the file ``OUT.job.json``.

Law of this file: old or new, never half. It is written beside OUT under another
name, synced and renamed, readable by its owner only.

It holds what has to be the same for the same row to mean the same request: the
base URL and the query. It also says where the rows came from and, once the input
has been read to its end, how many there are.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import attrs

from ..errors import ConfigurationError
from .disk import DISK, Disk, replace

VERSION: Final = 1


@attrs.frozen
class Paths:
    """The files of one job."""

    out: str

    @property
    def errors(self) -> str:
        return self.out + ".errors.jsonl"

    def retired(self) -> list[str]:
        """Errors files that a retry put aside, the oldest first."""
        folder, name = os.path.split(self.out)
        known = re.compile(re.escape(name) + r"\.errors\.([1-9]\d{0,8})\.jsonl", re.ASCII)
        try:
            found = [match for entry in os.listdir(folder or ".") if (match := known.fullmatch(entry))]
        except OSError:
            return []
        return [os.path.join(folder, match[0]) for match in sorted(found, key=lambda match: int(match[1]))]

    def next_retired(self) -> str:
        """The name under which the errors file is put aside next."""
        before = self.retired()
        last = int(before[-1].rsplit(".", 2)[1]) if before else 0
        return f"{self.out}.errors.{last + 1}.jsonl"

    @property
    def manifest(self) -> str:
        return self.out + ".job.json"

    @property
    def torn(self) -> str:
        return self.out + ".torn"


@attrs.frozen
class InputState:
    """What tells that an input was not touched since: compared as a whole."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, fd: int) -> InputState:
        status = os.fstat(fd)
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


@attrs.frozen(kw_only=True)
class Manifest:
    """
    Args:
        input: path of the input as given, "-" for stdin.
        base_url: where the rows go, without a slash at the end.
        query: parameters of every request, as ``masked`` shows them.
        library: version of the library that wrote it.
        rows: lines of the input that are not blank; None until it was read to its end.
        of_all: it is a shard of those that one run wrote together, and *rows* is of all of them.
        checked: the input as it was when no edited row was found in it.
    """

    input: str
    base_url: str
    query: Mapping[str, str] = attrs.field(factory=dict)
    library: str = ""
    rows: int | None = None
    checked: InputState | None = None
    of_all: bool = False

    def disagreement(self, other: Manifest) -> str | None:
        """Why *other*, the job at hand, is not this one; None when it is."""
        if self.base_url != other.base_url:
            return f"it was written for {self.base_url}, not {other.base_url}"
        if dict(self.query) != dict(other.query):
            return f"it was written with another query ({_shown(self.query)}, now {_shown(other.query)})"
        return None


def masked(query: Mapping[str, str]) -> dict[str, str]:
    """Parameters that can be compared but not read, since a key may be among them; API versions stay readable."""
    return {
        name: value if name == "api-version" else "sha256:" + sha256(value.encode()).hexdigest()[:12]
        for name, value in query.items()
    }


def load(path: str) -> Manifest | None:
    """
    The manifest at *path*, or None when there is none.

    Raises:
        ConfigurationError: there is a file of that name that is no manifest of ours.
    """
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return _from_json(found)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        message = f"{path} is no job file of this program: move it away, or start anew with --overwrite"
        raise ConfigurationError(message) from None


def save(path: str, manifest: Manifest, disk: Disk = DISK) -> None:
    """Replace the manifest at *path*; for whoever has locked OUT, since no other must be at it."""
    text = json.dumps({"version": VERSION, **attrs.asdict(manifest)}, indent=1) + "\n"
    replace(path, text.encode(), path + ".tmp", disk)


def _from_json(found: Any) -> Manifest:
    if found["version"] != VERSION:
        raise ValueError("a version this program does not know")
    checked = found.get("checked")
    return Manifest(
        input=str(found["input"]),
        base_url=str(found["base_url"]),
        query={str(key): str(value) for key, value in found["query"].items()},
        library=str(found.get("library", "")),
        rows=found.get("rows"),
        of_all=bool(found.get("of_all", False)),
        checked=None if checked is None else InputState(checked["inode"], checked["size"], checked["mtime_ns"]),
    )


def _shown(query: Mapping[str, str]) -> str:
    return "&".join(f"{key}={value}" for key, value in query.items()) or "(none)"
