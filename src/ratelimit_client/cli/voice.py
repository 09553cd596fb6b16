"""
What the program says to people: on stderr, in text or as JSON.

Law of this file: stdout carries rows only. A message never breaks the run: a
stderr that is gone is nobody's problem but its reader's.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Final, TextIO

import attrs

PROGRAM: Final = "ratelimit-client"


@attrs.define(eq=False)
class Voice:
    """
    Args:
        as_json: one JSON object a line instead of plain text.
        stream: where to; stderr as it is now when None.
    """

    as_json: bool = False
    stream: TextIO | None = None

    def say(self, message: str, *, level: str = "info") -> None:
        """One message."""
        if self.as_json:
            now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
            self.write(json.dumps({"time": now, "level": level, "message": message}))
        else:
            self.write(f"{PROGRAM}: {message}")

    def fail(self, message: str) -> None:
        """Why it cannot be done."""
        self.say(message, level="error")

    def write(self, text: str) -> None:
        """Text and a newline; what could steer a terminal (a server's words may be among it) is shown escaped."""
        stream = self.stream or sys.stderr
        try:
            stream.write(harmless(text) + "\n")
            stream.flush()
        except (OSError, ValueError, AttributeError):  # gone, closed, or none at all
            pass


def harmless(text: str) -> str:
    """Text fit for a terminal: what could steer it is shown escaped."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )


class Handler(logging.Handler):
    """What the library logs, said by a voice."""

    def __init__(self, voice: Voice) -> None:
        super().__init__(logging.WARNING)
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record, without a traceback."""
        self._voice.say(record.getMessage(), level=record.levelname.lower())
