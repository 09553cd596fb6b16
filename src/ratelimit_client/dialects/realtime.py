"""
What the events of a realtime session mean for the budget.

Law of this file: a session is many calls on one socket, and each of them is a response: it
begins with ``response.created`` and is over with ``response.done``, whatever that says. A
response that failed means what the same error means as an answer of its own, and the
session goes on. Nothing that a server sent makes the reader raise; what is not known
means nothing, and is for the one who reads the session.

Theory: the socket has no headers after its handshake, so limits come in an event,
``rate_limits.updated``: behind ``response.done`` as recorded (2024 to 2026), behind
``response.created`` as documented ("some tokens are reserved for the output"), or never (Azure,
xAI). Its names are open (``requests``, ``tokens``, ``audio_seconds``), every field may be missing
and the list may be empty. An ``error`` is mostly about one event of the client, which it names, and
rarely about the session. A session ends after an hour or less: ``session.expires_at`` is the authority.

Source: the reference of the Realtime API and recorded frames; openai-agents-js#1022.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Any

import attrs

from ..core.signals import Reason, Signals
from .bodies import LONGEST_BODY
from .dialect import Dialect
from .features import tokens_used
from .registry import AUTO, read
from .stream_errors import read_error

NOTHING = Signals(status=200)
"""What an event says that says nothing of limits."""

NORMAL = frozenset({1000, 1001, 1005})
"""Codes with which a socket ends well; 1005 stands for none."""

_OVERLOADED = frozenset({1012, 1013})
_OF_THE_SERVER = frozenset({1011, 1014})
_EXPIRED = frozenset({"session_expired", "session_expired_error"})
_ENDED_WELL = frozenset({"completed", "cancelled", "incomplete"})
_FAILED: Mapping[str, Any] = {
    "type": "server_error",
    "code": None,
    "message": "the response failed, and nothing was said",
}
_MOST_REASON = 1024


class Means(enum.Enum):
    """What an event is to the budget."""

    __hash__ = object.__hash__

    BEGUN = "begun"
    """A response has begun, asked for or not."""

    DONE = "done"
    """A response is over, well or not."""

    LIMITS = "limits"
    """Levels of rate limits."""

    ERROR = "error"
    """Something was refused: an event of the client, or the session."""

    SESSION = "session"
    """The settings of the session, and when it ends."""

    OTHER = "other"
    """Anything else."""


_NAMES: Mapping[str, Means] = {
    "response.created": Means.BEGUN,
    "response.done": Means.DONE,
    "rate_limits.updated": Means.LIMITS,
    "error": Means.ERROR,
    "session.created": Means.SESSION,
    "session.updated": Means.SESSION,
}


@attrs.frozen
class RealtimeEvent:
    """
    One event and what it means.

    Args:
        means: what it is to the budget.
        name: its type, "" where it has none.
        data: its members.
        signals: what an ordinary answer would say: of limits the readings, of an error or a failed response
            the reason and the wait; of all others nothing.
        response_id: of the response it is about, or None.
        about: the name of the client's event that an error is about, or None.
        tokens: of a response that is over, what it used; None when that is not known and the estimate stands.
        usage: the same as the server wrote it, or None.
        expires_at: of a session, when it ends, in seconds since 1970; or None.
        expired: the session is over because its time is.
    """

    means: Means
    name: str
    data: Mapping[str, Any]
    signals: Signals = NOTHING
    response_id: str | None = None
    about: str | None = None
    tokens: int | None = None
    usage: Mapping[str, Any] | None = None
    expires_at: float | None = None
    expired: bool = False

    @property
    def teaches(self) -> bool:
        """Whether a limiter learns from it. Of a mistake of the client's nobody learns anything about limits."""
        if self.means is Means.ERROR:
            return self.signals.reason is not Reason.CLIENT_ERROR
        return self.means is Means.DONE or self.means is Means.LIMITS


def read_event(
    event: object, *, server: str | Dialect = AUTO, url: str | None = None, now_wall_s: float | None = None
) -> RealtimeEvent:
    """
    What *event* means; never raises for what a server sent.

    Args:
        event: a mapping, or its JSON as text or bytes; whatever else it is means nothing.
        server, url, now_wall_s: as the *dialect* and the rest of ``dialects.read``.
    """
    data = _members(event)
    name = data.get("type")
    name = name if type(name) is str else ""
    means = _NAMES.get(name, Means.OTHER)
    if means is Means.LIMITS:
        signals = read(0, {}, data, dialect=server, url=url, now_wall_s=now_wall_s)
        return RealtimeEvent(means, name, data, signals)
    if means is Means.ERROR:
        signals = read_error(data, "", server=server, url=url, now_wall_s=now_wall_s)
        code = (signals.error_code or "").lower()
        return RealtimeEvent(means, name, data, signals, about=_about(data), expired=code in _EXPIRED)
    if means is Means.SESSION:
        return RealtimeEvent(means, name, data, expires_at=_instant(_inner(data, "session").get("expires_at")))
    if means is Means.OTHER:
        return RealtimeEvent(means, name, data)
    response = _inner(data, "response")
    found = response.get("id")
    response_id = found if type(found) is str else None
    if means is Means.BEGUN:
        return RealtimeEvent(means, name, data, response_id=response_id)
    usage = response.get("usage")
    usage = usage if isinstance(usage, dict) else None
    return RealtimeEvent(
        means,
        name,
        data,
        _of_the_end(response, server, url, now_wall_s),
        response_id,
        # What failed is written with zeros, whatever it was charged.
        tokens=tokens_used(usage) or None,
        usage=usage,
    )


def read_close(code: int, reason: str, *, server: str | Dialect = AUTO, url: str | None = None) -> Signals:
    """
    What the code and the text with which a server closes a socket say, as an answer would.

    The words of the text decide where they are known (``insufficient_quota``); else 1012 and 1013 are an overload,
    1011 an error of the server, and all others but those of a good end a refusal of what the client did.
    """
    if code in NORMAL:
        return NOTHING
    words = reason[:_MOST_REASON]
    said = read_error(
        {"type": "error", "error": {"message": words, "code": words.rpartition(".")[2]}}, words, server=server, url=url
    )
    if said.reason is not Reason.SERVER_ERROR and said.reason is not Reason.CLIENT_ERROR:
        return said
    if code in _OVERLOADED:
        return attrs.evolve(said, status=503, reason=Reason.OVERLOADED, retryable=True)
    if code in _OF_THE_SERVER:
        return attrs.evolve(said, status=500, reason=Reason.SERVER_ERROR, retryable=True)
    return attrs.evolve(said, status=400, reason=Reason.CLIENT_ERROR, retryable=False)


def _of_the_end(
    response: Mapping[str, Any], server: str | Dialect, url: str | None, now_wall_s: float | None
) -> Signals:
    """What the last word on a response says."""
    status = response.get("status")
    if type(status) is str and status in _ENDED_WELL:
        return NOTHING
    error = _inner(_inner(response, "status_details"), "error")
    if not error and status != "failed":
        return NOTHING
    said = {"type": "error", "error": error or _FAILED}
    return read_error(said, "", server=server, url=url, now_wall_s=now_wall_s)


def _members(event: object) -> Mapping[str, Any]:
    """The members of an event; of what is none, none."""
    if isinstance(event, bytes | bytearray | memoryview):
        event = bytes(event).decode("utf-8", "replace")
    if isinstance(event, str):
        # What says something of limits is short; sound and pictures are long.
        if len(event) > LONGEST_BODY:
            return {}
        try:
            event = json.loads(event)
        except (ValueError, RecursionError):
            return {}
    return event if isinstance(event, Mapping) else {}


def _inner(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def _about(data: Mapping[str, Any]) -> str | None:
    """The client's event that an error names; the ``event_id`` beside the error is its own."""
    found = _inner(data, "error").get("event_id")
    return found if type(found) is str else None


def _instant(value: object) -> float | None:
    # Up to the year 5138; what is more counts no seconds.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e11:
        return float(value)
    return None
