"""
What is told of a machine to those who listen.

Law of this file: an event is made when somebody asked for its kind, and for nobody else; it
is kept, in the order in which things happened, until it is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from .counts import Counts
from .events import Event, Kind


class Telling:
    """Something of which events are told."""

    def __init__(self) -> None:
        self.counts: Counts | None = None
        """Where to add what happens, if somebody watches."""
        self.witness: Callable[[], object] | None = None
        """Asked at each event for its context, which is another when the event is taken. It does not raise."""
        self.wanted: frozenset[Kind] = frozenset()
        """The kinds of which somebody asked for events."""
        self._events: deque[Event] = deque()

    def subscribe(self, kinds: Iterable[Kind]) -> None:
        """Make events of these kinds from now on, and of no others."""
        self.wanted = frozenset(kinds)

    def wants(self, kind: Kind) -> bool:
        """Somebody asked for events of this kind."""
        return bool(self.wanted) and kind in self.wanted

    def emit(self, kind: Kind, key: str, now_ns: int, *, call: int | None = None, **facts: object) -> None:
        """Note an event, of one call or of none; the caller has asked ``wants``."""
        context = None if self.witness is None else self.witness()
        self._events.append(Event(kind, now_ns, key, facts, call, context))

    def next_event(self) -> Event | None:
        """The oldest event not yet taken."""
        return self._events.popleft() if self._events else None
