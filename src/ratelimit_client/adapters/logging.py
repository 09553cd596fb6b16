"""
Events in the log of the standard library.

    Limiter(..., on_event=LoggingInstrument())

Law of this file: one line an event, at the level of what it means to a person;
what came from a server is escaped and short, so that no line is more than one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from ..core.events import Event, Kind

_LEVELS: Mapping[Kind, int] = {
    Kind.OUTAGE: logging.WARNING,
    Kind.RECOVERED: logging.WARNING,
    Kind.FAILED: logging.INFO,
    Kind.REFUSED: logging.INFO,
    Kind.EXPIRED: logging.INFO,
    Kind.RETRYING: logging.INFO,
    Kind.LIMIT_CHANGED: logging.INFO,
    Kind.SLICE_LEARNT: logging.INFO,
    Kind.RATE_LEARNT: logging.INFO,
    Kind.SLOWED_DOWN: logging.INFO,
}
_LONGEST = 128


class LoggingInstrument:
    """
    Writes events to a logger.

    Args:
        logger: where to; ``ratelimit_client.events`` by default.
        level: the least level that is written. Below INFO every call writes several
            lines, and each costs more than the call's whole place in the queue.
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int = logging.INFO) -> None:
        self._logger = logging.getLogger("ratelimit_client.events") if logger is None else logger
        self.kinds = frozenset(kind for kind in Kind if _LEVELS.get(kind, logging.DEBUG) >= level)

    def on_event(self, event: Event) -> None:
        """One line, if anybody reads it."""
        level = _LEVELS.get(event.kind, logging.DEBUG)
        if self._logger.isEnabledFor(level):
            facts = [f"{name}={_shown(value)}" for name, value in event.facts.items() if value is not None]
            self._logger.log(level, "%s", " ".join([event.kind.value, _shown(event.key), *facts]))

    def gauge(self, name: str, labels: Mapping[str, str], read: Callable[[], float]) -> None:
        """A log has no use for a number that is read later."""


def _shown(value: object) -> str:
    """As a person would write it if it were harmless; escaped and cut where it may not be."""
    text = str(value)
    plain = text.isascii() and text.isprintable() and " " not in text and len(text) <= _LONGEST
    return text if plain else repr(text[:_LONGEST])
