"""
A realtime session of the model server: what it says to what it hears.

Law of this file: it is told the time and does no input or output. A response is a call like
any other, charged in the same accounts at the instant in which it is asked for; what
is refused is a response that failed, and the session goes on. Limits are told behind
``response.done``, as they stand then.

Source: the reference of the Realtime API and recorded frames of 2024 to 2026.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from ..core.units import NS
from .answers import Answer, Caller, Ending
from .charging import Ask, prompt_tokens
from .lies import HOSTILE

if TYPE_CHECKING:
    from .model_server import ModelServer

PATH = "/realtime"

Telling = Literal["true", "empty", "none", "full", "partial", "hostile"]

_PIECE = 16
_MS = 1_000_000


@attrs.frozen(kw_only=True)
class RealtimeConduct:
    """
    How the model server behaves on sockets, beside its limits.

    Args:
        session_s: seconds until it ends a session.
        refused: so many handshakes are refused with 429 before the first is granted.
        telling: what ``rate_limits.updated`` tells: the truth, an empty list, never anything, as much remaining
            as the limit, items with members missing, or values that are none.
        early: the limits are told behind ``response.created`` as well.
        pongs: it answers pings.
        close_after: it closes the socket behind so many responses, and with which code; None: it does not.
        binary: its events come in binary messages.
    """

    session_s: float = 3600.0
    refused: int = 0
    telling: Telling = "true"
    early: bool = False
    pongs: bool = True
    close_after: tuple[int, int] | None = None
    binary: bool = False


@attrs.frozen
class Step:
    """
    What the server does next.

    Args:
        wait_ns: before it.
        event: what it says, or None.
        close: with which code it closes the socket then; 1006: it drops the connection; None: it does not.
        answer: of a response, what is told to the tally when the client is gone before this.
        stops: what is being said stops before this.
    """

    wait_ns: int = 0
    event: Mapping[str, Any] | None = None
    close: int | None = None
    answer: Answer | None = None
    stops: bool = False


class Session:
    """
    One session.

    Args:
        server: whose limits hold.
        model: as the URL names it.
        mark: what its responses are called in the tally.
    """

    def __init__(self, server: ModelServer, model: str, mark: str | None, *, now_ns: int) -> None:
        self.server = server
        self.model = model
        self.mark = mark
        self.began_ns = now_ns
        self.responses = 0
        self.active: str | None = None
        self._chars = 0
        self._events = 0

    @property
    def conduct(self) -> RealtimeConduct:
        """How sockets are treated."""
        return self.server.realtime

    def begin(self, *, wall_s: float) -> dict[str, Any]:
        """The first event."""
        settings = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": self.model}
        return self._event("session.created", session={**settings, "expires_at": int(wall_s + self.conduct.session_s)})

    def hear(self, raw: str | bytes, *, now_ns: int) -> list[Step]:
        """What the server does because of a message of the client's."""
        try:
            event = json.loads(raw)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            return [self._refuse("We could not parse the JSON body of your event.", None)]
        name, own_id = event.get("type"), event.get("event_id")
        if name == "response.create":
            return self._respond(event, own_id, now_ns)
        if name == "response.cancel":
            return [self._cancel(own_id)]
        if name == "conversation.item.create":
            item = event.get("item")
            self._chars += _chars(item)
            return [Step(event=self._event("conversation.item.created", item=item))]
        if name == "session.update":
            return [Step(event=self._event("session.updated", session=event.get("session")))]
        if name == "input_audio_buffer.commit":
            return [Step(event=self._event("input_audio_buffer.committed")), *self._respond({}, None, now_ns)]
        if name in ("input_audio_buffer.append", "input_audio_buffer.clear"):
            return []
        return [self._refuse(f"Invalid value: {name!r:.60}.", own_id)]

    def _cancel(self, own_id: Any) -> Step:
        if self.active is None:
            return self._refuse("Cancellation failed: no active response found", own_id, "response_cancel_not_active")
        done = self._response(self.active, "cancelled", None)
        return Step(event=self._event("response.done", response=done), stops=True)

    # ---- responses -----------------------------------------------------------------------

    def _respond(self, event: Mapping[str, Any], own_id: Any, now_ns: int) -> list[Step]:
        if self.active is not None:
            message = f"Conversation already has an active response in progress: {self.active}."
            return [self._refuse(message, own_id, "conversation_already_has_active_response")]
        wishes = event.get("response")
        wishes = wishes if isinstance(wishes, dict) else {}
        most = wishes.get("max_output_tokens")
        chars = self._chars + _chars(wishes)
        ask = Ask(self.model, chars, most if type(most) is int else None, endpoint="realtime")
        metadata = wishes.get("metadata")
        row = metadata.get("row") if isinstance(metadata, dict) else None
        answer = self.server.decide(ask, Caller(row or self.mark), now_ns=now_ns)
        self.responses += 1
        response_id = self.active = f"resp_{answer.number:020x}"
        return list(self._steps(response_id, answer))

    def _steps(self, response_id: str, answer: Answer) -> Iterator[Step]:
        begun = self._response(response_id, "in_progress", None)
        yield Step(event=self._event("response.created", response=begun), answer=answer)
        if self.conduct.early and answer.admitted:
            yield from self._limits(answer)
        if answer.kind is not None:
            error = answer.json()["error"]
            failed = {key: error[key] for key in ("type", "code", "message")}
            done = self._response(response_id, "failed", _usage(0, 0), {"type": "failed", "error": failed})
            yield Step(answer.latency_ns, self._event("response.done", response=done))
        else:
            text = answer.answer_text
            pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
            wait_ns, pause_ns = answer.latency_ns, self.server.draw_streaming_ns() // len(pieces)
            for piece in pieces:
                delta = self._event("response.output_text.delta", response_id=response_id, delta=piece)
                yield Step(wait_ns, delta, answer=answer)
                wait_ns = pause_ns
                if answer.ending is not Ending.WHOLE:
                    yield Step(close=1006)
                    return
            used = -(-len(text) // 4)
            self._chars += len(text)
            done = self._response(response_id, "completed", _usage(prompt_tokens(answer.ask), used))
            yield Step(wait_ns, self._event("response.done", response=done), answer=answer)
        yield from self._limits(answer)
        after = self.conduct.close_after
        if after is not None and self.responses >= after[0]:
            yield Step(close=after[1])

    def _limits(self, answer: Answer) -> Iterator[Step]:
        # The levels are those of the instant in which this is said, and so they are filled in then.
        if self.conduct.telling != "none" and answer.group:
            yield Step(event={"type": "rate_limits.updated", "group": answer.group})

    def told(self, event: Mapping[str, Any], *, now_ns: int) -> dict[str, Any]:
        """An event as it is said now."""
        if event["type"] == "response.done":
            self.active = None
        if event["type"] != "rate_limits.updated":
            return dict(event)
        account = self.server.accounts[event["group"]]
        account.advance(now_ns=now_ns)
        items: list[dict[str, Any]] = [
            {
                "name": each.unit,
                "limit": each.limit,
                "remaining": each.remaining,
                "reset_seconds": each.reset_ns // _MS / 1000,
            }
            for each in account.shown(self.server.headers, 0, {}, now_ns=now_ns)
        ]
        return self._event("rate_limits.updated", rate_limits=self._lied(items))

    def _lied(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        match self.conduct.telling:
            case "empty":
                return []
            case "full":
                return [{**item, "remaining": item["limit"], "reset_seconds": 0} for item in items]
            case "partial":
                return [{"name": item["name"], "remaining": item["remaining"]} for item in items]
            case "hostile":
                value = HOSTILE[self._events % len(HOSTILE)]
                return [{**item, "limit": value, "remaining": value, "reset_seconds": value} for item in items]
        return items

    # ---- events --------------------------------------------------------------------------

    def _event(self, name: str, **members: Any) -> dict[str, Any]:
        self._events += 1
        return {"type": name, "event_id": f"event_{self._events}", **members}

    def _refuse(self, message: str, about: Any, code: str = "invalid_value") -> Step:
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None, "event_id": about}
        return Step(event=self._event("error", error=error))

    def expired(self) -> dict[str, Any]:
        """What is said when its time is over."""
        minutes = self.conduct.session_s / 60
        message = f"Your session hit the maximum duration of {minutes:g} minutes."
        step = self._refuse(message, None, "session_expired")
        assert step.event is not None
        return dict(step.event)

    def _response(
        self, response_id: str, status: str, usage: dict[str, Any] | None, details: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return {
            "object": "realtime.response",
            "id": response_id,
            "status": status,
            "status_details": details,
            "usage": usage,
        }

    def __repr__(self) -> str:
        return f"<Session of {self.model}: {self.responses} responses>"


def _usage(input_tokens: int, output_tokens: int) -> dict[str, Any]:
    total = input_tokens + output_tokens
    return {"total_tokens": total, "input_tokens": input_tokens, "output_tokens": output_tokens}


def _chars(value: Any) -> int:
    """Characters of the texts in it."""
    if isinstance(value, dict):
        own = sum(len(value[name]) for name in ("text", "instructions") if isinstance(value.get(name), str))
        return own + sum(_chars(value.get(name)) for name in ("content", "input"))
    return sum(map(_chars, value)) if isinstance(value, list) else 0


def seconds(ns: int) -> float:
    """Nanoseconds as ``asyncio`` wants them."""
    return ns / NS
