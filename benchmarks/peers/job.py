"""
What the harness hands a peer, and what the peer hands back.

Law of this file: the standard library and nothing else, on any Python from 3.11 on, because
every peer's script imports it in an interpreter of its own.

A script reads its job from the file named on its command line, says when its first row may
go, and writes one line for each row it answered or gave up. Nothing of an answer is kept:
the race asks when it came, and the server counts the rest.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

Row = dict[str, Any]


@dataclass
class Job:
    """
    Args:
        base_url: of an API as OpenAI's, "/v1" included.
        rows: lines as the Batch API has them, chat completions all.
        variant: "defaults" or "tuned".
        requests_per_minute, tokens_per_minute: the limits, None where there is none.
        in_flight: the most calls that may be under way at once.
        attempts: the most calls for one row where the peer is told a bound at all.
    """

    base_url: str
    rows: list[Row]
    variant: str
    requests_per_minute: int | None
    tokens_per_minute: int | None
    in_flight: int
    attempts: int
    started: Path
    out: TextIO = field(repr=False)
    settled: set[str] = field(default_factory=set, repr=False)

    @property
    def tuned(self) -> bool:
        return self.variant == "tuned"

    def start(self) -> None:
        """The first row may go from now on."""
        self.started.write_text(repr(time.time()), encoding="utf-8")

    def answered(self, custom_id: str) -> None:
        """That row has its answer."""
        self._write({"custom_id": custom_id, "ok": True})

    def gave_up(self, custom_id: str, error: object) -> None:
        """That row will get none."""
        text = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
        self._write({"custom_id": custom_id, "ok": False, "error": text[:300]})

    def _write(self, line: dict[str, Any]) -> None:
        self.settled.add(line["custom_id"])
        self.out.write(json.dumps({**line, "at": time.time()}) + "\n")
        self.out.flush()


def from_command_line() -> Job:
    """The job in the file that is the only argument."""
    return read(Path(sys.argv[1]))


def read(path: Path) -> Job:
    """The job in that file; its output is open from here to the end of the process."""
    told = json.loads(path.read_text(encoding="utf-8"))
    with open(told["rows"], encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return Job(
        base_url=told["base_url"],
        rows=rows,
        variant=told["variant"],
        requests_per_minute=told["limits"]["requests_per_minute"],
        tokens_per_minute=told["limits"]["tokens_per_minute"],
        in_flight=told["in_flight"],
        attempts=told["attempts"],
        started=Path(told["started"]),
        out=open(told["out"], "a", encoding="utf-8"),
    )


def prompt(row: Row) -> str:
    """The text of a row of one message, for a library that takes prompts."""
    (message,) = row["body"]["messages"]
    return str(message["content"])


def tokens(row: Row) -> int:
    """
    What a row will be charged, as OpenAI documents the estimate of its limiter: a quarter of the characters.

    For peers that count no tokens themselves; those that do are left to it.
    """
    return -(-sum(len(message["content"]) for message in row["body"]["messages"]) // 4) + 2
