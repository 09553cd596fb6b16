"""
What the sentence of a refusal says: whose limit, its numbers, how long to wait.

Law of this file: a number is believed before a label. The window of a refusal is
the one its own wait determines, wait = (used + requested - limit) x window / limit,
even where the text says "per min": a limit of 30 days has been seen under that
label. The label counts where the numbers determine nothing and do not contradict it.

Theory: headers come first, but answers that end inside a stream, and some that were
refused after they were begun, carry no header at all. Then this sentence is the only
source. The same sentence is written in a handful of ways, with and without thousands
separators, with a tilde before an estimate, with and without a unit:

    Rate limit reached for G in organization O on tokens per min (TPM): Limit L, Used U, Requested R.
    Please try again in 1m13.588s. ...
    Request too large for M (for limit G) in organization O on tokens per min (TPM): Limit L, Requested R. ...
    Rate limit reached for G in organization O on requests per min. Limit: 3 / min. Current: 4 / min. ...
    ... exceed the rate limit for your organization of 1,000,000 input tokens per minute ...
    ... exceeded token rate limit of your current pricing tier. Please retry after 33 seconds. ...
    Quota exceeded for metric: .../generate_content_free_tier_requests, limit: 20, model: M ...
    Tokens per minute limit exceeded ...    free-models-per-day    5-hour usage limit ...
    Rate limit reached for tokens. Limit: 150000.000000 / min. ...    Expected available in 49 seconds.
    You will regain access on 2026-02-01 at 00:00 UTC.    resets at 2026-05-15T15:00:00Z
"""

from __future__ import annotations

import re

import attrs

from ..core.units import NS, to_ns
from ..core.windows import infer_window_of_wait_ns
from .bodies import LONGEST_TEXT
from .durations import parse_duration, parse_number

_FLAGS = re.ASCII | re.IGNORECASE

_SPAN_S = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_MONTH_S = 30 * 86_400.0
_WORDS = r"(?:milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)"
_PERIODS = r"(second|sec|minute|min|hour|day|week|month)"

_AMOUNT = r"([0-9]{1,18}(?:,[0-9]{3})*)(?![0-9])(?:\.0{1,9}(?![0-9]))?"
_DECIMAL = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"

_BEFORE_A_WAIT = (
    r"(?:(?:try again|retry|retrying|wait|available again)(?: (?:after|in|for|at least))?"
    r"|\b(?:resets?|available) (?:in|after)) ~?"
)
_WAIT = re.compile(rf"{_BEFORE_A_WAIT}((?:{_DECIMAL}(?:ms|us|\u00b5s|\u03bcs|ns|d|h|m|s))+)(?![a-z0-9])", _FLAGS)
_WORDED = rf"{_DECIMAL}\s{{0,3}}{_WORDS}\b"
_WAIT_IN_WORDS = re.compile(rf"{_BEFORE_A_WAIT}({_WORDED}(?:,? {{1,3}}(?:and )?{_WORDED})*)", _FLAGS)
_CLOCKED = r"([0-9]{1,3}):([0-5][0-9]):([0-5][0-9])"
_WAIT_BY_THE_CLOCK = re.compile(rf"(?:{_BEFORE_A_WAIT}|\breplenished in ){_CLOCKED}(?![0-9:])", _FLAGS)
_INSTANT = (
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T| at | )([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:\.[0-9]{1,9})? ?"
    r"(Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})?"
)
_UNTIL = re.compile(
    rf"\b(?:resets?(?: at| on)?:?|until|access on|available (?:at|on)|(?:try again|retry) (?:at|after|on)) {_INSTANT}",
    _FLAGS,
)
_UNTIL_EPOCH = re.compile(r"\blimit reached\|([0-9]{10,13})(?![0-9])", _FLAGS)
_WORDED_TERM = re.compile(rf"({_DECIMAL})\s{{0,3}}({_WORDS})\b", _FLAGS)

_LIMIT = re.compile(
    rf"\blimit:?\s+{_AMOUNT}(?:\s*/\s*1?{_PERIODS})?"
    rf"(?:, used ~?{_AMOUNT}|\.? current:? {_AMOUNT}(?:\s*/\s*1?{_PERIODS})?)?"
    rf"(?:, requested ~?{_AMOUNT})?",
    _FLAGS,
)
_UNIT = r"((?:[a-z]{1,30}[ _-]){0,2}[a-z]{1,30})"
_LIMIT_OF = re.compile(rf"\b(?:of|to|is) {_AMOUNT} {_UNIT} ?(?:per|/) ?{_PERIODS}\b", _FLAGS)
_LIMIT_NAMED = re.compile(
    rf"\b(tokens?|requests?|calls?|images?)[ _-]per[ _-]{_PERIODS}\b[^.]{{0,20}}\blimit\b", _FLAGS
)
_PER = re.compile(rf"\b(?:limit|quota|too many)\b[^\n]{{0,120}}?(?<![a-z])per[ _-]{_PERIODS}(?![a-z])", _FLAGS)
_PERIODIC = re.compile(
    r"\b(?:(hourly|daily|weekly|monthly)|per-(second|minute|hour|day)|([0-9]{1,2})-(hour|day))\b[^.]{0,30}"
    r"\b(?:limit|quota|allocation|allowance)\b",
    _FLAGS,
)
_NUMBER_OF = re.compile(r"\b(?:number of|too many) (?:request )?(input tokens|output tokens|tokens|requests)\b", _FLAGS)
_METRIC = re.compile(
    r"\bquota exceeded for (?:quota )?(?:metric:? )?['\"]?[^,'\"\n]{0,200}?(input_token|token|request)", _FLAGS
)
_ABBREVIATED = re.compile(r"(?<![A-Za-z])(R|T)P(S|M|H|D)(?![A-Za-z])", re.ASCII)
_ON = re.compile(rf"\b(?:on|for) {_UNIT} per {_PERIODS}\b", _FLAGS)
_LIMIT_OVER = re.compile(rf"\blimit of {_AMOUNT} per ([0-9]{{1,7}}) ?s(?:econds?)?\b", _FLAGS)
_RATE_LIMIT_OF_A_UNIT = re.compile(r"\b(token|call|request)s? rate limit\b", _FLAGS)
_LIMIT_FOR_A_UNIT = re.compile(r"\blimit (?:reached|exceeded) for (tokens|requests|calls|images)\b", _FLAGS)
_REACHED_FOR = re.compile(r"\blimit reached for (?:model )?[`'\"]?([^\s`'\"]{1,200})[`'\"]? (?:in|on)\b", _FLAGS)
_FOR_LIMIT = re.compile(r"\(for limit ([^)]{1,200})\)", _FLAGS)


@attrs.frozen
class TextFacts:
    """What one sentence says; None where it says nothing. Amounts in units, times in seconds, *until* an instant."""

    wait_s: float | None = None
    unit: str | None = None
    limit: float | None = None
    used: float | None = None
    requested: float | None = None
    window_s: float | None = None
    group: str | None = None
    until: str | None = None

    @property
    def never_fits(self) -> bool | None:
        """The request is larger than the whole limit; None when the text does not give both numbers."""
        if self.limit is None or self.requested is None:
            return None
        return self.requested > self.limit


NO_FACTS = TextFacts()


def read_text(text: str) -> TextFacts:
    """The facts of the sentences in *text*, of which at most `LONGEST_TEXT` characters are searched."""
    text = text[:LONGEST_TEXT]
    wait_s = _wait_s(text)
    limit, used, requested, label_s = _amounts(text)
    unit, unit_label_s = _unit(text)
    return TextFacts(
        wait_s=wait_s,
        unit=unit,
        limit=limit,
        used=used,
        requested=requested,
        window_s=_window_s(limit, used, requested, wait_s, label_s or unit_label_s),
        group=_group(text),
        until=_until(text),
    )


def _wait_s(text: str) -> float | None:
    if found := _WAIT.search(text):
        return parse_duration(found[1].lower())
    if found := _WAIT_IN_WORDS.search(text):
        return sum(float(number) * _word_s(word) for number, word in _WORDED_TERM.findall(found[1]))
    if found := _WAIT_BY_THE_CLOCK.search(text):
        return 3_600.0 * int(found[1]) + 60.0 * int(found[2]) + int(found[3])
    return None


def _until(text: str) -> str | None:
    """The instant that the text names, as RFC 3339 or in seconds since 1970."""
    if found := _UNTIL.search(text):
        zone = found[4] or "Z"
        return f"{found[1]}T{found[2]}{found[3] or ':00'}{zone}"
    found = _UNTIL_EPOCH.search(text)
    return None if found is None else found[1]


def _word_s(word: str) -> float:
    word = word.lower()
    return 0.001 if word.startswith(("ms", "milli")) else _SPAN_S[word[0]]


def period_s(word: str) -> float:
    """Seconds of a period: second, min, hour, day, week, month; hourly, daily and so on."""
    word = word.lower()
    return _MONTH_S if word.startswith("month") else _SPAN_S[word[0]]


def _amounts(text: str) -> tuple[float | None, float | None, float | None, float | None]:
    """Limit, used, requested, and the window that the label names."""
    if found := _LIMIT.search(text):
        limit, period, used, current, current_period, requested = found.groups()
        label = period or current_period
        return _amount(limit), _amount(used or current), _amount(requested), period_s(label) if label else None
    if found := _LIMIT_OF.search(text):
        return _amount(found[1]), None, None, period_s(found[3])
    if found := _LIMIT_OVER.search(text):
        return _amount(found[1]), None, None, float(found[2])
    return None, None, None, None


def _amount(digits: str | None) -> float | None:
    return None if digits is None else parse_number(digits.replace(",", ""))


def _unit(text: str) -> tuple[str | None, float | None]:
    """The unit that the text names, and the window beside it."""
    if found := _ON.search(text):
        return _named(found[1]), period_s(found[2])
    if found := _LIMIT_OF.search(text):
        return _named(found[2]), period_s(found[3])
    if found := _LIMIT_NAMED.search(text):
        return _named(found[1]), period_s(found[2])
    window_s = _period_named_s(text)
    if found := _ABBREVIATED.search(text):
        return "requests" if found[1] == "R" else "tokens", window_s or _SPAN_S[found[2].lower()]
    for pattern in (_RATE_LIMIT_OF_A_UNIT, _LIMIT_FOR_A_UNIT, _METRIC, _NUMBER_OF):
        if found := pattern.search(text):
            return _named(found[1]), window_s
    return None, window_s


def _period_named_s(text: str) -> float | None:
    """The window of a limit that is named by it alone: "per-day", "daily limit", "5-hour usage limit"."""
    if found := _PER.search(text):
        return period_s(found[1])
    if found := _PERIODIC.search(text):
        return int(found[3] or 1) * period_s(found[1] or found[2] or found[4])
    return None


def _named(words: str) -> str:
    """A unit as headers call it: "input tokens" is input-tokens, an API call or a query is a request."""
    name = words.lower().replace(" ", "-").replace("_", "-")
    last = name.rpartition("-")[2]
    if last in ("call", "calls", "query", "queries"):
        return "requests"
    if last in ("request", "requests"):
        return "requests" if last == name else name
    return f"{name}s" if last in ("token", "image") else name


def _group(text: str) -> str | None:
    found = _FOR_LIMIT.search(text) or _REACHED_FOR.search(text)
    return None if found is None else found[1]


def _window_s(
    limit: float | None, used: float | None, requested: float | None, wait_s: float | None, label_s: float | None
) -> float | None:
    """The window by the numbers, or by the label where it is within a factor of two of them."""
    if limit is None or used is None or requested is None or not wait_s:
        return label_s

    missing = used + requested - limit
    if missing <= 0 or limit <= 0:
        return label_s
    window_ns = infer_window_of_wait_ns(int(limit), int(used), int(requested), to_ns(wait_s))
    if window_ns is not None:
        return float(window_ns // NS)
    by_numbers_s = wait_s * limit / missing
    return label_s if label_s is not None and label_s / 2 <= by_numbers_s <= label_s * 2 else None
