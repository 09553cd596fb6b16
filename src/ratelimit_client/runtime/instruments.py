"""
Whoever watches: events as they happen, and numbers to read when asked.

Law of this file: an instrument can never break a request. It is told after the
fact, outside the call, once a round of the loop; what it raises is logged once and
goes no further. An event is made only when some instrument wants its kind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextvars import copy_context
from typing import Protocol, runtime_checkable

from ..core.events import Event, Kind
from ..core.scheduler import Scheduler
from .logs import fields

_logger = logging.getLogger("ratelimit_client")

Read = Callable[[], float]


@runtime_checkable
class Instrument(Protocol):
    """
    Something that measures.

    One that has an attribute ``kinds`` (a collection of ``Kind``) is told of those
    only; without it, of everything. One whose attribute ``wants_context`` is true finds in
    ``event.context`` the ``contextvars.Context`` in which it happened: of a call that was
    queued, or went at once, or is to be sent again, that is its caller's.
    """

    def on_event(self, event: Event) -> None:
        """Take note of *event*; to return soon, because the loop waits for it."""
        ...

    def gauge(self, name: str, labels: Mapping[str, str], read: Read) -> None:
        """Remember that *read()* gives the present value of *name* with *labels*."""
        ...


class CallbackInstrument:
    """A plain function as an instrument; gauges are nothing to it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[Event], object]) -> None:
        self._function = function

    def on_event(self, event: Event) -> None:
        """Hand it on."""
        self._function(event)

    def gauge(self, name: str, labels: Mapping[str, str], read: Read) -> None:
        """A function of events has no use for a gauge."""

    def __repr__(self) -> str:
        return f"<CallbackInstrument {self._function!r}>"


def as_instrument(value: Instrument | Callable[[Event], object]) -> Instrument:
    """What a caller gave for ``on_event=``: an instrument, or a function of one event."""
    return value if isinstance(value, Instrument) else CallbackInstrument(value)


class FanOut:
    """The instruments of one limiter, and the wall between them and its calls."""

    __slots__ = ("_complained", "_gauges", "_instruments", "_with_context", "listening")

    def __init__(self) -> None:
        self.listening = False
        """Does anybody want events? Looked at on the hot path."""
        self._instruments: list[tuple[Instrument, frozenset[Kind]]] = []
        self._gauges: list[tuple[str, Mapping[str, str], Read]] = []
        self._complained: set[int] = set()
        self._with_context = False

    def add(self, instrument: Instrument) -> None:
        """From now on *instrument* is told, and given the gauges there are."""
        wanted: Collection[Kind] | None = getattr(instrument, "kinds", None)
        kinds = frozenset(Kind if wanted is None else wanted)
        self._instruments.append((instrument, kinds))
        self.listening = any(kinds for _, kinds in self._instruments)
        self._with_context = self._with_context or bool(getattr(instrument, "wants_context", False))
        for name, labels, read in self._gauges:
            self._tell(instrument, instrument.gauge, name, labels, read)

    def gauge(self, name: str, labels: Mapping[str, str], read: Read) -> None:
        """Give every instrument, present and future, a number to read."""
        self._gauges.append((name, labels, read))
        for instrument, _ in self._instruments:
            self._tell(instrument, instrument.gauge, name, labels, read)

    def wanted(self) -> frozenset[Kind]:
        """The kinds that somebody listens to."""
        return frozenset().union(*(kinds for _, kinds in self._instruments))

    def listen_to(self, scheduler: Scheduler) -> None:
        """Have events made of the kinds that somebody listens to, and no others."""
        scheduler.subscribe(self.wanted())
        scheduler.witness = copy_context if self._with_context else None

    def deliver(self, scheduler: Scheduler) -> None:
        """Tell everybody what has happened since the last time."""
        while (event := scheduler.next_event()) is not None:
            for instrument, kinds in self._instruments:
                if event.kind in kinds:
                    self._tell(instrument, instrument.on_event, event)

    def _tell(self, instrument: Instrument, method: Callable[..., object], *facts: object) -> None:
        try:
            method(*facts)
        except (Exception, asyncio.CancelledError):  # whatever a hook raises, the call it was told of is not to suffer
            if id(instrument) not in self._complained:
                self._complained.add(id(instrument))
                extra = fields("hook_failed", instrument=repr(instrument))
                _logger.warning("%r failed; its errors are not reported again", instrument, exc_info=True, extra=extra)
