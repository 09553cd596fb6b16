"""
What the events of a stream mean.

Law of this file: a stream has ended well when its last event was read, and in no other
way; what comes after that, or after the one error, counts for nothing. An event that is
not known is handed on. Nothing that a server sent makes it raise: data that is no JSON
is an error of the stream, told like one.

    parser, reader = EventParser(), StreamReader(stream_dialect_of(path))
    for chunk in body:
        for sse in parser.feed(chunk):
            event = reader.read(sse)
            if event.kind is EventKind.ERROR: ...       # event.signals: status, reason, retryable
            if event.deliver: ...                       # event.name, event.data, event.raw
        if reader.over: break
    whole = reader.end(parser.end())                    # False: the stream was cut off

Theory: the three answers a stream may get (the end of the bytes is success; it is a
truncation; the call failed) depend on what was read so far, so the reader is a machine that
is told each event once. ``begun`` is the point after which a second try would
say something twice: before it the server has opened the stream, told limits and
kept the connection, and nothing of the answer has been said.

What was used is known for certain only from an event that speaks of the whole call:
before that an interrupted stream has numbers of a part, and the estimate is better.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import attrs

from ..core.signals import Reason, Signals
from .dialect import Dialect
from .features import tokens_used
from .registry import AUTO, read
from .sse import ServerSentEvent
from .stream_errors import read_error, shows_error
from .stream_tables import UNKNOWN, EventKind, StreamDialect, recognised, stream_dialect_of

__all__ = ["EventKind", "StreamDialect", "StreamEvent", "StreamReader", "stream_dialect_of"]

_DONE = "[DONE]"
_MOST_NUMBERS = 64
_MOST_ANSWERS = 1024


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_strictly = json.JSONDecoder(parse_constant=_refuse).decode


@attrs.frozen
class StreamEvent:
    """
    One event and what it is.

    Args:
        kind: what it is to the reader.
        name: its type as the server calls it; "" where it gave none.
        data: its parsed JSON, or None.
        raw: its data as text.
        signals: of an ERROR, what an ordinary answer with that error says; of LIMITS, the readings, or None.
        problem: of an ERROR, what is wrong with the data when the server reported none.
    """

    kind: EventKind
    name: str
    data: Any
    raw: str
    signals: Signals | None = None
    problem: str = ""

    @property
    def deliver(self) -> bool:
        """Whether it is for the one who asked: no sign of life, no error, no bare ``[DONE]``."""
        kind = self.kind
        if kind is EventKind.TERMINAL:
            return self.data is not None
        return kind is not EventKind.KEEPALIVE and kind is not EventKind.ERROR and kind is not EventKind.AFTER


class StreamReader:
    """
    The reader of one stream.

    Args:
        dialect: the language of the stream; None when the first event has to tell.
        server: whose errors and limits they are: a name or a table of ``dialects.read``.
        url: where the request went; tells the same when *server* is ``auto``.
        decode: JSON text to its value, or a ValueError; strict by the standard.
        shown: an error's text as it may be shown, without what was sent along in secret.
    """

    def __init__(
        self,
        dialect: StreamDialect | None = None,
        *,
        server: str | Dialect = AUTO,
        url: str | None = None,
        decode: Callable[[str], Any] = _strictly,
        shown: Callable[[str], str] = str,
    ) -> None:
        self.dialect = dialect
        self.delivered = 0
        """Events to hand on, so far."""
        self.begun = False
        """Part of the answer was read: from here a second try would repeat it."""
        self.over = False
        """The last event or the error was read."""
        self.finished = False
        """The end of the bytes is success now."""
        self.usage: dict[str, Any] | None = None
        """What the call used, as the server wrote it; of each number, what was said last."""
        self._usage_is_whole = False
        self._server = server
        self._url = url
        self._decode = decode
        self._shown = shown
        self._open: set[object] = set()  # answers that have begun and not ended

    def __repr__(self) -> str:
        state = "finished" if self.finished else "failed" if self.over else "open"
        name = "undecided" if self.dialect is None else self.dialect.name
        return f"<StreamReader {name}: {state}, {self.delivered} delivered>"

    @property
    def tokens(self) -> int | None:
        """The total that the whole call used; None when that is not known, and the estimate stands."""
        if self.usage is None or not (self.finished or self._usage_is_whole):
            return None
        total = (self.dialect or UNKNOWN).total
        # What failed is written with zeros, whatever it was charged.
        return tokens_used({**self.usage, "total_tokens": self.usage.get(total)}) or None

    def read(self, sse: ServerSentEvent, *, now_wall_s: float | None = None) -> StreamEvent:
        """
        What *sse* is.

        Args:
            sse: the next event.
            now_wall_s: seconds since 1970, for errors that name an instant.
        """
        raw = sse.data
        called = "" if sse.event == "message" else sse.event
        if self.over:
            return StreamEvent(EventKind.AFTER, called, None, raw)
        if raw.startswith(_DONE):
            self.over = self.finished = True
            return StreamEvent(EventKind.TERMINAL, called, None, raw)
        problem = ""
        try:
            data = self._decode(raw)
        except RecursionError:
            data, problem = None, "is nested too deeply"
        except ValueError as error:
            data, problem = None, f"is no JSON: {error}"
        if type(data) is dict:
            event = self._of_object(called, data, raw, now_wall_s)
        else:
            event = self._of_text(called, data, raw, problem, now_wall_s)
        self._follow(event.kind)
        if event.deliver:
            self.delivered += 1
        return event

    def end(self, pending: bool = False) -> bool:
        """
        The bytes have ended: whether the answer is whole.

        Args:
            pending: an event was cut off (``EventParser.end``).
        """
        if not self.over:
            if (self.dialect or UNKNOWN).open_end:
                self.finished = self.begun
            self.finished = self.finished and not pending
            self.over = True
        return self.finished

    def _follow(self, kind: EventKind) -> None:
        if kind is EventKind.OUTPUT:
            self.begun = True
        elif kind is EventKind.TERMINAL:
            self.over = self.finished = True
        elif kind is EventKind.ERROR:
            self.over = True
            self.finished = False

    def _of_object(self, called: str, data: dict[str, Any], raw: str, now_wall_s: float | None) -> StreamEvent:
        typed = data.get("type")
        if type(typed) is not str:
            typed = ""
        name = called or typed
        dialect = self.dialect
        names = (dialect or UNKNOWN).names
        kind = names.get(called) or names.get(typed)
        if dialect is None and kind is not EventKind.KEEPALIVE and kind is not EventKind.LIMITS:
            self.dialect = dialect = recognised(name, data)
            kind = dialect.names.get(called) or dialect.names.get(typed)
        dialect = dialect or UNKNOWN

        told = self._take_usage(dialect, name, data)
        if kind is EventKind.ERROR or shows_error(data):
            self._usage_is_whole |= told
            return self._error(name, data, raw, now_wall_s)
        if kind is None:
            kind = self._of_content(dialect, name, data, told)
        if told and (kind is EventKind.USAGE or kind is EventKind.TERMINAL):
            self._usage_is_whole = True
        signals = None
        if kind is EventKind.LIMITS:
            signals = read(0, {}, {**data, "type": name}, dialect=self._server, url=self._url)
        return StreamEvent(kind, name, data, raw, signals)

    def _of_text(self, called: str, data: object, raw: str, problem: str, now_wall_s: float | None) -> StreamEvent:
        """Data that is no object: a text, a list, a number or nothing."""
        kind = (self.dialect or UNKNOWN).names.get(called)
        if kind is EventKind.ERROR:
            return self._error(called, data, raw, now_wall_s)
        if not raw.strip():
            return StreamEvent(kind or EventKind.KEEPALIVE, called, None, raw)
        if self.dialect is None and kind is None:
            self.dialect = recognised(called, None)
        aside = kind is EventKind.KEEPALIVE or kind is EventKind.LIMITS
        if problem and not aside and (self.dialect or UNKNOWN).strict:
            problem = f"the data of an event {problem}"
            signals = Signals(status=200, reason=Reason.SERVER_ERROR, retryable=True, message=problem)
            return StreamEvent(EventKind.ERROR, called, None, self._shown(raw), signals, problem)
        return StreamEvent(kind or EventKind.OUTPUT, called, data, raw)

    def _error(self, name: str, data: object, raw: str, now_wall_s: float | None) -> StreamEvent:
        shown = self._shown(raw)
        if shown != raw:
            raw = shown
            try:
                data = self._decode(raw)
            except (ValueError, RecursionError):
                data = None
        signals = read_error(data, raw, server=self._server, url=self._url, now_wall_s=now_wall_s)
        return StreamEvent(EventKind.ERROR, name, data, raw, signals)

    def _of_content(self, dialect: StreamDialect, name: str, data: dict[str, Any], told: bool) -> EventKind:
        """What an event is whose name does not say it."""
        if dialect.completes:
            self.finished = name in dialect.completes
        if not dialect.answers:
            return EventKind.OUTPUT
        answers = data.get(dialect.answers)
        if type(answers) is list and answers:
            if dialect.finish:
                self._follow_answers(answers, dialect.finish)
            return EventKind.OUTPUT if self.begun or not all(map(_is_empty, answers)) else EventKind.OPENING
        if dialect.refused_at and _at(data, dialect.refused_at):
            self.finished = True
            return EventKind.OUTPUT
        if told:
            return EventKind.USAGE
        return EventKind.OPENING if answers == [] else EventKind.OUTPUT

    def _follow_answers(self, answers: list[Any], finish: str) -> None:
        """Which of several answers have ended; the stream may end when all have."""
        for answer in answers[:_MOST_ANSWERS]:
            if type(answer) is dict:
                index = answer.get("index")
                key = index if type(index) is int else 0
                if answer.get(finish):
                    self._open.discard(key)
                elif len(self._open) < _MOST_ANSWERS:
                    self._open.add(key)
        self.finished = not self._open

    def _take_usage(self, dialect: StreamDialect, name: str, data: dict[str, Any]) -> bool:
        """Keep what the event says of the call's use; whether it says anything."""
        if dialect.usage_in and name not in dialect.usage_in:
            return False
        for place in dialect.usage_at:
            found = _at(data, place)
            if type(found) is dict and found:
                # Two events may tell the two halves of it, and one with nulls tells nothing.
                known = {**(self.usage or {}), **{key: value for key, value in found.items() if value is not None}}
                self.usage = known if len(known) <= _MOST_NUMBERS else found
                return True
        return False


def _at(data: Mapping[str, Any], place: tuple[str, ...]) -> Any:
    found: Any = data
    for step in place:
        found = found.get(step) if type(found) is dict else None
    return found


def _is_empty(answer: Any) -> bool:
    """Whether a chunk of a choice only says who speaks."""
    delta = answer.get("delta") if type(answer) is dict else None
    if type(delta) is not dict or answer.get("finish_reason"):
        return False
    return not any(value for key, value in delta.items() if key != "role")
