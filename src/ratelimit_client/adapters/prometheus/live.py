"""
What a live page is told, each second, and whoever listens.

Law of this file: listeners have a bound, the newest stay, and none is waited for: who is slow
misses what came in between. While nobody listens no state is made, and the second that is
sampled for the plots costs a look at two counts of each key.

Theory. An event is the whole state with the newest seconds of the history, so one that is missed
or told twice does no harm; the first that a listener gets has all of the history. All listeners
are sent the same bytes. Each is a task of its own that waits for the next event and writes it,
so a socket that takes nothing holds that task, and its server cuts it off.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from ...runtime.logs import fields
from .collector import Collector
from .history import POINTS, History
from .share import Share
from .state import as_json, state_of

MOST_LISTENERS = 16
"""Fewer than a page keeps connections, so that there is always one for a scrape."""

_EACH_S = 1.0
_NEWEST = 15  # seconds of history in an event: more than a listener may hang behind before it is cut off
_LEAST_SHARE = 100
_LONGEST_S = 10.0  # a process that was stopped while it looked did not look for so long
_AT_REST_S = 600.0
_log = logging.getLogger("ratelimit_client")
_RETRY = b"retry: 2000\n\n"
_DISPLACED = b"event: displaced\ndata: {}\n\n"
_END = b"event: end\ndata: {}\n\n"


class Listener:
    """Events for one who listens, as an asynchronous iterator that keeps the newest only."""

    def __init__(self, first: bytes) -> None:
        self._next: bytes | None = first
        self._ended = False
        self._woken = asyncio.Event()

    def offer(self, event: bytes) -> None:
        """This instead of what was not taken yet."""
        self._next = event
        self._woken.set()

    def end(self, event: bytes = b"") -> None:
        """This after what was not taken yet, and nothing more."""
        self._ended = True
        self._next = (self._next or b"") + event or None
        self._woken.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while self._next is None:
            if self._ended:
                raise StopAsyncIteration
            self._woken.clear()
            await self._woken.wait()
        event, self._next = self._next, None
        return event


class Live:
    """
    Args:
        collector: what is shown at present, if anything is.
        rests: sample from the first look on, and until nobody has looked for ten minutes; for servers that do not
            say when they begin and end.
        wall_s: tells the date.
        now_s: measures what looking costs.
    """

    def __init__(
        self,
        collector: Callable[[], Collector | None],
        *,
        rests: bool = False,
        wall_s: Callable[[], float] = time.time,
        now_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._collector = collector
        self._nothing = Collector(None)
        self._rests = rests
        self._wall_s = wall_s
        self._history = History()
        self._now_s = now_s
        self._share = Share(now_s)
        self._state: bytes | None = None
        self._complained = False
        self._listeners: list[Listener] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rests_at_s = 0.0

    @property
    def listeners(self) -> int:
        """How many there are."""
        return len(self._listeners)

    def open(self) -> None:
        """Sample each second, on the loop that runs; a second time changes nothing."""
        loop = asyncio.get_running_loop()
        self._rests_at_s = loop.time() + _AT_REST_S
        if self._timer is None or loop is not self._loop:
            self._stop()
            self._loop = loop
            self._tick(loop)

    def close(self) -> None:
        """Tell whoever listens how it ended, and that it did."""
        self._stop()
        if self._listeners:
            last = _event(self._make(_NEWEST))
            for listener in self._listeners:
                listener.offer(last)
                listener.end(_END)
            self._listeners.clear()

    def state(self) -> bytes:
        """All that is known, with all of the history, as JSON; made anew as often as there is time for it."""
        if self._rests:
            self.open()
        if self._state is None or not self._share.is_spent:
            self._state = self._make(POINTS)
        return self._state

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """One more who listens, until the block is left; where there are too many, the oldest is told to go."""
        listener = Listener(_RETRY + _event(self.state()))
        if self._timer is None:  # the last moment of a page that was closed
            listener.end(_END)
        else:
            self._listeners.append(listener)
        if len(self._listeners) > MOST_LISTENERS:
            self._listeners.pop(0).end(_DISPLACED)
        try:
            yield listener
        finally:
            self._rests_at_s = asyncio.get_running_loop().time() + _AT_REST_S
            if listener in self._listeners:
                self._listeners.remove(listener)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._rests and not self._listeners and loop.time() > self._rests_at_s:
            self._stop()
            return
        began_s = self._now_s()
        collector = self._collector() or self._nothing
        self._history.sample(collector.limiters, collector.models, now_s=self._wall_s())
        wait_s = min(max(_EACH_S, _LEAST_SHARE * (self._now_s() - began_s)), _LONGEST_S)
        self._timer = loop.call_later(wait_s, self._tick, loop)
        if self._listeners and not self._share.is_spent:
            event = _event(self._make(_NEWEST))
            for listener in self._listeners:
                listener.offer(event)

    def _make(self, points: int) -> bytes:
        with self._share.spending():
            try:
                collector = self._collector() or self._nothing
                return as_json(state_of(collector, self._history, now_s=self._wall_s(), points=points))
            except Exception:  # noqa: BLE001 - what a program tells of its jobs is of any form; the page is no reason to fail
                if not self._complained:
                    self._complained = True
                    said = "the live page cannot be told what is done; not reported again"
                    _log.warning(said, exc_info=True, extra=fields("live_page_failed"))
                return as_json(state_of(self._nothing, self._history, now_s=self._wall_s(), points=points))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._history = History()


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
