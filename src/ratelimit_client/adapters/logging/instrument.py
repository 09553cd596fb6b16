"""
The events of a limiter, as records.

    Limiter(..., on_event=LoggingInstrument())

Law of this file: one record tells of an event at the level of what it means to a person, and
what many calls meet together is one record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from ...core.events import Event, Kind
from ...core.scopes import plain
from ...core.units import NS
from ...runtime.logs import LONGEST, ROOT, fields
from .epochs import Epochs
from .table import LEVELS, NAMES

_ORDINARY = logging.DEBUG
_ODD = frozenset(" ='\"\\")


class LoggingInstrument:
    """
    Writes events to a logger.

    Above DEBUG of the calls that met the same thing before anybody could know it (a limit, an error, a connection
    that broke) the first is told, and the next time that it happens the record says how many were not told of.

    Args:
        logger: where to; ``ratelimit_client.events`` by default.
        level: the least level that is written. None: what was set for the logger, or in the
            library's tree above it, before; else INFO. Below INFO every call writes several
            lines, and each costs more than the call's whole place in the queue.
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int | None = None) -> None:
        self._logger = logging.getLogger(f"{ROOT}.events") if logger is None else logger
        level = _set_for(self._logger) if level is None else level
        self.kinds = frozenset(kind for kind in Kind if LEVELS.get(kind, _ORDINARY) >= level)
        self._epochs = None if level <= _ORDINARY else Epochs()
        self._clients: set[str] = set()

    def on_event(self, event: Event) -> None:
        """One record, if anybody reads it and it tells something new."""
        level = LEVELS.get(event.kind, _ORDINARY)
        if not self._logger.isEnabledFor(level):
            return
        untold = 0
        if self._epochs is not None:
            found = self._epochs.told_before(event)
            if found is None:
                return
            untold = found
        shown = self._facts_of(event, untold)
        text = " ".join([event.kind.value, _word(shown["model"]), *_words(shown)])
        self._logger.log(level, "%s", text, extra=shown)

    def _facts_of(self, event: Event, untold: int) -> Mapping[str, object]:
        facts: dict[str, object] = {"model": plain(event.key)}
        if len(self._clients) == 1:
            (facts["client"],) = self._clients
        for name, value in event.facts.items():
            if name == "sent_ns":
                continue
            if name.endswith("_ns") and isinstance(value, int):
                name, value = f"{name[:-3]}_s", round(value / NS, 6)
            facts[NAMES.get(name, name)] = value
        if untold:
            facts["untold"] = untold
        if event.call is not None and self._epochs is None:
            facts["call"] = event.call
        return fields(event.kind.value, **facts)

    def gauge(self, name: str, labels: Mapping[str, str], read: Callable[[], float]) -> None:
        """A log has no use for a number that is read later; whose it is says which client the events are of."""
        self._clients.add(labels.get("client", ""))


def _set_for(logger: logging.Logger) -> int:
    """What somebody has set for it by name; that everything else is written at DEBUG is no word about this."""
    each: logging.Logger | None = logger
    while each is not None and f"{each.name}.".startswith(f"{ROOT}."):
        if each.level:
            return each.level
        each = each.parent
    return logging.INFO


def _words(shown: Mapping[str, object]) -> list[str]:
    return [f"{name}={_word(value)}" for name, value in shown.items() if name not in ("event", "model", "client")]


def _word(value: object) -> str:
    """As a person would write it if it were harmless; in quotes where one could take it for something else."""
    text = str(value)
    if text and text.isascii() and not _ODD & set(text) and len(text) <= LONGEST:
        return text
    return "'" + text.replace("'", "\\'") + "'"
