"""Rows about the head of an answer: none, none that is HTTP, and odd ones."""

from __future__ import annotations

from tests.wire.script import JSON, OK, Ends, Forever, Heard, Move, Row, answer, lines

SIZE = f"Content-Length: {len(JSON)}"
NO_HTTP = Ends("TransportError", "protocol", sent=2, says="is no HTTP")
NO_ANSWER = Ends("TransportError", "connection", sent=2, says="closed the connection without an answer")
SILENT = Ends("TransportError", "timeout", sent=2, says="sent no byte for")
FINE = Ends("Reply", "as sent", 200, kept=True)
FINE_ONCE = Ends("Reply", "as sent", 200, kept=False)


def head(*extra: bytes, first: bytes = OK.encode()) -> bytes:
    """A whole answer whose head has these lines besides what it needs."""
    return b"\r\n".join([first, b"Content-Type: application/json", SIZE.encode(), *extra, b"", JSON])


NO_HEAD = [
    Row(name="reset before a byte", script=[[Move.RESET]], ends=NO_ANSWER),
    Row(name="end before a byte", script=[[Move.CLOSE]], ends=NO_ANSWER),
    Row(name="reset as the connection comes up", script=[[Move.RESET]], heard=Heard.NOTHING, ends=NO_ANSWER),
    Row(name="end as the connection comes up", script=[[Move.CLOSE]], heard=Heard.NOTHING, ends=NO_ANSWER),
    Row(name="half a status line, then the end", script=[[b"HTTP/1.1 20", Move.CLOSE]], ends=NO_ANSWER),
    Row(name="half a head, then the end", script=[[b"HTTP/1.1 200 OK\r\nConte", Move.CLOSE]], ends=NO_ANSWER),
    Row(name="half a head, then a reset", script=[[b"HTTP/1.1 200 OK\r\nConte", 0.02, Move.RESET]], ends=NO_ANSWER),
    Row(
        name="half a head, then half-closed",
        script=[[b"HTTP/1.1 200 OK\r\nA: b\r\n", Move.HALF_CLOSE, Move.SILENCE]],
        ends=NO_ANSWER,
    ),
    Row(name="half-closed before a byte", script=[[Move.HALF_CLOSE, Move.SILENCE]], ends=NO_ANSWER),
    Row(name="silence", script=[[Move.SILENCE]], ends=SILENT),
    Row(name="half a head, then silence", script=[[b"HTTP/1.1 200 OK\r\nConte", Move.SILENCE]], ends=SILENT),
    Row(name="a whole head but for its last line feed", script=[[lines(OK)[:-1], Move.SILENCE]], ends=SILENT),
]

NOT_HTTP = [
    Row(name="another protocol's name", script=[[lines("HTTQ/1.1 200 OK", SIZE) + JSON]], ends=NO_HTTP),
    Row(name="HTTP/0.9: a body and nothing else", script=[[JSON, Move.CLOSE]], ends=NO_HTTP),
    Row(name="a line of text", script=[[b"hello\r\n\r\n"]], ends=NO_HTTP),
    Row(name="an SSH banner", script=[[b"SSH-2.0-OpenSSH_9.6\r\n"]], heard=Heard.NOTHING, ends=NO_HTTP),
    Row(name="a TLS alert", script=[[b"\x15\x03\x01\x00\x02\x02\x46", Move.CLOSE]], ends=NO_HTTP),
    Row(
        name="HTTP/2 settings",
        script=[[b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0d\0\4\0\0\xff\xff\0\1\0\0\x10\0"]],
        ends=NO_HTTP,
    ),
    Row(name="HTTP/2 in the status line", script=[[lines("HTTP/2 200", SIZE) + JSON]], ends=NO_HTTP),
    Row(name="HTTP/3.1 in the status line", script=[[lines("HTTP/3.1 200 OK", SIZE) + JSON]], ends=NO_HTTP),
    Row(name="a status of letters", script=[[lines("HTTP/1.1 abc OK", SIZE) + JSON]], ends=NO_HTTP),
    Row(name="a status of two digits", script=[[lines("HTTP/1.1 20 OK", SIZE) + JSON]], ends=NO_HTTP),
    Row(name="a status of four digits", script=[[lines("HTTP/1.1 2000 OK", SIZE) + JSON]], ends=NO_HTTP),
    Row(name="a request instead of an answer", script=[[lines("GET / HTTP/1.1", "Host: x")]], ends=NO_HTTP),
    Row(name="status 000", script=[[answer(JSON, status="000 X")]], ends=Ends("TransportError", "protocol", sent=2)),
    Row(name="status 099", script=[[answer(JSON, status="099 X")]], ends=Ends("TransportError", "protocol", sent=2)),
    Row(
        name="an upgrade nobody asked for",
        script=[[lines("HTTP/1.1 101 Switching Protocols", "Upgrade: x", "Connection: upgrade") + b"\0\1"]],
        ends=Ends("TransportError", "protocol", sent=2),
    ),
    Row(
        name="101 and no word of an upgrade",
        script=[[lines("HTTP/1.1 101 X")]],
        ends=Ends("TransportError", "protocol", sent=2),
    ),
]

HEADERS = [
    Row(name="no reason phrase", script=[[head(first=b"HTTP/1.1 200 ")]], ends=FINE),
    Row(name="no space after the status", script=[[head(first=b"HTTP/1.1 200")]], ends=FINE),
    Row(name="NUL in a header", script=[[head(b"X-Odd: a\0b")]], ends=NO_HTTP),
    Row(name="CR in a header", script=[[head(b"X-Odd: a\rSet-Cookie: a=b")]], ends=NO_HTTP),
    Row(name="control character in a header", script=[[head(b"X-Odd: a\x01b")]], ends=FINE),
    Row(name="line feeds alone", script=[[head().replace(b"\r\n", b"\n")]], ends=FINE),
    Row(name="a folded header", script=[[head(b"X-Odd: a\r\n b")]], ends=FINE),
    Row(name="a folded length", script=[[head(b"X: 1").replace(b"Length: ", b"Length:\r\n ")]], ends=FINE),
    Row(name="a space before the colon", script=[[head(b"X-Odd : a")]], ends=NO_HTTP),
    Row(name="a space in a name", script=[[head(b"X Odd: a")]], ends=NO_HTTP),
    Row(name="a line without a colon", script=[[head(b"X-Odd")]], ends=NO_HTTP),
    Row(name="a header without a name", script=[[head(b": a")]], ends=NO_HTTP),
    Row(name="a header in Latin-1", script=[[head("X-Odd: é".encode("latin-1"))]], ends=FINE),
    Row(name="a header in UTF-8", script=[[head("X-Odd: é".encode())]], ends=FINE),
    Row(name="a name in Latin-1", script=[[head("X-é: a".encode("latin-1"))]], ends=NO_HTTP),
    Row(name="a cookie", script=[[head(b"Set-Cookie: a=b; Path=/")]], ends=FINE),
    Row(name="a header of 8 000 bytes", script=[[head(b"X-Long: " + b"y" * 8000)]], ends=FINE),
    Row(name="a header of 9 000 bytes", script=[[head(b"X-Long: " + b"y" * 9000)]], ends=NO_HTTP),
    Row(name="a header without end", script=[[lines(OK)[:-2] + b"X-Long: ", Forever(b"y" * 500)]], ends=NO_HTTP),
    Row(name="a name without end", script=[[lines(OK)[:-2], Forever(b"y" * 500)]], ends=NO_HTTP),
    Row(name="a reason without end", script=[[b"HTTP/1.1 200 ", Forever(b"y" * 500)]], ends=NO_HTTP),
    Row(name="100 headers", script=[[head(*(b"X-%d: 1" % n for n in range(100)))]], ends=FINE),
    Row(name="200 headers", script=[[head(*(b"X-%d: 1" % n for n in range(200)))]], ends=NO_HTTP),
    Row(name="headers without end", script=[[lines(OK)[:-2], Forever(b"X-Again: 1\r\n" * 20)]], ends=NO_HTTP),
    Row(name="blank lines before the answer", script=[[b"\r\n\r\n" + head()]], ends=FINE),
]

INTERIM = [
    Row(name="100 first", script=[[lines("HTTP/1.1 100 Continue") + head()]], ends=FINE),
    Row(name="50 early hints", script=[[lines("HTTP/1.1 103 Early Hints", "Link: </x>") * 50 + head()]], ends=FINE),
    Row(
        name="early hints without end",
        script=[[Forever(lines("HTTP/1.1 103 Early Hints"))]],
        ends=NO_HTTP,
        theirs=SILENT,
    ),
    Row(name="early hints, then the end", script=[[lines("HTTP/1.1 103 X"), Move.CLOSE]], ends=NO_ANSWER),
    Row(name="early hints, then silence", script=[[lines("HTTP/1.1 103 X"), Move.SILENCE]], ends=SILENT),
    Row(
        name="early hints with a length",
        script=[[lines("HTTP/1.1 103 X", "Content-Length: 3") + b"abc" + head()]],
        ends=NO_HTTP,
    ),
]

ROWS = [*NO_HEAD, *NOT_HTTP, *HEADERS, *INTERIM]
