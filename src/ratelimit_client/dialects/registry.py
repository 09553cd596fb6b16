"""
Which dialect an answer is in.

Law of this file: a name the user gave is obeyed; ``auto`` asks the host first and the
headers second, and takes ``generic`` when neither says anything. A name that is promised
and has no table of its own yet is read by the generic table under its name, so that
programs that name it keep working when its table comes.

Theory: a host is certain where it is known. A gateway passes the vendor's headers on
under a host of its own, and then its answers are the vendor's in everything that
matters here. Headers that only one vendor sends give it away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import attrs

from ..core.signals import Signals
from .dialect import Dialect, Vocabulary
from .engine import conclude
from .generic import GENERIC
from .headers import Collected
from .ietf import IETF
from .openai import OPENAI
from .ordinary import MOST_SHAPES, read_ordinary

_PROMISED = (
    "azure",
    "anthropic",
    "groq",
    "mistral",
    "gemini",
    "openrouter",
    "github",
    "gitlab",
    "discord",
    "huggingface",
    "docker",
    "cohere",
    "together",
    "replicate",
    "cerebras",
    "fireworks",
    "xai",
)

TABLES: tuple[Dialect, ...] = (
    OPENAI,
    IETF,
    *(attrs.evolve(GENERIC, name=name) for name in _PROMISED),
    GENERIC,
)
"""Every table; of two whose markers an answer carries, the earlier one is taken."""

AUTO = "auto"

_BY_NAME: Mapping[str, Dialect] = {table.name: table for table in TABLES}
_LISTENING = Vocabulary(GENERIC, TABLES)
_SENDERS: dict[tuple[Any, ...], Dialect] = {}
"""By the names of its headers, whose an answer is; as many as there may be shapes."""

Headers = Mapping[Any, Any] | Iterable[tuple[Any, Any]]


def names() -> tuple[str, ...]:
    """Everything that ``dialect=`` may be, ``auto`` first."""
    return AUTO, *_BY_NAME


def lookup(name: str) -> Dialect:
    """
    The table of a name.

    Raises:
        LookupError: there is none; ``auto`` is none either, for it is found out per answer.
    """
    table = _BY_NAME.get(name)
    if table is None:
        message = f"no dialect is called {name!r}; there are {', '.join(names())}"
        raise LookupError(message)
    return table


def detect(dialect: str | Dialect = AUTO, *, url: str | None = None, headers: Headers = ()) -> Dialect:
    """
    The table by which an answer would be read.

    Raises:
        LookupError: *dialect* is the name of none.
    """
    table = _told(dialect, url)
    if table is not None:
        return table
    # Markers are names, so the same names have the same sender.
    values = getattr(headers, "values", None)
    if values is None:
        return overhear(headers, TABLES, _LISTENING)[0]
    names = tuple(headers)
    try:
        return _SENDERS[names]
    except (KeyError, TypeError):  # not seen yet, or something among them is no name
        table = overhear(headers, TABLES, _LISTENING)[0]
    if len(_SENDERS) < MOST_SHAPES and all(values()):
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
    if table is not None and body is None and (status or 0) < 300 and hasattr(headers, "values"):
        signals = read_ordinary(table, status or 0, headers)
        if signals is not None:
            return signals
    table, collected = _collected(table or dialect, url, headers)
    return conclude(table, status or 0, collected, body, now_wall_s if now_wall_s is not None else sent_wall_s)


def _collected(dialect: str | Dialect, url: str | None, headers: Headers) -> tuple[Dialect, Collected]:
    table = _told(dialect, url)
    if table is not None:
        collected = Collected(table.vocabulary)
        collected.take(headers)
        return table, collected

    return overhear(headers, TABLES, _LISTENING)


def overhear(headers: Headers, tables: tuple[Dialect, ...], listening: Vocabulary) -> tuple[Dialect, Collected]:
    """
    The table that the headers alone give away, and what they tell.

    Args:
        headers: of one answer.
        tables: those that may be given away, in order of precedence.
        listening: a vocabulary that knows the markers of all of them.
    """
    pairs = headers if hasattr(headers, "items") else list(headers)
    collected = Collected(listening)
    collected.take(pairs)
    table = next((table for table in tables if table in collected.marks), GENERIC) if collected.marks else GENERIC
    if table.names:  # it has names that no other table knows
        collected = Collected(table.vocabulary)
        collected.take(pairs)
    return table, collected


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
    return next((table for table in TABLES if table.speaks_at(host)), None)
