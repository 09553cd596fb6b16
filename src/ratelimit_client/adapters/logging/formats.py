"""
How a record is written: a line of text, or a line of JSON.

Law of this file: a record is one line, whoever made it, and no character of it steers what shows
it. A traceback is in it only where it stays within that line.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime

from ...runtime.logs import one_line

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_MOST = 8192
"""Characters of one text in a line of JSON: a traceback, or a message that is not ours."""


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What was given as ``extra=``."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def time_of(record: logging.LogRecord) -> str:
    """When, in UTC."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def as_json(facts: Mapping[str, object]) -> str:
    """One line of ASCII, whatever is in *facts*."""
    return json.dumps({name: _fit(value) for name, value in facts.items()})


def _fit(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:_MOST]


class JsonFormatter(logging.Formatter):
    """
    One object a line: ``time``, ``level``, ``logger``, ``message``, then the fields of the record.

    For any handler: it writes records of other libraries in the same form.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line; ASCII only, so it has no break and no escape sequence in it."""
        facts: dict[str, object] = {
            "time": time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts |= {name: value for name, value in fields_of(record).items() if name not in facts}
        if record.exc_info and record.exc_info[1] is not None:
            facts["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        return as_json(facts)


class TextFormatter(logging.Formatter):
    """``time level logger: message``, on one line; of an error that is not ours, what kind it was and what it said."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with everything shown by its code that is not printable."""
        text = f"{time_of(record)} {record.levelname.lower()} {record.name}: {record.getMessage()}"
        if record.exc_info and (error := record.exc_info[1]) is not None:
            text += f" ({type(error).__name__}: {error})"
        return one_line(text)
