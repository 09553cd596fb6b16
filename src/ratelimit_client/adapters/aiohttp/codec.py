"""
JSON to bytes and back, strictly.

Law of this file: what goes out is JSON by the standard, and what comes in is
JSON by the standard or ``NotJson``; no answer of a server makes a parser raise
anything else.

orjson is used when it is installed. It is stricter than the standard in places
that cost paid answers (an escaped lone surrogate, which models do cut emoji
into), so what it refuses is tried once more with the standard library.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ...errors import ConfigurationError

try:
    import orjson
except ImportError:  # the extra [fast] is not installed
    orjson = None  # type: ignore[assignment, unused-ignore]  # unused where orjson is not installed


class NotJson(ValueError):
    """These bytes are no JSON text."""


def encode(value: Any) -> bytes:
    """
    The body of a request.

    Raises:
        ConfigurationError: *value* holds something JSON has no word for.
    """
    if orjson is not None:
        try:
            written: bytes = orjson.dumps(value)
            return written
        except TypeError:  # big integers, keys that are no text, lone surrogates
            pass
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"json= cannot be written as JSON: {error}"
    raise ConfigurationError(problem)


def decode(raw: bytes) -> Any:
    """
    The value of a whole JSON text in UTF-8.

    Raises:
        NotJson: it is cut short, nested without end, not UTF-8, holds NaN, or is none.
    """
    if orjson is not None:
        try:
            return orjson.loads(raw)
        except ValueError:
            pass
    try:
        # A byte order mark may be ignored (RFC 8259, 8.1), and some gateways send one.
        return json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse)
    except RecursionError:
        problem = "it is nested too deeply"
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8"
    except ValueError as error:
        problem = str(error)
    raise NotJson(problem)


def decode_text(text: str) -> Any:
    """
    The value of a whole JSON text; the data of an event, say.

    Raises:
        NotJson: as of ``decode``; or it holds half a character.
    """
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise NotJson("it holds half a character") from None
    return decode(raw)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
