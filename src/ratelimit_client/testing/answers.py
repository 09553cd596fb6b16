"""
What the model server answers, decided now and written when somebody looks.

Law of this file: an answer is a snapshot. Its numbers are those of the instant of the
decision; headers, body and signals are made from them on first use, so a simulation
that needs only the status pays for nothing else.
"""

from __future__ import annotations

import enum
import json
from typing import Any

import attrs

from ..core.signals import Reading, Reason, Signals
from ..core.units import NS
from ..dialects.openai_writing import (
    STATUS,
    VERSION,
    ErrorKind,
    debug_headers,
    error_body,
    format_duration,
    refusal_headers,
)
from .account import Refusal
from .charging import Ask
from .endpoints import ENDPOINTS, Facts
from .showing import Shown
from .streaming import STREAMS, StreamOptions

_MS = 1_000_000


class Ending(enum.Enum):
    """How the answer ends on the wire."""

    WHOLE = "whole"
    TRUNCATED = "truncated"
    RESET = "reset"
    STREAM_ERROR = "stream_error"
    """Of a stream: the second half is an error."""
    UNFINISHED = "unfinished"
    """Of a stream: it ends well as HTTP, and nothing says that it has come to its end."""
    LEFT = "left"
    """The client was gone before it came, so nothing of it was sent."""


class RefusalText(enum.Enum):
    """
    How much the body of a refusal tells.

    FULL as OpenAI writes it, with the numbers and the time; PLAIN names the unit and no
    number; BARE names nothing.
    """

    FULL = "full"
    PLAIN = "plain"
    BARE = "bare"


@attrs.frozen
class Caller:
    """
    What a request says of its sender.

    Args:
        mark: name of the row, echoed in the answer and counted in the tally.
        idempotency_key, client_request_id: as the headers have them.
        organization, project: as the headers have them; echoed.
    """

    mark: str | None = None
    idempotency_key: str | None = None
    client_request_id: str | None = None
    organization: str | None = None
    project: str | None = None


NOBODY = Caller()


@attrs.define(eq=False, kw_only=True)
class Answer:
    """
    One answer of the model server.

    Args:
        number: of the request, from 1.
        kind: None for a success, else the kind of error.
        decided_ns: the instant of the decision.
        latency_ns: from the arrival of the request to the first byte of the answer.
        stream: it comes in events; None: in one piece.
        streaming_ns: from the first event to the last.
        ending: how it ends on the wire.
        charged: tokens the call was charged; 0 when it was not admitted.
        refusal: why a limit refused it, or None.
    """

    number: int
    status: int
    ask: Ask
    caller: Caller = NOBODY
    kind: ErrorKind | None = None
    decided_ns: int = 0
    latency_ns: int = 0
    stream: StreamOptions | None = None
    streaming_ns: int = 0
    ending: Ending = Ending.WHOLE
    charged: int = 0
    admitted: bool = False
    refusal: Refusal | None = None
    retry_headers: bool = True
    text: RefusalText = RefusalText.FULL
    message: str | None = None
    param: str | None = None
    shown: tuple[Shown, ...] = ()
    request_id: str = ""
    organization: str | None = None
    project: str | None = None
    group: str = ""
    model: str = ""
    created_s: int = 0
    document: dict[str, Any] | None = None
    _headers: dict[str, str] | None = None
    _body: bytes | None = None

    @property
    def ok(self) -> bool:
        """It is a success, and all of it arrives."""
        return self.kind is None and self.ending is Ending.WHOLE

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of the answer, without the framing ones."""
        if self._headers is None:
            self._headers = self._write_headers()
        return self._headers

    def say(self, headers: dict[str, str]) -> None:
        """Let the header fields be these; ``signals`` goes on telling the truth."""
        self._headers = headers

    @property
    def body(self) -> bytes:
        """The whole body, also of an answer that will be cut short; of a stream all of its events."""
        if self._body is None:
            if self.in_events:
                self._body = b"".join(self.events())
            else:
                self._body = json.dumps(self.json(), separators=(",", ":")).encode()
        return self._body

    @property
    def in_events(self) -> bool:
        """It is a stream, and not an error that came before it began."""
        return self.stream is not None and self.kind is None

    def events(self) -> list[bytes]:
        """The events that are sent, each with its empty line; for streams."""
        assert self.stream is not None
        write, break_off = STREAMS[self.ask.endpoint]
        events = list(write(self.json(), self.stream))
        if self.ending in _HALVES:
            events = events[: len(events) // 2]
        if self.ending is Ending.STREAM_ERROR:
            events.append(break_off(error_body("server_error")))
        return events

    def json(self) -> dict[str, Any]:
        """The body before it is written."""
        if self.document is not None:
            return self.document
        if self.kind is not None:
            return self._error()
        return ENDPOINTS[self.ask.endpoint].write(
            Facts(self.number, self.created_s, self.model, self.ask, self.answer_text)
        )

    @property
    def answer_text(self) -> str:
        """The text of a success: it names the row it answers."""
        return f"Answer to {self.caller.mark or self.ask.model}: {self.ask.chars} characters were read."

    @property
    def wait_s(self) -> float | None:
        """The wait a refusal tells of, in seconds, before anything is cut to milliseconds."""
        return None if self.refusal is None or self.refusal.wait_ns is None else self.refusal.wait_ns / NS

    @property
    def signals(self) -> Signals:
        """
        What a reader of this answer learns, without writing and reading it.

        For models of the scheduler in virtual time; ``dialects.read`` of headers and body
        gives the same, and the window where the numbers determine it.
        """
        return Signals(
            status=self.status,
            reason=Reason.OK if self.kind is None else _REASONS[self.kind],
            retryable=None if self.kind is None else self.kind in _RETRYABLE,
            retry_after_s=self._hint_s(),
            readings={each.unit: _reading(each) for each in self.shown},
            processing_s=self.latency_ns // _MS / 1000 if self.shown or self.admitted else None,
            request_id=self.request_id,
            organization=self.organization,
            project=self.project,
            version=VERSION,
            slow_down=self.kind == "slow_down",
            **self._told(),
        )

    def _hint_s(self) -> float | None:
        if self.wait_s is None or not (self.retry_headers or self.text is RefusalText.FULL):
            return None
        return max(1, int(self.wait_s * 1000 + 1e-6)) / 1000

    def _told(self) -> dict[str, Any]:
        """What the text of a refusal says."""
        refusal = self.refusal
        if refusal is None or self.text is RefusalText.BARE:
            return {}
        if self.text is RefusalText.PLAIN:
            return {"unit": refusal.unit}
        used = {"used": float(refusal.used)} if refusal.wait_ns is not None else {}
        return {
            "unit": refusal.unit,
            "limit": float(refusal.limit),
            "requested": float(refusal.requested),
            "window_s": refusal.window_ns / NS,
            **used,
        }

    def _write_headers(self) -> dict[str, str]:
        processed = self.admitted or bool(self.shown)
        headers = debug_headers(
            request_id=self.request_id,
            processing_s=self.latency_ns // _MS / 1000 if processed else None,
            organization=self.organization,
            project=self.project,
        )
        if self.caller.client_request_id is not None:
            headers["x-client-request-id"] = self.caller.client_request_id
        for each in self.shown:
            headers[f"x-ratelimit-limit-{each.unit}"] = str(each.limit)
            headers[f"x-ratelimit-remaining-{each.unit}"] = str(each.remaining)
            # Whole milliseconds, cut while they are still integers.
            headers[f"x-ratelimit-reset-{each.unit}"] = format_duration(each.reset_ns // _MS / 1000)
        if self.wait_s is not None and self.retry_headers:
            headers.update(refusal_headers(self.wait_s))
        headers["content-type"] = "text/event-stream; charset=utf-8" if self.in_events else "application/json"
        return headers

    def _error(self) -> dict[str, Any]:
        assert self.kind is not None
        refusal = self.refusal
        if refusal is None:
            return error_body(self.kind, model=self.ask.model, message=self.message, param=self.param)
        if self.text is not RefusalText.FULL:
            kind = refusal.unit if self.text is RefusalText.PLAIN else "rate_limit_error"
            told = {"message": "Rate limit reached.", "type": kind, "param": None, "code": "rate_limit_exceeded"}
            return {"error": told}
        return error_body(
            self.kind,
            model=self.group or self.ask.model,
            organization=self.organization or "",
            unit=refusal.unit,
            limit=refusal.limit,
            used=refusal.used,
            requested=refusal.requested,
            window_s=refusal.window_ns / NS,
            wait=self.wait_s,
        )

    def __repr__(self) -> str:
        what = "ok" if self.kind is None else self.kind
        return f"<Answer {self.number}: {self.status} {what} after {self.latency_ns / NS:g} s, {self.ending.value}>"


def _reading(shown: Shown) -> Reading:
    return Reading(float(shown.limit), float(shown.remaining), shown.reset_ns // _MS / 1000)


_HALVES = frozenset({Ending.TRUNCATED, Ending.STREAM_ERROR, Ending.UNFINISHED})
_RETRYABLE = frozenset({"rate_limit", "slow_down", "overloaded", "server_error"})
_REASONS: dict[str, Reason] = {
    "rate_limit": Reason.RATE_LIMITED,
    "too_large": Reason.TOO_LARGE,
    "insufficient_quota": Reason.QUOTA_EXHAUSTED,
    "slow_down": Reason.OVERLOADED,
    "overloaded": Reason.OVERLOADED,
    "server_error": Reason.SERVER_ERROR,
    "invalid_request": Reason.CLIENT_ERROR,
    "invalid_api_key": Reason.AUTH,
    "model_not_found": Reason.MODEL_NOT_FOUND,
}
assert _REASONS.keys() == STATUS.keys()
