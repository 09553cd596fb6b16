"""
One pass over the headers of an answer.

Law of this file: every header is looked up once, by its spelling, and costs next to
nothing when it tells nothing. What arrives twice is kept twice; which of the two
holds is decided where the value is understood. A value that cannot be understood is
dropped alone.

Headers come as any mapping, as a multi-dict, or as pairs; names and values as text
or bytes; a value may be a list, as some recorders keep repeated headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .dialect import OF_A_DIMENSION, Field, Vocabulary
from .durations import MAX_SPAN_S, Form, Unit, When, parse_instant, parse_number, parse_when

MOST_DIMENSIONS = 32
"""Dimensions of one answer; a hostile server must not make the state of a client grow."""

_LONGEST_NUMBER = 18
MOST_VALUES = 16
_LONGEST_VALUE = 8192

_WIDTH = len(OF_A_DIMENSION)
_APART = Field.IGNORED.index

Row = list[Any]
"""The values of one dimension as they came, in the order of `OF_A_DIMENSION`."""

Fault = tuple[Field, str, str]
"""A field, its dimension or "", and what is wrong with the value."""

_WINDOW = re.compile(r"(?:^|;)\s*w(?:indow)?\s*=\s*([0-9]{1,10})\s*(?:;|$)")


class Collected:
    """
    What the headers of an answer tell, not yet understood.

    Attributes:
        rows: dimension -> its values.
        told: values of the whole answer, each at the index of its field.
        marks: the names of the dialects that headers gave away.
        pairs: the headers themselves.
        unknown: names that speak of a limit and that nobody knows.
        faults: what could not be used of a value.
        crowded: there were more dimensions than are kept.
    """

    __slots__ = ("_ranks", "_vocabulary", "crowded", "faults", "marks", "pairs", "rows", "told", "unknown")

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.pairs: list[tuple[Any, Any]] = []
        self._forget()

    def _forget(self) -> None:
        self.rows: dict[str, Row] = {}
        self.told: list[Any] = [None] * len(Field)
        self._ranks = [0] * len(Field)
        self.marks: list[str] = []
        self.unknown: list[str] = []
        self.faults: list[Fault] = []
        self.crowded = False

    def take(self, headers: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> None:
        """Look at each header once."""
        items = getattr(headers, "items", None)
        pairs = list(headers if items is None else items())
        try:
            self._take(pairs)
        except (TypeError, ValueError):  # something among them is no pair
            self._forget()
            pairs = [pair for pair in pairs if _is_pair(pair)]
            self._take(pairs)
        self.pairs += pairs

    def _take(self, pairs: list[tuple[Any, Any]]) -> None:
        vocabulary, rows, told, ranks = self._vocabulary, self.rows, self.told, self._ranks
        for name, value in pairs:
            slot = vocabulary[name]
            if slot is None or not (value or value == 0):
                continue

            index = slot.index
            if index < _WIDTH:
                row = rows.get(slot.dimension)
                if row is None:
                    if len(rows) >= MOST_DIMENSIONS:
                        self.crowded = True
                        continue
                    row = rows[slot.dimension] = [None] * _WIDTH
                row[index] = value if row[index] is None else _both(row[index], value)
            elif index >= _APART:
                if slot.field is Field.UNKNOWN:
                    self.unknown.append(slot.dimension)
            elif told[index] is None or slot.rank < ranks[index]:
                told[index] = value
                ranks[index] = slot.rank
            elif slot.rank == ranks[index]:
                told[index] = _both(told[index], value)
            if slot.mark:
                self.marks.append(slot.mark)

    def forget_waits(self) -> None:
        """Drop what the headers of a success say of waiting: it is not about the error in its body."""
        self.told[Field.RETRY_AFTER.index] = self.told[Field.RETRY_AFTER_MS.index] = None

    def add(self, headers: Mapping[Any, Any]) -> None:
        """Take headers that came inside the body, where the real ones say nothing of the same thing."""
        inner = Collected(self._vocabulary)
        inner.take(headers)
        for dimension, row in inner.rows.items():
            if len(self.rows) < MOST_DIMENSIONS:
                self.rows.setdefault(dimension, row)
            else:
                self.crowded = True
        self.pairs += inner.pairs
        self.unknown += inner.unknown
        self.crowded |= inner.crowded
        self.told = [inside if own is None else own for own, inside in zip(self.told, inner.told, strict=True)]

    def name_of(self, field: Field, dimension: str = "") -> str:
        """The name of the header that fills a slot; of several the one that counts."""
        found = (
            (slot.rank, (name.decode("latin-1") if isinstance(name, bytes) else name).strip().lower())
            for name, value in self.pairs
            if (slot := self._vocabulary[name]) and slot.field is field and slot.dimension == dimension
            if value or value == 0
        )
        return min(found, default=(0, field.value))[1]

    def text(self, field: Field) -> str | None:
        """The first value of a field as text; None when there is none but white space."""
        raw = self.told[field.index]
        if raw is None:
            return None
        if raw.__class__ is str:
            return raw.strip() or None
        return next((text for value in texts_of(raw) if (text := value.strip())), None)

    def texts(self, field: Field) -> list[str]:
        """All values of a field as text."""
        return texts_of(self.told[field.index])

    def number(self, field: Field) -> float | None:
        """The value of a field as a number."""
        return amount(self.told[field.index])[0]

    def now_s(self, fallback_s: float | None) -> float | None:
        """The server's now, seconds since 1970: its ``Date``, moved by ``Age``; else *fallback_s*."""
        text = self.text(Field.DATE)
        date_s = None if text is None else parse_instant(text)
        if date_s is None:
            return fallback_s
        return date_s + (self.number(Field.AGE) or 0.0)


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str | bytes)


def _both(one: Any, other: Any) -> list[Any]:
    return [*(one if isinstance(one, list) else [one]), *(other if isinstance(other, list) else [other])]


def texts_of(raw: Any) -> list[str]:
    """The texts of a value: of text, bytes, a number, or a list of these; the longest no header is are left out."""
    if isinstance(raw, list | tuple):
        return [text for item in raw[:MOST_VALUES] if not isinstance(item, list | tuple) for text in texts_of(item)]
    if isinstance(raw, bytes | bytearray):
        raw = raw.decode("latin-1")
    elif isinstance(raw, int | float) and not isinstance(raw, bool) and 0 <= raw < 10**_LONGEST_NUMBER:
        raw = str(raw)
    return [raw] if isinstance(raw, str) and len(raw) <= _LONGEST_VALUE else []


def amount(raw: Any) -> tuple[float | None, float | None, bool]:
    """
    An amount, the window that came with it (``100;w=60``), and whether it is in doubt.

    Of a list with windows the first member is the amount now in force and the others
    are policies; of repeated plain numbers the least counts.
    """
    if raw.__class__ is str and len(raw) <= _LONGEST_NUMBER and raw.isdigit() and raw.isascii():
        return float(raw), None, False
    members = [_member(part) for text in texts_of(raw) for part in text.split(",")[:MOST_VALUES]]
    values = [(number, window_s) for number, window_s in members if number is not None]
    if not values:
        return None, None, False

    first = values[0][0]
    if any(window_s for _, window_s in values):
        return first, next((window_s for number, window_s in values if window_s and number == first), None), False
    least = min(number for number, _ in values)
    return least, None, any(number != first for number, _ in values)


def _member(text: str) -> tuple[float | None, float | None]:
    """An amount and the window in its parameters."""
    number, _, parameters = text.partition(";")
    window = _WINDOW.search(parameters) if parameters else None
    return parse_number(number.strip()), float(window[1]) if window else None


def moment(raw: Any, unit: Unit) -> tuple[When | None, bool]:
    """
    A span or instant, and whether it is in doubt.

    Of several the most trustworthy form counts, and within one form the longest.
    """
    if raw.__class__ is str:
        when = parse_when(raw, unit)
        if when is not None:
            return when, False
    found = list(_moments(raw, unit))
    if not found:
        return None, False
    form = min(when.form for when in found)
    seconds = {when.seconds for when in found if when.form is form}
    return When(form, max(seconds)), len(seconds) > 1


def _moments(raw: Any, unit: Unit) -> Iterator[When]:
    for text in texts_of(raw):
        # A date holds a comma of its own, so the whole text is tried first.
        whole = parse_when(text, unit)
        parts = [whole] if whole is not None else [parse_when(part, unit) for part in text.split(",")[:MOST_VALUES]]
        yield from (when for when in parts if when is not None)


def span_s(when: When | None, now_s: Callable[[], float | None]) -> float | None:
    """Seconds until *when*, at least 0; None when it is further away, or longer ago, than any limit reaches."""
    if when is None:
        return None
    if when.form is not Form.INSTANT:
        return when.seconds if when.seconds <= MAX_SPAN_S else None
    now = now_s()
    if now is None or abs(when.seconds - now) > MAX_SPAN_S:
        return None
    return max(0.0, when.seconds - now)
