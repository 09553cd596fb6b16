"""
The ordinary answer, read in one go.

Law of this file: it says what the engine says, or nothing. Whatever is out of the
ordinary (a repeated header, an empty value, a date, a field of structured headers)
is left to the engine.

Theory. A server writes the headers of its successes in one order, with one spelling,
and changes the numbers. So what each header means is worked out once for each list
of names, as a *shape*: at which place stands which field. An answer of a known shape
costs a look-up and the reading of its numbers. A dialect remembers at most
`MOST_SHAPES` shapes, so that a hostile server cannot make it grow.
"""

from __future__ import annotations

from typing import Any

import attrs

from ..core.signals import Reading, Signals
from .dialect import Dialect, Field
from .headers import MOST_DIMENSIONS, amount
from .levels import ordinary_reading
from .unread import kinds_of_names

MOST_SHAPES = 256
_MOST_HEADERS = 128

Names = tuple[Any, ...]
Columns = tuple[Names, list[Any]]

_LEVELS = {Field.LIMIT: 0, Field.REMAINING: 1, Field.RESET: 2}
_TEXTS = (Field.PROCESSING_MS, Field.REQUEST_ID, Field.ORGANIZATION, Field.PROJECT, Field.VERSION)
# What says nothing on a success, or nothing without an instant to compare it with.
_SILENT = frozenset(
    {Field.UNIT, Field.RETRY_AFTER, Field.RETRY_AFTER_MS, Field.DATE, Field.IGNORED, Field.MARK, Field.UNKNOWN}
)


@attrs.frozen(eq=False)
class Shape:
    """
    Where an answer of one list of names has what it tells.

    Args:
        dimensions: name, the places of limit, remaining and reset, and the window where the table or the name says it.
        unknown: the places of headers that speak of a limit and that nobody knows, and their names.
        processing, request_id, organization, project, version: a place each, or -1.
    """

    dimensions: tuple[tuple[str, int, int, int, float | None], ...]
    unknown: tuple[tuple[int, str], ...] = ()
    processing: int = -1
    request_id: int = -1
    organization: int = -1
    project: int = -1
    version: int = -1


def columns(headers: Any) -> Columns | None:
    """The names and the values of headers, a mapping or a list of pairs, text or bytes; None for anything else."""
    if hasattr(headers, "values"):
        names, values = tuple(headers), [*headers.values()]
        # Some multi-dicts tell a repeated name once, and all of its values.
        return (names, values) if len(names) == len(values) else columns([*headers.items()])
    try:
        names, found = zip(*headers, strict=True)
        if names[0].__class__ is bytes:
            # One value each, none with a line break of its own; names are bytes in the vocabulary, too.
            found = tuple(b"\n".join(found).decode("latin-1").split("\n"))
    except (TypeError, ValueError):
        return None
    return (names, [*found]) if len(found) == len(names) else None


def read_ordinary(table: Dialect, status: int, headers: Any) -> Signals | None:
    """What a success says; None when it is out of the ordinary."""
    found = columns(headers)
    return None if found is None else read_columns(table, status, *found)


def read_columns(table: Dialect, status: int, names: Names, values: list[Any]) -> Signals | None:
    """What a success says by the names and the values of its headers; None when it is out of the ordinary."""
    try:
        shape = table.shapes[names]
    except KeyError:
        shape = _learn(table, names)
    except TypeError:  # a name that is a list, say
        return None
    if shape is None:
        return None

    values.append(None)  # is the value of what is not there: a place of -1 finds it
    readings: dict[str, Reading] = {}
    for dimension, limit, remaining, reset, window_s in shape.dimensions:
        reading = ordinary_reading(table, window_s, values[limit], values[remaining], values[reset])
        if reading is None:
            return None
        readings[dimension] = reading

    processing_ms = values[shape.processing]
    texts = values[shape.request_id], values[shape.organization], values[shape.project], values[shape.version]
    for text in texts:
        if text is not None and (text.__class__ is not str or not text or text != text.strip()):
            return None
    if processing_ms is not None:
        if not processing_ms:
            return None
        processing_ms = amount(processing_ms)[0]
    request_id, organization, project, version = texts
    unread = _unread(shape.unknown, values) if shape.unknown else ()
    return Signals(
        status=status,
        readings=readings,
        processing_s=None if processing_ms is None else processing_ms / 1e3,
        request_id=request_id,
        organization=organization,
        project=project,
        version=version,
        unread=unread,
    )


def _unread(unknown: tuple[tuple[int, str], ...], values: list[Any]) -> tuple[str, ...]:
    return kinds_of_names(name for place, name in unknown if values[place] or values[place] == 0)


def _learn(table: Dialect, names: Names) -> Shape | None:
    """The shape of answers with these names, remembered while there is room."""
    if len(names) > _MOST_HEADERS or len(table.shapes) >= MOST_SHAPES:
        return None
    shape = table.shapes[names] = _shape_of(table, names)
    return shape


def _shape_of(table: Dialect, names: Names) -> Shape | None:
    rows: dict[str, list[int]] = {}
    unknown: list[tuple[int, str]] = []
    places = dict.fromkeys(_TEXTS, -1)
    ranks = dict.fromkeys(_TEXTS, 0)
    for place, name in enumerate(names):
        slot = table.vocabulary[name]
        if slot is None:
            continue
        if slot.field in _SILENT:
            if slot.field is Field.UNKNOWN:
                unknown.append((place, slot.dimension))
            continue
        if (level := _LEVELS.get(slot.field)) is not None:
            row = rows.setdefault(slot.dimension, [-1, -1, -1])
            if row[level] >= 0:
                return None
            row[level] = place
        elif slot.field not in places or (places[slot.field] >= 0 and slot.rank == ranks[slot.field]):
            return None
        elif places[slot.field] < 0 or slot.rank < ranks[slot.field]:
            places[slot.field], ranks[slot.field] = place, slot.rank
    if len(rows) > MOST_DIMENSIONS or any(-1 in row for row in rows.values()):
        return None
    dimensions = tuple((name, *row, table.window_s(name)) for name, row in rows.items())
    return Shape(dimensions, tuple(unknown), *(places[field] for field in _TEXTS))  # type: ignore[arg-type]  # a row is three
