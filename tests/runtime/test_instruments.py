"""Whoever watches cannot break a call."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import weakref
from collections.abc import Callable, Mapping

import pytest

from ratelimit_client import Limiter, per_hour
from ratelimit_client.core.events import Event, Kind
from ratelimit_client.runtime.instruments import CallbackInstrument, FanOut, Instrument, as_instrument
from tests.runtime.torture import at_rest, virtual


class Watcher:
    """An instrument that listens to some kinds and keeps everything."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds = kinds
        self.events: list[Kind] = []
        self.gauges: dict[str, Callable[[], float]] = {}

    def on_event(self, event: Event) -> None:
        self.events.append(event.kind)

    def gauge(self, name: str, labels: Mapping[str, str], read: Callable[[], float]) -> None:
        self.gauges[name] = read


async def one_call(limiter: Limiter) -> None:
    async with limiter.permit():
        pass
    await asyncio.sleep(0)


def test_each_instrument_hears_what_it_asked_for() -> None:
    """Two with different kinds, one added later; what nobody wants is not made at all."""

    async def main() -> None:
        grants, releases = Watcher(Kind.GRANTED), Watcher(Kind.RELEASED)
        limiter = Limiter(per_hour(requests=60), on_event=grants)
        await one_call(limiter)
        limiter.add_instrument(releases)
        await one_call(limiter)
        assert grants.events == [Kind.GRANTED, Kind.GRANTED]
        assert releases.events == [Kind.RELEASED]
        assert limiter._instruments.wanted() == {Kind.GRANTED, Kind.RELEASED}

    virtual(main)


WHOSE: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="nobody's")


def test_an_event_brings_the_context_of_its_caller_where_one_asks_for_it() -> None:
    """Of calls that go at once, that wait for others and that are sent again; without a wish there is none."""

    class Contexts(Watcher):
        wants_context = True
        seen: list[tuple[str, str | None]]

        def on_event(self, event: Event) -> None:
            whose = event.context.run(WHOSE.get) if isinstance(event.context, contextvars.Context) else None
            self.seen.append((event.kind.value, whose))

    watcher, deaf = Contexts(Kind.QUEUED, Kind.GRANTED, Kind.RETRYING), Contexts(Kind.GRANTED)
    watcher.seen, deaf.seen, deaf.wants_context = [], [], False

    async def call(limiter: Limiter, whose: str) -> None:
        WHOSE.set(whose)
        async for attempt in limiter.attempts():
            async with attempt:
                await asyncio.sleep(1)
                attempt.observe(429 if attempt.number == 1 and whose == "b" else 200, {})

    async def main() -> None:
        limiter = Limiter(max_in_flight=1, on_event=deaf)
        await one_call(limiter)
        limiter.add_instrument(watcher)
        await asyncio.gather(call(limiter, "a"), call(limiter, "b"))

    virtual(main)
    assert deaf.seen[0] == ("granted", None)
    assert [(kind, whose) for kind, whose in watcher.seen if kind != "granted"] == [("queued", "b"), ("retrying", "b")]
    assert watcher.seen[0] == ("granted", "a")


def test_gauges_reach_instruments_of_any_age() -> None:
    """Read when asked, they show the present."""

    async def main() -> None:
        early, late = Watcher(), Watcher()
        limiter = Limiter(on_event=early)
        limiter.add_instrument(late)
        async with limiter.permit():
            for watcher in (early, late):
                assert watcher.gauges["in_flight"]() == 1
                assert watcher.gauges["queue_depth"]() == 0
        assert early.gauges["in_flight"]() == 0
        assert not limiter._instruments.listening, "an instrument of no kinds costs nothing on the hot path"

    virtual(main)


def test_a_gauge_keeps_no_limiter_alive() -> None:
    """An instrument outlives what it watched; its gauges then show nothing."""
    watcher = Watcher()
    limiter = weakref.ref(Limiter(on_event=watcher))
    gc.collect()

    assert limiter() is None
    assert {name: read() for name, read in watcher.gauges.items()} == {"queue_depth": 0, "in_flight": 0}


class Broken(Watcher):
    error: BaseException = RuntimeError("hook")

    def on_event(self, event: Event) -> None:
        raise self.error

    def gauge(self, name: str, labels: Mapping[str, str], read: Callable[[], float]) -> None:
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("hook"), asyncio.CancelledError()])
def test_what_a_hook_raises_goes_no_further(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """Logged once; the calls end well, the other instruments hear everything."""

    async def main() -> None:
        broken, fine = Broken(*Kind), Watcher(*Kind)
        broken.error = error
        limiter = Limiter(per_hour(requests=60), on_event=broken)
        limiter.add_instrument(fine)
        for _ in range(3):
            await one_call(limiter)
        assert fine.events == [Kind.GRANTED, Kind.RELEASED] * 3
        at_rest(limiter)

    with caplog.at_level(logging.WARNING, logger="ratelimit_client"):
        virtual(main)
    assert len(caplog.records) == 1
    assert "Broken" in caplog.text


def test_what_happened_last_is_told_before_the_end() -> None:
    """drain() and close() deliver what is still to be told."""

    async def main() -> None:
        drained, closed = Watcher(*Kind), Watcher(*Kind)
        async with Limiter(on_event=drained) as limiter, limiter.permit():
            pass
        assert drained.events == [Kind.GRANTED, Kind.RELEASED]
        limiter = Limiter(on_event=closed)
        async with limiter.permit():
            pass
        limiter.close()
        assert closed.events == [Kind.GRANTED, Kind.RELEASED]

    virtual(main)


def test_a_function_is_an_instrument_too() -> None:
    """Of all kinds; gauges are nothing to it."""
    heard: list[Event] = []
    instrument = as_instrument(heard.append)

    assert isinstance(instrument, CallbackInstrument)
    assert isinstance(instrument, Instrument)
    assert as_instrument(instrument) is instrument
    instrument.gauge("x", {}, lambda: 0.0)
    fan = FanOut()
    fan.add(instrument)
    assert fan.wanted() == frozenset(Kind)
    assert "append" in repr(instrument)
