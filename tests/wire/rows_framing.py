"""Rows about where a body ends: by its length, by its chunks, with the connection, or not."""

from __future__ import annotations

import gzip

from tests.wire.rows_heads import FINE, FINE_ONCE, NO_HTTP
from tests.wire.script import END, JSON, OK, Ends, Forever, Heard, Move, Row, answer, chunked, chunks, lines

TYPE = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
BROKEN = Ends("IncompleteResponse", "incomplete", 200, sent=2, says="what followed is no HTTP")
CUT = Ends("IncompleteResponse", "incomplete", 200, sent=2, says="cut short")
STOPPED = Ends("IncompleteResponse", "incomplete", 200, sent=2, says="it stopped")
NOT_JSON = Ends("IncompleteResponse", "incomplete", 200, sent=2, says="is not")
UNASKED = Ends("IncompleteResponse", "incomplete", 200, sent=2, says="not asked for")
EMPTY = Ends("IncompleteResponse", "incomplete", 200, sent=2, says="is empty")

SOUND = lines(OK, "Content-Type: audio/mpeg") + b"ID3\xff\xfb"
PACKED = chunked(gzip.compress(JSON, mtime=0)) + END


def sized(length: str, *more: str, body: bytes = JSON) -> bytes:
    """An answer that states its length as it likes."""
    return lines(OK, TYPE, f"Content-Length: {length}", *more) + body


def broken(after: bytes) -> bytes:
    """A good chunk, and then this."""
    return chunks(JSON[:99]) + after


LENGTHS = [
    Row(name="length, the end before it", script=[[sized("5000"), Move.CLOSE]], ends=CUT),
    Row(name="length, a reset before it", script=[[sized("5000"), 0.02, Move.RESET]], ends=CUT),
    Row(name="length, half-closed before it", script=[[sized("5000"), Move.HALF_CLOSE, Move.SILENCE]], ends=CUT),
    Row(name="length, silence before it", script=[[sized("5000"), Move.SILENCE]], ends=STOPPED),
    Row(name="head, then the end", script=[[sized("5000", body=b""), Move.CLOSE]], ends=CUT),
    Row(name="head, then a reset", script=[[sized("5000", body=b""), 0.02, Move.RESET]], ends=CUT),
    Row(name="head, then silence", script=[[sized("5000", body=b""), Move.SILENCE]], ends=STOPPED),
    Row(name="half-closed after the answer", script=[[answer(JSON), Move.HALF_CLOSE, Move.SILENCE]], ends=FINE_ONCE),
    Row(name="end after the answer", script=[[answer(JSON), Move.CLOSE]], ends=FINE_ONCE),
    Row(name="reset after the answer", script=[[answer(JSON), 0.02, Move.RESET]], ends=FINE_ONCE),
    Row(name="length too small", script=[[sized("100")]], ends=NOT_JSON, theirs=NO_HTTP),
    Row(
        name="length 0 and a body",
        script=[[sized("0")]],
        ends=Ends("IncompleteResponse", "incomplete", 200, sent=2, says="is empty"),
        theirs=NO_HTTP,
    ),
    Row(name="two lengths", script=[[sized("3", "Content-Length: 5")]], ends=NO_HTTP),
    Row(name="one length twice", script=[[sized(str(len(JSON)), f"Content-Length: {len(JSON)}")]], ends=NO_HTTP),
    Row(name="a list of lengths", script=[[sized(f"{len(JSON)}, {len(JSON)}")]], ends=NO_HTTP),
    Row(name="a negative length", script=[[sized("-5")]], ends=NO_HTTP),
    Row(name="a length with a sign", script=[[sized(f"+{len(JSON)}")]], ends=NO_HTTP),
    Row(name="a length in hex", script=[[sized("0x20")]], ends=NO_HTTP),
    Row(name="an empty length", script=[[sized("")]], ends=NO_HTTP),
    Row(name="a length of 30 digits", script=[[sized("9" * 30)]], ends=NO_HTTP),
    Row(name="a length and chunks", script=[[sized("3", CHUNKED, body=b"3\r\nabc\r\n" + END)]], ends=NO_HTTP),
    Row(
        name="chunks and a length",
        script=[[lines(OK, CHUNKED, "Content-Length: 3") + b"3\r\nabc\r\n" + END]],
        ends=NO_HTTP,
    ),
]

CHUNKS = [
    Row(name="chunks", script=[[chunks(JSON[:9], JSON[9:]) + END]], ends=FINE),
    Row(
        name="chunks with extensions",
        script=[[chunks(JSON).replace(b"\r\n{", b';a=b;c="d"\r\n{') + b"0;e\r\n\r\n"]],
        ends=FINE,
    ),
    Row(name="an extension without end", script=[[broken(b"5;"), Forever(b"x" * 16384)]], ends=BROKEN),
    Row(name="chunks with trailers", script=[[chunks(JSON) + b"0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\n\r\n"]], ends=FINE),
    Row(
        name="a trailer that states a length",
        script=[[chunks(JSON) + b"0\r\nContent-Length: 3\r\n\r\n"]],
        ends=BROKEN,
        theirs=NO_HTTP,
    ),
    Row(name="trailers without end", script=[[chunks(JSON) + b"0\r\n", Forever(b"X-Again: 1\r\n" * 20)]], ends=BROKEN),
    Row(name="a trailer without end", script=[[chunks(JSON) + b"0\r\nX-Long: ", Forever(b"y" * 500)]], ends=BROKEN),
    Row(name="no last chunk, the end", script=[[chunks(JSON), Move.CLOSE]], ends=CUT),
    Row(name="no last chunk, a reset", script=[[chunks(JSON), 0.02, Move.RESET]], ends=CUT),
    Row(name="no last chunk, silence", script=[[chunks(JSON), Move.SILENCE]], ends=STOPPED),
    Row(name="no line after the last chunk, the end", script=[[chunks(JSON) + b"0\r\n", Move.CLOSE]], ends=CUT),
    Row(name="cut inside a chunk", script=[[broken(b"40\r\nabc"), Move.CLOSE]], ends=CUT),
    Row(name="cut inside a chunk size", script=[[broken(b"4"), Move.CLOSE]], ends=CUT),
    Row(name="first chunk of no size", script=[[chunks() + b"zz\r\nabc"]], ends=BROKEN, theirs=NO_HTTP),
    Row(name="later chunk of no size", script=[[broken(b"zz\r\nabc")]], ends=BROKEN, theirs=NO_HTTP),
    Row(name="a negative chunk", script=[[broken(b"-5\r\nabcde\r\n" + END)]], ends=BROKEN, theirs=NO_HTTP),
    Row(name="a chunk size with 0x", script=[[broken(b"0x5\r\nabcde\r\n" + END)]], ends=BROKEN, theirs=NO_HTTP),
    Row(name="a chunk size of 20 digits", script=[[broken(b"f" * 20 + b"\r\nabc")]], ends=BROKEN, theirs=NO_HTTP),
    Row(name="a chunk longer than its size", script=[[broken(b"2\r\nabcde\r\n" + END)]], ends=BROKEN, theirs=NO_HTTP),
    Row(
        name="chunks between line feeds",
        script=[[chunks(JSON).replace(b"\r\n{", b"\n{") + END]],
        ends=BROKEN,
        theirs=NO_HTTP,
    ),
    Row(
        name="packed for the way, in chunks",
        script=[[lines(OK, TYPE, "Transfer-Encoding: gzip, chunked") + PACKED]],
        ends=UNASKED,
    ),
    Row(
        name="packed for the way, to the end",
        script=[[lines(OK, TYPE, "Transfer-Encoding: chunked, gzip") + JSON, Move.CLOSE]],
        ends=UNASKED,
    ),
    Row(
        name="an unknown transfer coding",
        script=[[lines(OK, TYPE, "Transfer-Encoding: odd") + JSON, Move.CLOSE]],
        ends=UNASKED,
    ),
    Row(
        name="Chunked, written so",
        script=[[lines(OK, TYPE, "Transfer-Encoding: Chunked") + chunked(JSON) + END]],
        ends=FINE,
    ),
]

TO_THE_END = [
    Row(name="no length, the end", script=[[lines(OK, TYPE) + JSON, Move.CLOSE]], ends=FINE_ONCE),
    Row(name="no length, the end too early", script=[[lines(OK, TYPE) + JSON[:99], Move.CLOSE]], ends=NOT_JSON),
    Row(name="no length, a reset", script=[[lines(OK, TYPE) + JSON[:99], 0.02, Move.RESET]], ends=CUT),
    Row(name="sound without a length, the end", script=[[SOUND, Move.CLOSE]], ends=Ends("Reply", "None", 200)),
    Row(name="sound without a length, a reset", script=[[SOUND, 0.02, Move.RESET]], ends=CUT),
    Row(name="no length, silence", script=[[lines(OK, TYPE) + JSON, Move.SILENCE]], ends=STOPPED),
    Row(name="HTTP/1.0, the end", script=[[lines("HTTP/1.0 200 OK", TYPE) + JSON, Move.CLOSE]], ends=FINE_ONCE),
    Row(
        name="HTTP/1.0, too early",
        script=[[lines("HTTP/1.0 200 OK", TYPE) + JSON[:99], Move.CLOSE]],
        ends=NOT_JSON,
    ),
    Row(
        name="HTTP/1.0 with a length",
        script=[[lines("HTTP/1.0 200 OK", TYPE, f"Content-Length: {len(JSON)}") + JSON]],
        ends=FINE_ONCE,
    ),
    Row(
        name="HTTP/1.0 that stays",
        script=[[lines("HTTP/1.0 200 OK", TYPE, "Connection: keep-alive", f"Content-Length: {len(JSON)}") + JSON]],
        ends=FINE,
    ),
    Row(name="an answer that ends the connection", script=[[answer(JSON, "Connection: close")]], ends=FINE_ONCE),
]

MORE = [
    Row(name="two answers", script=[[answer(JSON) + answer(b'{"n":3}')]], ends=FINE_ONCE),
    Row(name="an answer and half a head", script=[[answer(JSON) + b"HTTP/1.1 20"]], ends=FINE_ONCE),
    Row(name="an answer and some bytes", script=[[answer(JSON) + b"\0\0junk"]], ends=FINE_ONCE, theirs=NO_HTTP),
    Row(name="an answer and an empty line", script=[[answer(JSON) + b"\r\n"]], ends=FINE),
    Row(name="an answer to come, before the request", script=[[answer(JSON)]], heard=Heard.NOTHING, ends=FINE_ONCE),
    Row(name="an answer after half the request", script=[[answer(JSON), Move.CLOSE]], heard=Heard.HEAD, ends=FINE_ONCE),
]

BODILESS = [
    Row(
        name="204 with a body",
        script=[[answer(JSON, status="204 X")]],
        ends=Ends("Reply", "None", 204, kept=False),
        theirs=NO_HTTP,
    ),
    Row(name="204", script=[[lines("HTTP/1.1 204 No Content")]], ends=Ends("Reply", "None", 204, kept=True)),
    Row(
        name="204 in chunks",
        script=[[chunks(JSON, status="204 X") + END]],
        ends=Ends("Reply", "None", 204, kept=False),
        theirs=NO_HTTP,
    ),
    Row(
        name="205 with a length of 0",
        script=[[answer(b"", status="205 X")]],
        ends=Ends("Reply", "None", 205, kept=True),
    ),
    Row(name="304", script=[[lines("HTTP/1.1 304 X", "ETag: x")]], ends=Ends("ResponseError", "client_error", 304)),
    Row(
        name="304 with a body",
        script=[[answer(JSON, status="304 X")]],
        ends=Ends("ResponseError", "client_error", 304),
        theirs=NO_HTTP,
    ),
    Row(name="HEAD", method="HEAD", script=[[answer(JSON)[: -len(JSON)]]], ends=Ends("Reply", "None", 200, kept=True)),
    Row(
        name="HEAD with a body", method="HEAD", script=[[answer(JSON)]], ends=Ends("Reply", "None", 200), theirs=NO_HTTP
    ),
    Row(name="HEAD of chunks", method="HEAD", script=[[chunks()]], ends=Ends("Reply", "None", 200, kept=True)),
    Row(
        name="HEAD of an error",
        method="HEAD",
        script=[[answer(JSON, status="404 X")[: -len(JSON)]]],
        ends=Ends("ResponseError", "client_error", 404, kept=True),
    ),
]

ROWS = [*LENGTHS, *CHUNKS, *TO_THE_END, *MORE, *BODILESS]
