"""
What the program says to people: on stderr, in text or as JSON.

Law of this file: stdout carries rows only. A message never breaks the run: a
stderr that is gone is nobody's problem but its reader's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TextIO

import attrs

from ..runtime.logs import LOGGER, one_line
from .cells import PROGRAM, fold

if TYPE_CHECKING:
    from ..adapters.logging import Levels
    from ..runtime.limiter import Limiter

__all__ = ["PROGRAM", "Handler", "Voice", "fitted", "harmless", "log_events_of", "logging_to"]

# Narrower than this, broken words are no gain.
_NARROWEST: Final = 40
_LEVELS: Final = "RATELIMIT_CLIENT_LOG"


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
            self.write(json.dumps({"time": now, "level": level, "message": message}), whole=True)
        else:
            self.write(f"{PROGRAM}: {message}")

    def fail(self, message: str) -> None:
        """Why it cannot be done."""
        self.say(message, level="error")

    def write(self, text: str, *, whole: bool = False) -> None:
        """
        Text and a newline; what could steer a terminal (a server's words may be among it) is shown escaped.

        On a terminal lines are broken between words, unless they are to stay *whole*; elsewhere they are left alone.
        """
        stream = self.stream or sys.stderr
        try:
            text = harmless(text)
            stream.write((text if whole else fitted(text, stream)) + "\n")
            stream.flush()
        except (OSError, ValueError, AttributeError):  # gone, closed, or none at all
            pass


def fitted(text: str, stream: TextIO) -> str:
    """*text* with its lines broken between words where *stream* is a terminal."""
    if not stream.isatty():
        return text
    width = _width(stream)
    return "\n".join(part for line in text.split("\n") for part in fold(line, width)) if width >= _NARROWEST else text


def _width(stream: TextIO) -> int:
    """Of a terminal, less the last column, where some break already."""
    if not os.environ.get("COLUMNS", "").isdecimal():
        try:
            return os.get_terminal_size(stream.fileno()).columns - 1
        except OSError:
            pass
    return shutil.get_terminal_size().columns - 1


def harmless(text: str) -> str:
    """Text fit for a terminal: what could steer it is shown escaped."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )


class Handler(logging.Handler):
    """What the library logs, said by a voice."""

    def __init__(self, voice: Voice, level: int = logging.WARNING) -> None:
        super().__init__(level)
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record on one line; as text without a traceback."""
        if self._voice.as_json:
            from ..adapters.logging import JsonFormatter  # and with it what is not needed for --help

            self._voice.write(JsonFormatter().format(record), whole=True)
        else:
            self._voice.say(one_line(record.getMessage()), level=record.levelname.lower())


@contextlib.contextmanager
def logging_to(voice: Voice) -> Iterator[None]:
    """
    What the library logs is said, while the block runs: warnings, or what RATELIMIT_CLIENT_LOG says.

    Raises:
        ConfigurationError: it says nothing that can be.
    """
    levels = _levels()
    handler = Handler(voice, levels.least)
    before = {name: logging.getLogger(name).level for name in levels.by_logger}
    levels.apply()
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def log_events_of(limiter: Limiter) -> None:
    """What happens to its calls is logged, as far as RATELIMIT_CLIENT_LOG asks for that."""
    if os.environ.get(_LEVELS):
        from ..adapters.logging import LoggingInstrument

        limiter.add_instrument(LoggingInstrument(level=_levels().events))


def _levels() -> Levels:
    from ..adapters.logging import Levels

    return Levels.read(os.environ.get(_LEVELS) or "warning", said=_LEVELS)
