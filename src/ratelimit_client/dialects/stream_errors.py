"""
An error inside a stream that began well, as an ordinary answer would have said it.

Law of this file: a stream that is answered with 200 and fails later means what the same
error under its own status means, by the same tables. The status is the one that the
event carries, else the one that its words stand for.

Theory: such an error comes in every shape that bodies have, and in three more: flat
beside its type, as bare text, and in an event that nothing but its name tells to be one. So
it is put into an envelope that the reader of bodies knows, where it has none. An
``error`` of nulls, or a number, is how healthy events spell other things.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ..core.signals import Reason, Signals
from .bodies import LONGEST_MESSAGE, read_body
from .dialect import Dialect
from .registry import read

_OF_A_WORD: Mapping[str, int] = {
    "overloaded_error": 529,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "timeout_error": 504,
    "billing_error": 402,
    "payment_required": 402,
}
"""Where the status of a word is not that of what it means."""

_OF_A_REASON: Mapping[Reason, int] = {
    Reason.RATE_LIMITED: 429,
    Reason.OVERLOADED: 503,
    Reason.QUOTA_EXHAUSTED: 429,
    Reason.TOO_LARGE: 400,
    Reason.MODEL_NOT_FOUND: 404,
    Reason.AUTH: 401,
    Reason.CLIENT_ERROR: 400,
    Reason.SERVER_ERROR: 500,
}


def shows_error(data: Mapping[str, Any]) -> bool:
    """Whether an event's data holds an error, whatever the event is called."""
    if _is_error(data.get("error")) or data.get("object") == "error":
        return True
    choices = data.get("choices")
    first = choices[0] if type(choices) is list and choices else None
    return type(first) is dict and (first.get("finish_reason") == "error" or _is_error(first.get("error")))


def _is_error(error: object) -> bool:
    if error is None:  # as in nearly every event
        return False
    if type(error) is dict:
        return any(error.values())
    return error is True or (isinstance(error, str | list) and bool(error))


def read_error(
    data: object,
    raw: str,
    *,
    server: str | Dialect = "auto",
    url: str | None = None,
    now_wall_s: float | None = None,
) -> Signals:
    """
    What the error in an event says about waiting and retrying; never raises for what it is.

    Args:
        data: its parsed data, or None when it is no JSON.
        raw: its data as text.
        server, url, now_wall_s: as the *dialect* and the rest of ``read``.
    """
    body = _enveloped(data, raw)
    error = read_body(body, failed=False)
    stated = None if error is None else error.status
    signals = read(stated or 200, {}, body, dialect=server, url=url, now_wall_s=now_wall_s)
    return signals if stated else attrs.evolve(signals, status=_status(signals))


def _status(signals: Signals) -> int:
    words = [word.lower() for word in (signals.error_code, signals.error_type) if word is not None]
    return next((_OF_A_WORD[word] for word in words if word in _OF_A_WORD), _OF_A_REASON.get(signals.reason, 500))


def _enveloped(data: object, raw: str) -> Mapping[str, Any] | list[Any]:
    """The error in a form that is one wherever it is read."""
    if isinstance(data, Mapping | list) and read_body(data, failed=False) is not None:
        return data
    if not isinstance(data, Mapping):
        return {"type": "error", "error": {"message": data if isinstance(data, str) else raw[:LONGEST_MESSAGE]}}
    facts = dict(data)
    if isinstance(facts.get("error"), str):
        facts.setdefault("message", facts.pop("error"))
    return {"type": "error", "error": facts}
