"""
Which dialect an answer is in.

Law of this file: a name the user gave is obeyed; ``auto`` asks the host first and the
headers second, of an error also what it says, and takes ``generic`` when none says
anything.

Theory: a host is certain where it is known. A gateway passes the vendor's headers on
under a host of its own, and then its answers are the vendor's in everything that
matters here. Headers that only one vendor sends give it away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from ..core.signals import Signals
from .bodies import ErrorBody, read_body
from .dialect import PREFIXES, Dialect, Vocabulary, speaks_at
from .engine import conclude
from .generic import GENERIC
from .headers import Collected
from .ietf import IETF
from .openai import OPENAI
from .ordinary import MOST_SHAPES, Columns, columns, read_columns
from .signs import ALL, BY_NAME, MARKS

AUTO = "auto"

_LOADED: dict[str, Dialect] = {table.name: table for table in (OPENAI, IETF, GENERIC)}
_LISTENING = Vocabulary(GENERIC, MARKS)
_SENDERS: dict[tuple[Any, ...], Dialect] = {}
"""By the names of its headers, whose an answer is; as many as there may be shapes."""

Headers = Mapping[Any, Any] | Iterable[tuple[Any, Any]]


def names() -> tuple[str, ...]:
    """Everything that ``dialect=`` may be, ``auto`` first."""
    return AUTO, *BY_NAME


def lookup(name: str) -> Dialect:
    """
    The table of a name.

    Raises:
        LookupError: there is none; ``auto`` is none either, for it is found out per answer.
    """
    table = _LOADED.get(name)
    if table is not None:
        return table
    signs = BY_NAME.get(name)
    if signs is None:
        message = f"no dialect is called {name!r}; there are {', '.join(names())}"
        raise LookupError(message)
    module = import_module(f".{signs.module}", __package__)
    loaded: Dialect = getattr(module, name.upper())
    return _LOADED.setdefault(name, loaded)


def detect(dialect: str | Dialect = AUTO, *, url: str | None = None, headers: Headers = ()) -> Dialect:
    """
    The table by which an answer would be read.

    Raises:
        LookupError: *dialect* is the name of none.
    """
    table = _told(dialect, url)
    if table is not None:
        return table
    if not hasattr(headers, "values"):
        headers = [*headers]
    found = columns(headers)
    return overhear(headers)[0] if found is None else _sender_of(found, headers)


def _sender_of(found: Columns, headers: Headers) -> Dialect:
    """Whose an answer is: markers are names, so the same names have the same sender."""
    names, values = found
    try:
        return _SENDERS[names]
    except KeyError:
        table = overhear(headers)[0]
    except TypeError:  # something among them is no name
        return overhear(headers)[0]
    if len(_SENDERS) < MOST_SHAPES and all(values):
        _SENDERS[names] = table
    return table


def read(
    status: int,
    headers: Headers,
    body: Any = None,
    *,
    dialect: str | Dialect = AUTO,
    url: str | None = None,
    now_wall_s: float | None = None,
    sent_wall_s: float | None = None,
) -> Signals:
    """
    What an answer says about limits, waiting and retrying.

    Nothing that a server sent makes it raise: a field that cannot be understood is
    left out.

    Args:
        status: the HTTP status; 0 for an event or a batch line that has none.
        headers: any mapping, multi-dicts included, or pairs; text or bytes.
        body: bytes, text, parsed JSON or None. Of a success it need not be given.
        dialect: a name of `names`, or a table of your own.
        url: where the request went; tells the vendor when *dialect* is ``auto``.
        now_wall_s, sent_wall_s: seconds since 1970 when the answer came and when the
            request left. They stand in for the answer's ``Date``; without any of the
            three, an instant is not read.

    Raises:
        LookupError: *dialect* is the name of none.

    Example:
        >>> signals = read(200, {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499",
        ...                      "x-ratelimit-reset-requests": "120ms"})
        >>> signals.readings["requests"].window_s
        60.0
    """
    table = _told(dialect, url)
    if body is None and (status or 0) < 300:
        if not hasattr(headers, "values"):
            headers = [*headers]
        found = columns(headers)
        if found is not None:
            table = table or _sender_of(found, headers)
            signals = read_columns(table, status or 0, *found)
            if signals is not None:
                return signals
    wall_s = now_wall_s if now_wall_s is not None else sent_wall_s
    return _read_all(table, status or 0, headers, body, wall_s)


def _read_all(table: Dialect | None, status: int, headers: Headers, body: Any, wall_s: float | None) -> Signals:
    """An answer that is not ordinary, or whose language is not known yet."""
    error = None if body is None else read_body(body, failed=status >= 300)
    if table is None:
        table, collected = overhear(headers)
        if table is GENERIC and error is not None:
            table = _by_the_error(error)
            collected = _retold(table, collected)
    else:
        collected = Collected(table.vocabulary)
        collected.take(headers)
    return conclude(table, status, collected, error, body, wall_s)


def overhear(headers: Headers) -> tuple[Dialect, Collected]:
    """The table that the headers alone give away, and what they tell."""
    collected = Collected(_LISTENING)
    collected.take(headers)
    table = _first_of(collected.marks)
    return table, _retold(table, collected)


def _first_of(marks: list[str]) -> Dialect:
    return lookup(next(signs.name for signs in ALL if signs.name in marks)) if marks else GENERIC


def _retold(table: Dialect, collected: Collected) -> Collected:
    """The same headers in the table's own names, where it has any that nobody else knows."""
    if table is GENERIC or (not table.names and table.prefixes == PREFIXES):
        return collected
    again = Collected(table.vocabulary)
    again.take(collected.pairs)
    return again


def _by_the_error(error: ErrorBody) -> Dialect:
    """Whose error it is: by the headers that came inside it, else by its wording."""
    if error.headers and (table := overhear(error.headers)[0]) is not GENERIC:
        return table
    text = "\n".join((error.text, *error.words))
    return lookup(next((name for name, wording in _wordings() if wording.search(text)), GENERIC.name))


@lru_cache(maxsize=1)
def _wordings() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Compiled when the first error of an unknown sender comes."""
    return tuple((signs.name, re.compile(signs.wording, re.ASCII | re.IGNORECASE)) for signs in ALL if signs.wording)


def _told(dialect: str | Dialect, url: str | None) -> Dialect | None:
    """The table by name or host, or None when only the headers can tell."""
    if isinstance(dialect, Dialect):
        return dialect
    if dialect != AUTO:
        return lookup(dialect)
    return None if url is None else _at_host(str(url))


@lru_cache(maxsize=256)
def _at_host(url: str) -> Dialect | None:
    before, scheme, after = url.partition("://")
    authority = re.split(r"[/?#]", after if scheme else before, maxsplit=1)[0]
    host = authority.rpartition("@")[2].partition(":")[0].lower()
    return next((lookup(signs.name) for signs in ALL if speaks_at(host, signs.hosts)), None)
