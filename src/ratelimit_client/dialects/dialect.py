"""
A vendor's header language, as a table.

Law of this file: a vendor is data. A table says which header names mean what, what
a bare number counts, what the vendor's codes mean, and how its buckets behave; one
engine reads every table, and adding a vendor adds no branch.

Theory: almost every vendor writes the same sentence with the words in another place,

    [x-]rate[-]limit-<field>[-<dimension>]        OpenAI, Groq, Azure, GitHub, Mistral
    <vendor>-ratelimit-<dimension>-<field>        Anthropic

so names are an open set read by two patterns, and only irregular ones are listed. A
name is looked at once: the vocabulary of a table remembers, by the exact spelling,
which slot a header fills, and answers the next time with one look-up. It forgets
nothing and learns at most `MOST_NAMES` spellings, so that a hostile server cannot
make it grow.

A new vendor looks like this:

    ACME = Dialect(
        name="acme",
        hosts=("api.acme.example",),
        markers=("x-acme-trace",),
        names={"x-acme-left": Field.REMAINING, "x-acme-words": (Field.REMAINING, "words")},
        numbers=Unit.MILLISECONDS,
        windows={"requests": 60.0},
        codes={"too_fast": Reason.RATE_LIMITED},
        profile=ServerProfile(pays={"requests": "requests"}, refill=Refill.WINDOW),
    )
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import attrs

from ..core.profile import ServerProfile
from ..core.signals import Reason
from .durations import Unit

MOST_NAMES = 4096
"""Spellings of header names a vocabulary remembers; others are looked at anew each time."""

_LONGEST_NAME = 128
_FLAGS = re.ASCII | re.IGNORECASE

PREFIXES = ("x-ratelimit-", "ratelimit-", "x-rate-limit-", "rate-limit-")
"""What most servers' names begin with."""

UNNAMED = "requests"
"""The dimension of a header that names none."""


class Field(enum.Enum):
    """What a header tells."""

    # of a dimension
    LIMIT = "limit"
    REMAINING = "remaining"
    RESET = "reset"
    RESET_AFTER = "reset-after"
    USED = "used"
    WINDOW = "renewalperiod"
    WINDOW_MINUTES = "window-minutes"
    COST = "query-cost"
    # of the answer
    RATELIMIT = "ratelimit"
    POLICY = "ratelimit-policy"
    UNIT = "unit"
    GROUP = "group"
    SCOPE = "scope"
    GLOBAL = "global"
    RETRY_AFTER = "retry-after"
    RETRY_AFTER_MS = "retry-after-ms"
    SHOULD_RETRY = "x-should-retry"
    DATE = "date"
    AGE = "age"
    PROCESSING_MS = "processing-ms"
    REQUEST_ID = "request-id"
    ORGANIZATION = "organization"
    PROJECT = "project"
    VERSION = "version"
    # of nothing that is used: it is known and of no use
    IGNORED = "ignored"
    # no more than who the server is
    MARK = "mark"
    # its name speaks of a limit, and no rule knows what it says
    UNKNOWN = "unknown"

    __hash__ = object.__hash__  # members are one of a kind, and the hash of enum is slow

    def __init__(self, word: str) -> None:
        """Number it: the fields of a dimension come first, in the order a row holds them."""
        self.index = len(type(self).__members__)


@attrs.frozen(eq=False)
class Slot:
    """
    What one header fills. Two spellings of one thing share a slot.

    Args:
        field: what it tells.
        dimension: of which dimension, or ""; of what is unknown, its own name.
        rank: of several headers that tell it, the lowest counts.
        mark: the name of the dialect that only this header's sender speaks, or "".
        index: the place of *field*.
    """

    field: Field
    dimension: str = ""
    rank: int = 0
    mark: str = ""
    index: int = attrs.field(init=False)

    @index.default
    def _index_of_field(self) -> int:
        return self.field.index


# Not every server that sends one of these limits anything; the names are common property.
_OF_THE_ANSWER: Mapping[str, tuple[Field, int]] = {
    "ratelimit": (Field.RATELIMIT, 0),
    "ratelimit-policy": (Field.POLICY, 0),
    "x-ratelimit-type": (Field.UNIT, 0),
    "policy-id": (Field.UNIT, 1),
    "x-ratelimit-resource": (Field.GROUP, 0),
    "x-ratelimit-bucket": (Field.GROUP, 1),
    "ratelimit-name": (Field.GROUP, 2),
    "x-ratelimit-scope": (Field.SCOPE, 0),
    "x-ratelimit-global": (Field.GLOBAL, 0),
    "retry-after": (Field.RETRY_AFTER, 0),
    "x-ratelimit-retry-after": (Field.RETRY_AFTER, 1),
    "x-rate-limit-retry-after-seconds": (Field.RETRY_AFTER, 2),
    "retry-after-ms": (Field.RETRY_AFTER_MS, 0),
    "x-ms-retry-after-ms": (Field.RETRY_AFTER_MS, 1),
    "x-should-retry": (Field.SHOULD_RETRY, 0),
    "date": (Field.DATE, 0),
    "age": (Field.AGE, 0),
    "openai-processing-ms": (Field.PROCESSING_MS, 0),
    "x-envoy-upstream-service-time": (Field.PROCESSING_MS, 1),
    "x-request-id": (Field.REQUEST_ID, 0),
    "request-id": (Field.REQUEST_ID, 1),
    "apim-request-id": (Field.REQUEST_ID, 2),
    "x-oai-request-id": (Field.REQUEST_ID, 3),
    "x-amzn-requestid": (Field.REQUEST_ID, 4),
    "x-github-request-id": (Field.REQUEST_ID, 5),
    "mistral-correlation-id": (Field.REQUEST_ID, 6),
    "openai-organization": (Field.ORGANIZATION, 0),
    "openai-project": (Field.PROJECT, 0),
    "openai-version": (Field.VERSION, 0),
    # What the status says already.
    "x-envoy-ratelimited": (Field.IGNORED, 0),
    "x-ratelimit-over-limit": (Field.IGNORED, 0),
}

OF_A_DIMENSION = (
    Field.LIMIT,
    Field.REMAINING,
    Field.RESET,
    Field.RESET_AFTER,
    Field.USED,
    Field.WINDOW,
    Field.WINDOW_MINUTES,
    Field.COST,
)
"""The fields of one dimension, in the order a row holds them."""

assert tuple(Field)[: len(OF_A_DIMENSION)] == OF_A_DIMENSION
_FIELDS = "|".join(sorted((field.value for field in OF_A_DIMENSION), reverse=True))  # the longer name first
_DIMENSION = r"[a-z0-9][a-z0-9_.-]{0,63}"
_FIELD_FIRST = re.compile(rf"({_FIELDS})(?:-({_DIMENSION}))?")
_DIMENSION_FIRST = re.compile(rf"({_DIMENSION})-({_FIELDS})")
_OF_A_LIMIT = re.compile(r"(?!llm_provider-).*(?:(?:rate|token|usage)[-_]?limit|retry[-_]?after|quota|throttl)")
"""Names that speak of a limit, whatever they mean; a proxy's copies of its upstream's headers are none of ours."""
_WINDOW_IN_NAME = re.compile(r"(?:.*?[-_])??(?:([0-9]{1,6})[-_])?(second|minute|hour|day|month)")
_PERIOD_S = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0, "month": 2_592_000.0}


@lru_cache(maxsize=1024)
def window_in_name(dimension: str) -> float | None:
    """Seconds of the window that a name ends in ("tokens-minute", "req-10-second"), or None."""
    found = _WINDOW_IN_NAME.fullmatch(dimension)
    return None if found is None else int(found[1] or 1) * _PERIOD_S[found[2]]


def speaks_at(host: str, hosts: Iterable[str]) -> bool:
    """Whether *host* is one of *hosts*, or ends as one that begins with a dot or a hyphen."""
    return any(host == own or (own[:1] in (".", "-") and host.endswith(own)) for own in hosts)


def _meanings(names: Mapping[str, Field | tuple[Field, str]]) -> Mapping[str, tuple[Field, str]]:
    found: dict[str, tuple[Field, str]] = {}
    for name, meaning in names.items():
        field, dimension = (meaning, "") if isinstance(meaning, Field) else meaning
        found[name.lower()] = field, dimension or (UNNAMED if field in OF_A_DIMENSION else "")
    return MappingProxyType(found)


def _frozen_codes(codes: Mapping[str, Reason]) -> Mapping[str, Reason]:
    return MappingProxyType({code.lower().replace("-", "_"): Reason(reason) for code, reason in codes.items()})


def _frozen_statuses(statuses: Mapping[int, Reason]) -> Mapping[int, Reason]:
    return MappingProxyType({status: Reason(reason) for status, reason in statuses.items()})


def _texts(texts: str | Iterable[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


Sentence = tuple[re.Pattern[str], Reason]


def _compiled(sentences: Iterable[tuple[str | re.Pattern[str], Reason]]) -> tuple[Sentence, ...]:
    return tuple(
        (re.compile(pattern, _FLAGS) if isinstance(pattern, str) else pattern, Reason(reason))
        for pattern, reason in sentences
    )


@attrs.frozen(kw_only=True, eq=False)
class Dialect:
    """
    One vendor's table.

    Args:
        name: what users type.
        profile: what the scheduler has to know about this kind of server.
        hosts: host names it answers on; one that begins with a dot, or a hyphen, is any host
            that ends so.
        markers: headers that only this kind of server sends; one that ends with a hyphen
            is any header that begins so.
        prefixes: what the names of its rate-limit headers begin with.
        names: its irregular headers: name -> what it tells, with the dimension where
            it tells of another than "requests".
        numbers: what a bare number of a reset counts.
        windows: dimension, or group of calls that an answer may name, -> seconds, where the
            vendor says so once and for all.
        codes: type, code or reason of an error -> what it means; beside the common ones.
        sentences: (regular expression, what an error means that says so); beside the common ones.
        statuses: what a status means here and nowhere else.
        forbidden_is_limit: a 403 that asks to wait, shows nothing left, or says so, is a rate limit.
        plans: windows of a plan of which the server shows no more than the share that is
            used: dimension -> the number that stands for all of it. A refusal by one is
            not waited out.
        long_window_s: a refusal by a window this long is not waited out either: the
            window is used up.
        too_large_wait_s: a wait this long is how this server says that the one call is
            larger than the limit.
        least_wait_s: what the vendor says to wait after a refusal that names no time; twice as
            long when that was not enough, and so on up to an hour.
        day_ends: seconds until the vendor's day ends, from an instant (seconds since 1970); a
            refusal by a window of a day lasts until then.
    """

    name: str
    profile: ServerProfile = attrs.field(factory=ServerProfile)
    hosts: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    markers: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    prefixes: tuple[str, ...] = attrs.field(default=PREFIXES, converter=_texts)
    names: Mapping[str, tuple[Field, str]] = attrs.field(factory=dict, converter=_meanings)
    numbers: Unit = Unit.BY_SIZE
    windows: Mapping[str, float] = attrs.field(factory=dict)
    codes: Mapping[str, Reason] = attrs.field(factory=dict, converter=_frozen_codes)
    sentences: tuple[Sentence, ...] = attrs.field(default=(), converter=_compiled)
    statuses: Mapping[int, Reason] = attrs.field(factory=dict, converter=_frozen_statuses)
    forbidden_is_limit: bool = True
    plans: Mapping[str, float] = attrs.field(factory=dict)
    long_window_s: float = math.inf
    too_large_wait_s: float = math.inf
    least_wait_s: float | None = None
    day_ends: Callable[[float], float] | None = None
    vocabulary: Vocabulary = attrs.field(init=False, repr=False)
    shapes: dict[tuple[Any, ...], Any] = attrs.field(init=False, repr=False, factory=dict)
    """What ``ordinary`` remembers: by the names of an answer, where it tells what."""

    @vocabulary.default
    def _own_vocabulary(self) -> Vocabulary:
        return Vocabulary(self)

    @property
    def is_vendors(self) -> bool:
        """Whether it is one vendor's own, and not a language that any server may speak beside its own."""
        return bool(self.hosts)

    def speaks_at(self, host: str) -> bool:
        """Whether *host* (lower case) is one of this vendor's."""
        return speaks_at(host, self.hosts)

    def window_s(self, dimension: str, group: str | None = None) -> float | None:
        """Seconds of a dimension's window where the table says so, for this *group* or for all, or the name."""
        own = self.windows.get(group) if group else None
        return own or self.windows.get(dimension) or window_in_name(dimension)


class Vocabulary(dict[Any, "Slot | None"]):
    """
    Header name as written -> the slot it fills, or None.

    Args:
        dialect: whose names these are.
        marks: header name in lower case -> the dialect that only its sender speaks; a
            name that ends with a hyphen is any name that begins so.
    """

    __slots__ = ("_dialect", "_marks", "_slots")

    def __init__(self, dialect: Dialect, marks: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__()
        self._dialect = dialect
        self._marks = marks
        self._slots: dict[tuple[Field, str, int, str], Slot] = {}

    def __missing__(self, spelling: object) -> Slot | None:
        if isinstance(spelling, bytes | bytearray):
            slot = self[spelling.decode("latin-1")]
            if len(self) < MOST_NAMES and len(spelling) <= _LONGEST_NAME:
                self[bytes(spelling)] = slot
            return slot
        if not isinstance(spelling, str) or len(spelling) > _LONGEST_NAME:
            return None
        slot = self._look_at(spelling.strip().lower())
        if len(self) < MOST_NAMES:
            self[str(spelling)] = slot
        return slot

    def _look_at(self, name: str) -> Slot | None:
        mark = self._marks.get(name) or self._mark_of_a_prefix(name)
        if irregular := self._dialect.names.get(name):
            return self._slot(*irregular, 0, mark)
        if common := _OF_THE_ANSWER.get(name):
            return self._slot(common[0], "", common[1], mark)
        prefix = next((own for own in self._dialect.prefixes if name.startswith(own)), None)
        if prefix is not None and (slot := self._regular(name.removeprefix(prefix), mark)):
            return slot
        if _OF_A_LIMIT.match(name) and not any(name == own.lower() for own in self._dialect.markers):
            return self._slot(Field.UNKNOWN, name, 0, mark)
        return self._slot(Field.MARK, "", 0, mark) if mark else None

    def _mark_of_a_prefix(self, name: str) -> str:
        return next((who for mark, who in self._marks.items() if mark.endswith("-") and name.startswith(mark)), "")

    def _regular(self, rest: str, mark: str) -> Slot | None:
        if found := _FIELD_FIRST.fullmatch(rest):
            return self._slot(Field(found[1]), found[2] or UNNAMED, 0, mark)
        if found := _DIMENSION_FIRST.fullmatch(rest):
            return self._slot(Field(found[2]), found[1], 0, mark)
        return None

    def _slot(self, field: Field, dimension: str, rank: int, mark: str) -> Slot:
        """One slot for all spellings, so that what two of them say meets in one place."""
        key = field, dimension, rank, mark
        slot = self._slots.get(key)
        if slot is None:
            slot = Slot(field, dimension, rank, mark)
            if len(self) < MOST_NAMES:
                self._slots[key] = slot
        return slot
