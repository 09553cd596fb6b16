"""
Every name of a job in memory, at about eleven bytes a name.

Law of this file: a name is a fingerprint, so "seen before" is a suspicion. A
job of ten million rows has a chance of about 1 in 200 that two of its names look
the same here; whoever acts on a hit reads the file again first (ledger.py).

Theory. The 53 highest bits of a mark choose the place: 12 of them one of 4096
segments, 41 are kept in a slot of 8 bytes, next to 20 bits of the row's identity
and 3 bits of state. A segment is an open-addressed table with linear probing;
the home of a tag is ``tag * slots >> 41``, so it can be found again in a larger
table. Segments grow one at a time and by a quarter, so growing needs no second
copy of the whole.

A name has at most two slots: one with the identity its answer in OUT has, one
with the identity its line in the errors file has. They differ when the row was
edited in between.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_SEGMENT_BITS: Final = 12
_TAG_BITS: Final = 41
_TAG_MASK: Final = (1 << _TAG_BITS) - 1
_MARK_SHIFT: Final = 64 - _SEGMENT_BITS - _TAG_BITS

# Layout of a slot, from the lowest bit: seen in this walk (1), state (2), row (20), tag (41). Zero is an empty slot.
_SEEN: Final = 1
_STATE_SHIFT: Final = 1
_STATE_MASK: Final = 3 << _STATE_SHIFT
_ROW_SHIFT: Final = 3
_ROW_BITS: Final = 20
_ROW_MASK: Final = ((1 << _ROW_BITS) - 1) << _ROW_SHIFT
_TAG_SHIFT: Final = _ROW_SHIFT + _ROW_BITS

_FIRST_SLOTS: Final = 8
_SEGMENT_SHIFT: Final = 64 - _SEGMENT_BITS
_NOWHERE: Final = ()

# The row bits of an identity, in the first 32 bits of its digest.
ROW_SHIFT_OF_WORD: Final = 32 - _ROW_BITS
# A segment that is made for its names: as many as it gets on average and five deviations more, four fifths full.
_SPARE: Final = 5


class State(enum.IntEnum):
    """What the table knows of a name."""

    PENDING = 1  # met in the input, no line of it in OUT or the errors file
    DONE = 2  # answered in OUT
    FAILED = 3  # a line in the errors file


class Seen(enum.Enum):
    """What meeting a row in the input means."""

    NEW = "new"
    DONE = "done"
    FAILED = "failed"
    EDITED = "edited"  # finished under another identity
    REPEATED = "repeated"  # the name was met earlier in this walk


class Passed(NamedTuple):
    """Lines at the beginning of a piece of the input that are finished, and were visited."""

    size: int
    lines: int
    failed: int


_PENDING: Final = State.PENDING << _STATE_SHIFT
_DONE: Final = State.DONE << _STATE_SHIFT


def row_bits(id_: str) -> int:
    """The 20 bits of an identity (``rlc_`` + hex digits) that a slot keeps."""
    return int(id_[4 : 4 + _ROW_BITS // 4], 16)


class Fingerprints:
    """
    The table. ``len()`` counts names, not slots.

    ``passed`` says which parts of the input, by their offset, were visited before the
    walk came to them.
    """

    __slots__ = ("_held", "_names", "_segments", "passed")

    def __init__(self) -> None:
        self._segments: list[array[int] | None] = [None] * (1 << _SEGMENT_BITS)
        self._held = [0] * (1 << _SEGMENT_BITS)  # slots in use
        self._names = 0
        self.passed: dict[int, Passed] = {}

    def __len__(self) -> int:
        return self._names

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return sum(len(segment) * segment.itemsize for segment in self._segments if segment is not None)

    def expect(self, names: int) -> None:
        """Make room for so many names, if nothing is there yet: the table need not grow while they come."""
        mean = names >> _SEGMENT_BITS
        slots = (mean + int(_SPARE * mean**0.5)) * 5 // 4
        if slots > _FIRST_SLOTS and not self._names:
            self._segments = [array("Q", bytes(8 * slots)) for _ in range(1 << _SEGMENT_BITS)]

    def record(self, mark: int, row: int, state: State) -> None:
        """Note a line of OUT or of the errors file; of several in one file the last counts, OUT overrides."""
        number, tag = mark >> _SEGMENT_SHIFT, (mark >> _MARK_SHIFT) & _TAG_MASK
        slot = tag << _TAG_SHIFT | row << _ROW_SHIFT | state << _STATE_SHIFT
        segment = self._segments[number]
        known = False
        if segment is not None:
            for place in _places(segment, tag):
                known = True
                held = segment[place]
                if (held ^ slot) & _STATE_MASK == 0:
                    segment[place] = slot
                    return
                if state is State.FAILED and (held ^ slot) & _ROW_MASK == 0:
                    return  # the answer in OUT overrides
        self._names += not known
        self._insert(number, slot)

    def record_all(self, marks: Sequence[int], rows: Iterable[int], state: State) -> None:
        """``record`` of each."""
        segments, held_in = self._segments, self._held
        flags = state << _STATE_SHIFT
        for mark, row in zip(marks, rows, strict=True):
            number = mark >> _SEGMENT_SHIFT
            segment = segments[number]
            if segment is not None and (held_in[number] + 1) * 5 <= len(segment) * 4:
                tag = (mark >> _MARK_SHIFT) & _TAG_MASK
                slots = len(segment)
                place = tag * slots >> _TAG_BITS
                while (held := segment[place]) and held >> _TAG_SHIFT != tag:
                    place += 1
                    if place == slots:
                        place = 0
                if not held:
                    segment[place] = tag << _TAG_SHIFT | row << _ROW_SHIFT | flags
                    held_in[number] += 1
                    self._names += 1
                    continue
            self.record(mark, row, state)

    def visit(self, mark: int, row: int) -> Seen:
        """Meet a row of the input: say what it is and remember that it was met."""
        number, tag = mark >> _SEGMENT_SHIFT, (mark >> _MARK_SHIFT) & _TAG_MASK
        segment = self._segments[number]
        verdict = Seen.NEW
        if segment is not None:
            slots = len(segment)
            place = tag * slots >> _TAG_BITS
            if not segment[place] and (self._held[number] + 1) * 5 <= slots * 4:  # nearly all that are new
                segment[place] = tag << _TAG_SHIFT | row << _ROW_SHIFT | _PENDING | _SEEN
                self._held[number] += 1
                self._names += 1
                return verdict
            for place in _places(segment, tag):
                held = segment[place]
                if held & _SEEN:
                    return Seen.REPEATED
                segment[place] = held | _SEEN
                verdict = _better(verdict, held, row)
        if verdict is Seen.NEW:
            self._names += 1
            self._insert(number, tag << _TAG_SHIFT | row << _ROW_SHIFT | _PENDING | _SEEN)
        return verdict

    def look(self, mark: int, row: int) -> Seen:
        """What ``visit`` would say, REPEATED included; remembers nothing."""
        segment = self._segments[mark >> _SEGMENT_SHIFT]
        verdict = Seen.NEW
        if segment is not None:
            for place in _places(segment, (mark >> _MARK_SHIFT) & _TAG_MASK):
                held = segment[place]
                if held & _SEEN:
                    return Seen.REPEATED
                verdict = _better(verdict, held, row)
        return verdict

    def is_answered(self, mark: int, row: int) -> bool:
        """Does OUT hold this row's answer, met in this walk or not?"""
        segment, tag = self._segments[mark >> _SEGMENT_SHIFT], (mark >> _MARK_SHIFT) & _TAG_MASK
        if segment is None:
            return False
        answered = tag << _TAG_SHIFT | row << _ROW_SHIFT | _DONE
        return any(segment[place] & ~_SEEN == answered for place in _places(segment, tag))

    def is_finished(self, mark: int, row: int) -> bool:
        """Would ``visit`` say DONE or FAILED?"""
        return self.look(mark, row) in (Seen.DONE, Seen.FAILED)

    def visit_finished(
        self, marks: Sequence[int], rows: Sequence[int], *, start: int = 0, failed: bool = True
    ) -> tuple[int, int]:
        """
        ``visit`` rows in order, from number *start*, as long as it says DONE, or FAILED if *failed*.

        Returns: the number of the first for which it does not, and how many failed.
        """
        segments = self._segments
        failures = 0
        for index in range(start, len(marks)):
            mark, row = marks[index], rows[index]
            segment = segments[mark >> _SEGMENT_SHIFT]
            if segment is None:
                return index, failures
            tag = (mark >> _MARK_SHIFT) & _TAG_MASK
            slots = len(segment)
            place = tag * slots >> _TAG_BITS
            while (held := segment[place]) and held >> _TAG_SHIFT != tag:
                place += 1
                if place == slots:
                    place = 0
            if held == tag << _TAG_SHIFT | row << _ROW_SHIFT | _DONE:
                segment[place] = held | _SEEN
                continue
            seen = self.look(mark, row)
            if not (seen is Seen.DONE or (failed and seen is Seen.FAILED)):
                return index, failures
            failures += self.visit(mark, row) is Seen.FAILED
        return len(marks), failures

    def forget_visits(self, marks: Iterable[int]) -> None:
        """As if these had not been met in this walk."""
        for mark in marks:
            segment = self._segments[mark >> _SEGMENT_SHIFT]
            if segment is not None:
                for place in _places(segment, (mark >> _MARK_SHIFT) & _TAG_MASK):
                    segment[place] &= ~_SEEN

    def forget_all_visits(self) -> None:
        """As if no walk had begun."""
        self.passed.clear()
        for segment in self._segments:
            if segment is not None:
                for place, held in enumerate(segment):
                    segment[place] = held & ~_SEEN

    def _insert(self, number: int, slot: int) -> None:
        segment = self._segments[number]
        if segment is None:
            segment = self._segments[number] = array("Q", bytes(8 * _FIRST_SLOTS))
        elif (self._held[number] + 1) * 5 > len(segment) * 4:
            segment = self._segments[number] = _grown(segment)
        self._held[number] += 1
        _put(segment, slot)


def _places(segment: array[int], tag: int) -> Sequence[int]:
    """The places of a segment that hold *tag*: none, one or two."""
    slots = len(segment)
    place = tag * slots >> _TAG_BITS
    found: Sequence[int] = _NOWHERE
    while held := segment[place]:
        if held >> _TAG_SHIFT == tag:
            found = (*found, place)
        place += 1
        if place == slots:
            place = 0
    return found


def _better(verdict: Seen, held: int, row: int) -> Seen:
    """One more slot of a name taken into account: the same identity says done or failed, any other edited."""
    if held >> _ROW_SHIFT & ((1 << _ROW_BITS) - 1) != row:
        return Seen.EDITED if verdict is Seen.NEW else verdict
    state = (held & _STATE_MASK) >> _STATE_SHIFT
    if state == State.DONE:
        return Seen.DONE
    if state == State.FAILED and verdict is not Seen.DONE:
        return Seen.FAILED
    return verdict


def _put(segment: array[int], slot: int) -> None:
    slots = len(segment)
    place = (slot >> _TAG_SHIFT) * slots >> _TAG_BITS
    while segment[place]:
        place += 1
        if place == slots:
            place = 0
    segment[place] = slot


def _grown(segment: array[int]) -> array[int]:
    larger = array("Q", bytes(8 * (len(segment) * 5 // 4 + 1)))
    for slot in segment:
        if slot:
            _put(larger, slot)
    return larger
