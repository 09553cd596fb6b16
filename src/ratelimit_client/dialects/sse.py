"""
Event streams: bytes in, events out.

Law of this file: however a stream is cut into chunks, its events are the same, and the
work and the memory are linear in its bytes. Lines end with LF, CRLF or CR and with
nothing else; they are split before they are decoded, so that no character is ever cut.
What is not UTF-8 is replaced; an event that is not ended by its blank line is none.

    parser = EventParser()
    for chunk in body:
        for event in parser.feed(chunk):
            ...
    cut = parser.end()

Theory: what is held is the line that has not ended, as bytes, and the fields of the event
that has not ended. A new chunk is searched for its last line end; what is before it
are whole lines, whose CRs are made LFs, so that an event ends at two LFs and nearly
every event of a model is one piece between them: one ``data`` field, perhaps with the
``event`` before it. Only what looks otherwise is taken line by line.

A CR ends its line at once, and an LF that comes next is dropped: waiting for it would hold
the last event of a stream back.

Source: WHATWG HTML, 9.2 "Server-sent events", read in 2026.
"""

from __future__ import annotations

import re
from typing import NoReturn

import attrs

MOST_BYTES = 16 * 1024 * 1024
"""A picture comes as one line of a few MiB; a server that sends more in one event is broken."""

_MARK = b"\xef\xbb\xbf"
_LONGEST_RETRY = 15  # digits: 31 000 years in milliseconds
_plain = re.compile(rb"(?:event: ?([^\n]*)\n)?data: ?([^\n]*)").fullmatch


@attrs.frozen
class ServerSentEvent:
    """
    One event.

    Args:
        event: its type; "message" when the server gave none.
        data: its data lines, joined with LF; may be empty.
        id: the last id that was sent, with this event or before it; None when there was none.
        retry_ms: the reconnection time that came with it, or None.
    """

    event: str
    data: str
    id: str | None = None
    retry_ms: int | None = None


class EventTooLarge(ValueError):
    """
    A line or an event that is larger than the parser was told to hold.

    Fields: ``what`` ("line" or "event") and ``most`` (bytes).
    """

    def __init__(self, what: str, most: int) -> None:
        super().__init__(what, most)
        self.what = what
        self.most = most

    def __str__(self) -> str:
        return f"one {self.what} of the event stream has more than {self.most} bytes, which is the most that is held"


class EventParser:
    """
    The parser of one stream.

    Args:
        most_line: bytes of one line, without its end.
        most_event: bytes of the data of one event.
    """

    def __init__(self, most_line: int = MOST_BYTES, most_event: int = MOST_BYTES) -> None:
        self.comments = 0
        """Comment lines so far: a server that has nothing to say sends them to keep the connection."""
        self.retry_ms: int | None = None
        """The last reconnection time that was sent, with an event or alone."""
        self._most_line = most_line
        self._most_event = most_event
        self._most_plain = min(most_line, most_event)
        self._head: bytes | None = b""  # until it is known whether a byte order mark comes first
        self._after_cr = False
        self._held = bytearray()
        self._data = bytearray()  # an LF behind each line
        self._event = b""
        self._retry_ms: int | None = None
        self._id: str | None = None
        self._fault: tuple[str, int] | None = None

    def __repr__(self) -> str:
        held = len(self._held) + len(self._data)
        return f"<EventParser {held} bytes held, {self.comments} comments{', failed' if self._fault else ''}>"

    @property
    def pending(self) -> bool:
        """Whether a part of an event is held whose end has not come."""
        return bool(self._head or self._data or self._event or (self._held and not self._held.startswith(b":")))

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """
        The events that end in *data*.

        Raises:
            EventTooLarge: a line or an event passes its limit, now and whenever it is fed
                again. Events of the same chunk that were whole before it are
                returned first; it is raised at the next call.
        """
        self._fail_again()
        if self._head is not None:
            data = self._without_mark(data)
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):
                data = data[1:]
        end = 1 + max(data.rfind(b"\n"), data.rfind(b"\r"))
        events: list[ServerSentEvent] = []
        try:
            if end:
                self._after_cr = data.endswith(b"\r")
                self._take_lines(self._held + data[:end] if self._held else data[:end], events)
                self._held = bytearray(data[end:])
            else:
                self._held += data
            if len(self._held) > self._most_line:
                self._fail("line", self._most_line)
        except EventTooLarge:
            if not events:
                raise
        return events

    def end(self) -> bool:
        """
        The stream has ended: an event that has not is dropped. True when there was one.

        Raises:
            EventTooLarge: the limit was passed in the last chunk.
        """
        self._fail_again()
        cut = self.pending
        self._forget()
        return cut

    def _without_mark(self, data: bytes) -> bytes:
        head = (self._head or b"") + data
        if len(head) < len(_MARK) and _MARK.startswith(head):
            self._head = head
            return b""
        self._head = None
        return head.removeprefix(_MARK)

    def _take_lines(self, lines: bytes | bytearray, events: list[ServerSentEvent]) -> None:
        """Take whole lines."""
        if b"\r" in lines:
            lines = lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        blocks = lines.split(b"\n\n")
        rest = blocks.pop()
        if blocks and (self._data or self._event or self._retry_ms is not None):
            self._take_block(blocks[0], events)
            del blocks[0]
        for block in blocks:
            plain = _plain(block)
            if plain is None or len(block) > self._most_plain:
                self._take_block(block, events)
                continue
            name, data = plain.groups()
            event = name.decode("utf-8", "replace") if name else "message"
            events.append(ServerSentEvent(event, data.decode("utf-8", "replace"), self._id, None))
        if rest:
            self._take_each(rest[:-1], events)

    def _take_block(self, block: bytes | bytearray, events: list[ServerSentEvent]) -> None:
        """Take the lines of *block* and the blank one behind them."""
        self._take_each(block, events)
        self._dispatch(events)

    def _take_each(self, lines: bytes | bytearray, events: list[ServerSentEvent]) -> None:
        for line in lines.split(b"\n"):
            if len(line) > self._most_line:
                self._fail("line", self._most_line)
            if line:
                self._take_field(line)
            else:
                self._dispatch(events)

    def _take_field(self, line: bytes | bytearray) -> None:
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._data += value
            if len(self._data) > self._most_event:
                self._fail("event", self._most_event)
            self._data += b"\n"
        elif name == b"event":
            self._event = bytes(value)
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry":
            if value.isdigit() and len(value) <= _LONGEST_RETRY:
                self.retry_ms = self._retry_ms = int(value)
        elif not name:
            self.comments += 1

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        """A blank line: what was gathered is an event, if there was data."""
        if self._data:
            data = self._data[:-1].decode("utf-8", "replace")
            event = self._event.decode("utf-8", "replace") or "message"
            events.append(ServerSentEvent(event, data, self._id, self._retry_ms))
            self._data = bytearray()
        self._event = b""
        self._retry_ms = None

    def _fail(self, what: str, most: int) -> NoReturn:
        self._fault = what, most
        self._forget()
        raise EventTooLarge(what, most)

    def _fail_again(self) -> None:
        if self._fault is not None:
            raise EventTooLarge(*self._fault)

    def _forget(self) -> None:
        """Drop what has not ended."""
        self._held = bytearray()
        self._head = None
        self._data = bytearray()
        self._event = b""
        self._retry_ms = None
