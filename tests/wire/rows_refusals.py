"""Rows about answers that say no, and about redirects."""

from __future__ import annotations

from tests import canary
from tests.wire.rows_content import ZIPPED
from tests.wire.rows_heads import NO_HTTP
from tests.wire.script import JSON, Ends, Forever, Heard, Move, Row, Step, answer, chunks, lines

LIMIT = b'{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}'
BILL = b'{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}'
SOON = "Retry-After-Ms: 20"


def throttled(*headers: str, body: bytes = LIMIT) -> list[Step]:
    return [answer(body, *headers, status="429 Too Many Requests")]


def cut(status: str, body: bytes, *rest: Step) -> list[Step]:
    """A refusal that promises more of a body than comes."""
    return [lines(f"HTTP/1.1 {status}", "Content-Type: application/json", "Content-Length: 999") + body, *rest]


def says_no(status: int, why: str, kind: str = "ResponseError", *, sent: int = 1, kept: bool = True) -> Ends:
    return Ends(kind, why, status, sent=sent, kept=kept)


def slow(*, kept: bool = True) -> Ends:
    return says_no(429, "rate_limited", "Throttled", sent=2, kept=kept)


ODD_WAITS = {
    "NaN": "nan",
    "infinity": "inf",
    "1e400": "1e400",
    "-5": "-5",
    "1_000": "1_000",
    "0x10": "0x10",
    "no date": "Fri, 31 Feb 2020 99:99:99 GMT",
    "nothing": "",
    "a number of 5 000 digits": "9" * 5000,
}

RATE_LIMITS = [
    Row(name="429", script=[throttled(SOON)], ends=slow()),
    Row(name="429 without a word", script=[[lines("HTTP/1.1 429 X", "Content-Length: 0")]], ends=slow()),
    Row(
        name="429 and garbage in its headers",
        script=[
            throttled(
                "Retry-After: soon",
                "X-RateLimit-Remaining-Requests: ١٢",
                "X-RateLimit-Reset-Requests: 1d2x",
                "X-RateLimit-Limit-Requests: -5",
            )
        ],
        ends=slow(),
    ),
    *(
        Row(name=f"429, retry after {name}", script=[throttled(f"Retry-After: {text}")], ends=slow())
        for name, text in ODD_WAITS.items()
    ),
    Row(
        name="429, retry after ten years",
        script=[throttled("Retry-After: 315360000")],
        ends=says_no(429, "rate_limited", "Throttled"),
    ),
    Row(name="429, retry after, twice", script=[throttled("Retry-After: x", SOON, "Retry-After: 0.1")], ends=slow()),
    Row(name="429, cut inside its body", script=[cut("429 X", BILL[:50], Move.CLOSE)], ends=slow(kept=False)),
    Row(name="429, reset inside its body", script=[cut("429 X", LIMIT[:50], 0.02, Move.RESET)], ends=slow(kept=False)),
    Row(name="429, silent inside its body", script=[cut("429 X", LIMIT[:50], Move.SILENCE)], ends=slow(kept=False)),
    Row(
        name="429 with a body without end",
        script=[[lines("HTTP/1.1 429 X"), Forever(b"x" * 8192)]],
        ends=slow(kept=False),
    ),
    Row(
        name="429 in broken chunks",
        script=[[chunks(LIMIT, status="429 X") + b"zz\r\n"]],
        ends=slow(kept=False),
        theirs=NO_HTTP,
    ),
    Row(
        name="429, gzip, cut",
        script=[[answer(ZIPPED[:-20], "Content-Encoding: gzip", status="429 X")]],
        ends=slow(kept=False),
    ),
    Row(
        name="429, br",
        script=[[answer(b"\x0b\x02\x80{}\x03", "Content-Encoding: br", status="429 X")]],
        ends=slow(kept=False),
    ),
    Row(
        name="429 and a web page",
        script=[[answer(b"<html>slow down</html>", status="429 X", kind="text/html")]],
        ends=slow(),
    ),
    Row(name="429 and 100 000 brackets", script=[[answer(b"[" * 100_000, status="429 X")]], ends=slow(kept=False)),
    Row(
        name="429 for a bill",
        script=[[answer(BILL, status="429 X")]],
        ends=says_no(429, "quota_exhausted", "QuotaExhausted"),
    ),
    Row(
        name="429 for a bill, and silence",
        script=[cut("429 X", BILL, Move.SILENCE)],
        ends=says_no(429, "quota_exhausted", "QuotaExhausted", kept=False),
    ),
    Row(
        name="429 for a bill in broken chunks",
        script=[[chunks(BILL, status="429 X") + b"zz\r\n"]],
        ends=says_no(429, "quota_exhausted", "QuotaExhausted", kept=False),
        theirs=NO_HTTP,
    ),
    Row(
        name="429 and the end of the connection",
        script=[[answer(LIMIT, "Connection: close", status="429 X")]],
        ends=slow(kept=False),
    ),
]

FAILURES = [
    Row(name="500 without a body", script=[[answer(status="500 X")]], ends=says_no(500, "server_error", sent=2)),
    Row(
        name="500 without a length, the end",
        script=[[lines("HTTP/1.1 500 X"), Move.CLOSE]],
        ends=says_no(500, "server_error", sent=2, kept=False),
    ),
    Row(
        name="500, cut inside its body",
        script=[cut("500 X", b'{"error', Move.CLOSE)],
        ends=says_no(500, "server_error", sent=2, kept=False),
    ),
    Row(
        name="500, silent before its body",
        script=[cut("500 X", b"", Move.SILENCE)],
        ends=says_no(500, "server_error", sent=2, kept=False),
    ),
    Row(
        name="502 and a web page",
        script=[[answer(b"<html>Bad gateway</html>", status="502 X", kind="text/html")]],
        ends=says_no(502, "server_error", sent=2),
    ),
    Row(
        name="503, cut inside its body",
        script=[cut("503 X", b'{"error', Move.CLOSE)],
        ends=says_no(503, "overloaded", "Overloaded", sent=2, kept=False),
    ),
    Row(
        name="503, not to be tried again",
        script=[[answer(b"{}", "X-Should-Retry: false", status="503 X")]],
        ends=says_no(503, "overloaded", "Overloaded"),
    ),
    Row(name="529", script=[[answer(b"{}", status="529 X")]], ends=says_no(529, "overloaded", "Overloaded", sent=2)),
    Row(name="600", script=[[answer(b"{}", status="600 X")]], ends=says_no(600, "server_error", sent=2)),
    Row(name="999", script=[[answer(b"{}", status="999 X")]], ends=says_no(999, "server_error", sent=2)),
    Row(
        name="400 with 100 000 brackets",
        script=[[answer(b"[" * 100_000, status="400 X")]],
        ends=says_no(400, "client_error", kept=False),
    ),
    Row(
        name="400 with a body without end",
        script=[[chunks(status="400 X"), Forever(b"1000\r\n" + b"x" * 4096 + b"\r\n")]],
        ends=says_no(400, "client_error", kept=False),
    ),
    Row(
        name="400 and another answer",
        script=[[answer(b"{}", status="400 X") + answer(JSON)]],
        ends=says_no(400, "client_error", kept=False),
    ),
    Row(name="401", script=[[answer(b"{}", status="401 X")]], ends=says_no(401, "auth", "AuthenticationFailed")),
    Row(
        name="404 and a web page",
        script=[[answer(b"<html></html>", status="404 X", kind="text/html")]],
        ends=says_no(404, "client_error"),
    ),
    Row(
        name="413 before the request has ended",
        script=[[answer(b"{}", "Connection: close", status="413 X"), Move.CLOSE]],
        heard=Heard.HEAD,
        ends=says_no(413, "too_large", "RequestTooLarge", kept=False),
    ),
    Row(
        name="413, then reset, before the request has ended",
        script=[[answer(b"{}", status="413 X"), 0.02, Move.RESET]],
        heard=Heard.HEAD,
        ends=says_no(413, "too_large", "RequestTooLarge", kept=False),
    ),
    Row(
        name="a request ID that is the key",
        script=[[answer(b"{}", f"X-Request-ID: {canary.KEY}", status="401 X")]],
        ends=says_no(401, "auth", "AuthenticationFailed"),
    ),
    Row(
        name="a page that quotes the key",
        script=[[answer(b'{"error":{"message":"Incorrect API key: %s"}}' % canary.KEY.encode(), status="401 X")]],
        ends=says_no(401, "auth", "AuthenticationFailed"),
    ),
]

ELSEWHERE = Ends("ResponseError", "client_error", 307, says="points to the host 'evil.example'")
REDIRECTS = [
    Row(
        name="301 to another host",
        script=[[answer(b"", "Location: https://evil.example/p?a=b", status="301 X")]],
        ends=says_no(301, "client_error", kept=False),
    ),
    Row(
        name="307 to another host",
        script=[[answer(JSON, "Location: https://evil.example/p?a=b", status="307 X")]],
        ends=ELSEWHERE,
    ),
    Row(
        name="308 to another scheme",
        script=[[answer(b"", "Location: ftp://evil.example/x", status="308 X")]],
        ends=says_no(308, "client_error", kept=False),
    ),
    Row(
        name="302 to another port",
        script=[[answer(b"", "Location: http://127.0.0.1:1/second", status="302 X")]],
        ends=says_no(302, "client_error", kept=False),
    ),
    Row(
        name="303 nearby",
        script=[[answer(b"", "Location: /second", status="303 X")]],
        ends=Ends("ResponseError", "client_error", 303, says="another place on the same host"),
    ),
    Row(
        name="302 to nowhere",
        script=[[answer(b"", status="302 X")]],
        ends=Ends("ResponseError", "client_error", 302, says="nowhere"),
    ),
    Row(
        name="302 to no address",
        script=[[answer(b"", "Location: http://[::1", status="302 X")]],
        ends=says_no(302, "client_error", kept=False),
    ),
    Row(
        name="300 with a body without end",
        script=[[lines("HTTP/1.1 300 X"), Forever(b"x" * 8192)]],
        ends=says_no(300, "client_error", kept=False),
    ),
]

ROWS = [*RATE_LIMITS, *FAILURES, *REDIRECTS]
