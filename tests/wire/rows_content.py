"""Rows about what is in a body: packed, cut, too large, or something else than it says."""

from __future__ import annotations

import gzip
import zlib

from tests import canary
from tests.wire.rows_framing import EMPTY, NOT_JSON, UNASKED
from tests.wire.rows_heads import FINE
from tests.wire.script import END, JSON, OK, Ends, Forever, Move, Row, answer, chunks, lines

ZIPPED = gzip.compress(JSON, mtime=0)
GZIP = "Content-Encoding: gzip"
BOMB = gzip.compress(bytes(2**22), mtime=0)
TOO_LARGE = Ends("IncompleteResponse", "other", 200, says="larger than 262144 bytes")


def bad(says: str) -> Ends:
    return Ends("IncompleteResponse", "incomplete", 200, sent=2, says=says)


def coded(body: bytes, coding: str = "gzip") -> list[bytes | float | Move | Forever]:
    return [answer(body, f"Content-Encoding: {coding}")]


def reply(why: str) -> Ends:
    return Ends("Reply", why, 200, kept=True)


CODINGS = [
    Row(name="gzip", script=[coded(ZIPPED)], ends=FINE),
    Row(name="gzip by its old name", script=[coded(ZIPPED, "X-GZIP")], ends=FINE),
    Row(name="gzip in chunks", script=[[chunks(ZIPPED[:9], ZIPPED[9:], head=[GZIP]) + END]], ends=FINE),
    Row(
        name="gzip in chunks of a byte",
        script=[[chunks(*(bytes([byte]) for byte in ZIPPED), head=[GZIP]) + END]],
        ends=FINE,
    ),
    Row(name="gzip of two members", script=[coded(gzip.compress(JSON[:99]) + gzip.compress(JSON[99:]))], ends=FINE),
    Row(name="gzip and zeros", script=[coded(ZIPPED + bytes(9))], ends=FINE),
    Row(name="identity", script=[coded(JSON, "identity")], ends=FINE),
    Row(name="gzip, cut", script=[coded(ZIPPED[:-20])], ends=bad("gzip stream was cut short")),
    Row(name="gzip, cut in its head", script=[coded(ZIPPED[:5])], ends=bad("gzip stream was cut short")),
    Row(name="gzip in chunks, cut", script=[[chunks(ZIPPED[:-20], head=[GZIP]) + END]], ends=bad("was cut short")),
    Row(name="gzip, without its checksum", script=[coded(ZIPPED[:-8])], ends=bad("gzip stream was cut short")),
    Row(name="gzip, another checksum", script=[coded(ZIPPED[:-8] + bytes(8))], ends=bad("corrupt")),
    Row(name="gzip, corrupt", script=[coded(b"\x1f\x8b" + JSON)], ends=bad("corrupt")),
    Row(name="gzip and junk", script=[coded(ZIPPED + b"junk")], ends=bad("corrupt")),
    Row(name="gzip of nothing", script=[coded(b"")], ends=EMPTY),
    Row(
        name="gzip, cut, then the end",
        script=[[lines(OK, GZIP) + ZIPPED[:-20], Move.CLOSE]],
        ends=bad("was cut short"),
    ),
    Row(name="plain, labelled gzip", script=[coded(JSON)], ends=bad("corrupt")),
    Row(name="gzip, not labelled", script=[[answer(ZIPPED)]], ends=NOT_JSON),
    Row(name="gzip twice", script=[coded(gzip.compress(ZIPPED), "gzip, gzip")], ends=UNASKED),
    Row(name="deflate, unasked", script=[coded(zlib.compress(JSON), "deflate")], ends=UNASKED),
    Row(name="deflate, cut", script=[coded(zlib.compress(JSON)[:-9], "deflate")], ends=UNASKED),
    Row(name="br, unasked", script=[coded(b"\x0b\x02\x80{}\x03", "br")], ends=UNASKED),
    Row(name="zstd, unasked", script=[coded(b"(\xb5/\xfd\x04\x00", "zstd")], ends=UNASKED),
    Row(name="a coding nobody knows", script=[coded(JSON, "x-odd")], ends=UNASKED),
    Row(name="a gzip bomb", script=[coded(BOMB)], ends=TOO_LARGE),
    Row(name="a gzip bomb in a bomb", script=[coded(gzip.compress(BOMB), "gzip, gzip")], ends=UNASKED),
    Row(
        name="gzip of empty members",
        script=[coded(gzip.compress(b"") * 500)],
        ends=Ends("IncompleteResponse", "other", 200, says="holds nothing, again and again"),
    ),
    Row(
        name="a body without end",
        script=[[lines(OK, "Content-Type: audio/mpeg"), Forever(b"x" * 16384)]],
        ends=TOO_LARGE,
    ),
    Row(
        name="chunks without end",
        script=[[chunks(JSON), Forever(b"4000\r\n" + b" " * 0x4000 + b"\r\n")]],
        ends=TOO_LARGE,
    ),
    Row(name="small chunks without end", script=[[chunks(JSON), Forever(b"4\r\n    \r\n" * 3000)]], ends=TOO_LARGE),
    Row(name="gzip without end", script=[[lines(OK, GZIP), Forever(gzip.compress(bytes(2**16)))]], ends=TOO_LARGE),
    Row(
        name="gzip of nothing without end",
        script=[[lines(OK, GZIP), Forever(gzip.compress(b"") * 20)]],
        ends=Ends("IncompleteResponse", "other", 200, says="holds nothing"),
    ),
    Row(
        name="a length beyond the cap",
        script=[[lines(OK, "Content-Length: 999999999"), Forever(b"x" * 16384)]],
        ends=TOO_LARGE,
    ),
]

JSONS = [
    Row(name="no body", script=[[answer()]], ends=EMPTY),
    Row(name="null", script=[[answer(b"null")]], ends=bad("null")),
    Row(name="false", script=[[answer(b"false")]], ends=reply("False")),
    Row(name="an empty list", script=[[answer(b"[]")]], ends=reply("[]")),
    Row(name="JSON, cut, and its length is right", script=[[answer(JSON[:-2])]], ends=NOT_JSON),
    Row(name="JSON after a byte order mark", script=[[answer(b"\xef\xbb\xbf" + JSON)]], ends=FINE),
    Row(name="two JSON texts", script=[[answer(JSON + b"\n" + JSON)]], ends=NOT_JSON),
    Row(name="NaN", script=[[answer(b'{"a":NaN}')]], ends=NOT_JSON),
    Row(name="Infinity", script=[[answer(b'{"a":-Infinity}')]], ends=NOT_JSON),
    Row(name="a key twice", script=[[answer(b'{"a":1,"a":2}')]], ends=reply("{'a': 2}")),
    Row(name="a number of 5 000 digits", script=[[answer(b"9" * 5000)]], ends=NOT_JSON),
    Row(name="1e400", script=[[answer(b'{"a":1e400}')]], ends=reply("{'a': inf}")),
    Row(name="100 000 brackets", script=[[answer(b"[" * 100_000)]], ends=NOT_JSON),
    Row(name="100 000 brackets, closed", script=[[answer(b"[" * 100_000 + b"]" * 100_000)]], ends=NOT_JSON),
    Row(name="not UTF-8", script=[[answer(b'{"a":"\xff"}')]], ends=bad("UTF-8")),
    Row(name="UTF-16", script=[[answer('{"a":1}'.encode("utf-16"))]], ends=NOT_JSON),
    Row(name="half an emoji, escaped", script=[[answer(b'{"a":"\\ud83d"}')]], ends=reply(repr({"a": "\ud83d"}))),
    Row(name="a NUL in JSON", script=[[answer(JSON + b"\0")]], ends=NOT_JSON),
]

TYPES = [
    Row(
        name="a web page",
        script=[[answer(b"<html>Log in</html>", kind="text/html; charset=utf-8")]],
        ends=bad("web page"),
    ),
    Row(
        name="a web page, its request ID is the key",
        script=[[answer(b"<html></html>", f"X-Request-ID: {canary.KEY}", kind="text/html")]],
        ends=bad("web page"),
    ),
    Row(
        name="a web page that quotes the key",
        script=[[answer(b"<html>Authorization: Bearer %s</html>" % canary.KEY.encode(), kind="text/html")]],
        ends=bad("web page"),
    ),
    Row(name="a web page, labelled JSON", script=[[answer(b"<html>Log in</html>")]], ends=NOT_JSON),
    Row(name="JSON, labelled text", script=[[answer(JSON, kind="text/plain")]], ends=reply("None")),
    Row(name="JSON without a label", script=[[answer(JSON, kind="")]], ends=FINE),
    Row(
        name="JSON by another name", script=[[answer(JSON, kind="Application/Problem+JSON ; charset=utf-8")]], ends=FINE
    ),
    Row(name="a label of no type", script=[[answer(JSON, kind=";;=, \xff")]], ends=FINE),
    Row(name="two labels", script=[[answer(JSON, "Content-Type: text/html")]], ends=FINE),
    Row(
        name="events", script=[[answer(b"data: {}\n\ndata: [DONE]\n\n", kind="text/event-stream")]], ends=reply("None")
    ),
    Row(
        name="JSON in a charset of its own",
        script=[[answer('{"a":"é"}'.encode("latin-1"), kind="application/json; charset=latin-1")]],
        ends=bad("UTF-8"),
    ),
    Row(
        name="a GET of a web page",
        method="GET",
        script=[[answer(b"<html></html>", kind="text/html")]],
        ends=reply("None"),
    ),
]

ROWS = [*CODINGS, *JSONS, *TYPES]
