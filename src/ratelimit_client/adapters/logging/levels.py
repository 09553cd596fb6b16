"""
Which loggers write how much, as a program or its environment says it.

    RATELIMIT_CLIENT_LOG=info
    RATELIMIT_CLIENT_LOG=warning,events=debug,bulk=info

Law of this file: what is asked for by name is set up, and nothing else; the root logger is not touched.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

import attrs

from ...errors import ConfigurationError
from ...runtime.logs import LOGGER, ROOT, short
from .formats import JsonFormatter, TextFormatter

VARIABLE: Final = "RATELIMIT_CLIENT_LOG"
FORM: Final = "RATELIMIT_CLIENT_LOG_FORMAT"
_WORDS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}


@attrs.frozen
class Levels:
    """
    Args:
        by_logger: the least level of each logger, by its whole name; of the library's root, of the whole tree.
    """

    by_logger: Mapping[str, int]

    @classmethod
    def read(cls, text: str, *, said: str = VARIABLE) -> Levels:
        """
        What *text* says: a level, ``LOGGER=LEVEL``, or several of these with commas between.

        Args:
            said: what to call it in an error.

        Raises:
            ConfigurationError: it says no such thing.
        """
        found = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            logger, sign, word = part.rpartition("=")
            level = _WORDS.get(word.strip().lower())
            if level is None or (sign and not logger.strip()):
                raise ConfigurationError(
                    f"{said}: {short(part)!r} is no level of a logger; write one of {', '.join(_WORDS)}, "
                    f"and for a part of the library {said}=warning,events=debug"
                )
            found[_whole(logger.strip())] = level
        return cls(found)

    @property
    def least(self) -> int:
        """Of all of them."""
        return min(self.by_logger.values(), default=logging.WARNING)

    @property
    def events(self) -> int:
        """What ``LoggingInstrument`` is to write."""
        return self.by_logger.get(f"{ROOT}.events", self.by_logger.get(ROOT, logging.WARNING))

    def apply(self) -> None:
        """Set the loggers."""
        for name, level in self.by_logger.items():
            logging.getLogger(name).setLevel(level)


def _whole(name: str) -> str:
    return name if name == ROOT or name.startswith(f"{ROOT}.") else f"{ROOT}.{name}" if name else ROOT


def log_to(stream: TextIO | None = None, *, level: str = "info", form: str = "text") -> logging.Handler:
    """
    Have what the library says written to *stream*, one line a record.

    For programs that set up no logging of their own. Returns the handler: ``logging.getLogger("ratelimit_client")
    .removeHandler(handler)`` ends it.

    Args:
        stream: stderr by default.
        level: as RATELIMIT_CLIENT_LOG has it: ``info``, or ``warning,events=debug``.
        form: ``text`` or ``json``.

    Raises:
        ConfigurationError: *level* or *form* is none.
    """
    return _log_to(stream, Levels.read(level, said="level"), form, said="form")


def log_from_environment(
    environment: Mapping[str, str] = os.environ, stream: TextIO | None = None
) -> logging.Handler | None:
    """
    The same as RATELIMIT_CLIENT_LOG and RATELIMIT_CLIENT_LOG_FORMAT say; None, and nothing is done, without the first.

    Raises:
        ConfigurationError: what they say cannot be.
    """
    text = environment.get(VARIABLE, "").strip()
    return _log_to(stream, Levels.read(text), environment.get(FORM) or "text", said=FORM) if text else None


def _log_to(stream: TextIO | None, levels: Levels, form: str, *, said: str) -> logging.Handler:
    if form not in ("text", "json"):
        raise ConfigurationError(f"{said}: {short(form)!r} is neither text nor json")
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    levels.apply()
    LOGGER.addHandler(handler)
    return handler
