"""Rows about connections that are used again, and about bytes that take their time."""

from __future__ import annotations

from tests.wire.rows_framing import STOPPED
from tests.wire.rows_heads import FINE, NO_ANSWER, SILENT
from tests.wire.script import JSON, OK, Ends, Forever, Move, Pause, Row, Step, answer, chunks, lines

WELL = answer(b'{"n":0}')
AGAIN = [answer(JSON)]
FINE_AT_LAST = Ends("Reply", "as sent", 200, sent=2)
FINE_AGAIN = Ends("Reply", "as sent", 200, sent=2, kept=True)


def spread(data: bytes, idles: float) -> list[Step]:
    """Six pieces, with a pause after each."""
    size = -(-len(data) // 6)
    return [step for at in range(0, len(data), size) for step in (data[at : at + size], Pause(idles))]


KEPT = [
    Row(name="kept, an answer", warm=[WELL], script=[AGAIN], ends=FINE),
    Row(
        name="kept, end before a byte", warm=[WELL], script=[[Move.CLOSE], AGAIN], ends=FINE_AT_LAST, theirs=FINE_AGAIN
    ),
    Row(
        name="kept, reset before a byte",
        warm=[WELL],
        script=[[Move.RESET], AGAIN],
        ends=FINE_AT_LAST,
        theirs=FINE_AGAIN,
    ),
    Row(
        name="kept, end before a byte, every time",
        warm=[WELL],
        script=[[Move.CLOSE]],
        ends=Ends("TransportError", "connection", sent=3),
        theirs=NO_ANSWER,
    ),
    Row(name="kept, half a head, then the end", warm=[WELL], script=[[b"HTTP/1.1 200", Move.CLOSE]], ends=NO_ANSWER),
    Row(name="kept, silence", warm=[WELL], script=[[Move.SILENCE]], ends=SILENT),
    Row(name="ended while idle", warm=[WELL, 0.02, Move.CLOSE], script=[AGAIN], ends=FINE),
    Row(name="reset while idle", warm=[WELL, 0.02, Move.RESET], script=[AGAIN], ends=FINE),
    Row(name="an answer while idle", warm=[WELL, 0.02, answer(b'{"n":9}')], script=[AGAIN], ends=FINE),
    Row(
        name="408 while idle",
        warm=[WELL, 0.02, answer(b"", "Connection: close", status="408 X")],
        script=[AGAIN],
        ends=FINE,
    ),
    Row(name="half an answer while idle", warm=[WELL, 0.02, b"HTTP/1.1 20"], script=[AGAIN], ends=FINE),
    Row(name="bytes while idle", warm=[WELL, 0.02, b"\0\0junk"], script=[AGAIN], ends=FINE),
    Row(name="an empty line while idle", warm=[WELL, 0.02, b"\r\n"], script=[AGAIN], ends=FINE),
    Row(name="half-closed while idle", warm=[WELL, 0.02, Move.HALF_CLOSE], script=[AGAIN], ends=FINE),
]

SLOW = [
    Row(name="an answer that drips", script=[spread(answer(JSON), 0.6)], ends=FINE),
    Row(name="chunks that drip", script=[spread(chunks(JSON) + b"0\r\n\r\n", 0.6)], ends=FINE),
    Row(name="a long wait for the first byte", script=[[Pause(0.8), answer(JSON)]], ends=FINE),
    Row(name="too long a wait for the first byte", script=[[Pause(3.0), answer(JSON)]], ends=SILENT),
    Row(name="too long a wait in the head", script=[[lines(OK)[:-2], Pause(3.0), lines("A: b") + JSON]], ends=SILENT),
    Row(name="too long a wait in the body", script=[[answer(JSON)[:-9], Pause(3.0), JSON[-9:]]], ends=STOPPED),
    Row(
        name="a drip without end, and a deadline",
        script=[[lines(OK), Forever(b"x")]],
        deadline_idles=1.5,
        ends=Ends("DeadlineExceeded"),
    ),
    Row(
        name="a head that drips, and a deadline",
        script=[spread(answer(JSON), 0.6)],
        deadline_idles=1.5,
        ends=Ends("DeadlineExceeded"),
    ),
    Row(name="silence, and a deadline", script=[[Move.SILENCE]], deadline_idles=0.5, ends=Ends("DeadlineExceeded")),
    Row(
        name="early hints, a long wait, and a deadline",
        script=[[Pause(0.1), lines("HTTP/1.1 103 X"), Pause(2.0)]],
        deadline_idles=0.5,
        ends=Ends("DeadlineExceeded"),
    ),
]

ROWS = [*KEPT, *SLOW]
