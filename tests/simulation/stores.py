"""
Days of several workers on one budget, and the store between them at its worst.

Law of this file: facts from a number, and a store that does what they say. It is the model of the
script of a real one; what is lost on the way to it, and back, is drawn by dice of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import attrs

from ratelimit_client import per_minute
from ratelimit_client.core.lease import Call, Lease
from ratelimit_client.core.pool import Store
from ratelimit_client.testing import RefusalText, exactly, sliced

from .drawing import _party, _policy, draw_weather
from .world import Gate, Happening, Party, Shared, Site, World

_FOR_EVER_S = 3600.0
_BEGAN_US = 10**15


class TroubledStore:
    """
    A store as several limiters reach it.

    Args:
        shared: what it is like.
        seed: of its dice.
    """

    workers = 3

    def __init__(self, shared: Shared, seed: int) -> None:
        self.on_store_failure = "share" if shared.goes_on else "stop"
        self.shared = shared
        self.kept = Store()
        self.gone = False
        self.skew_us = 0
        self.ahead_s = 0.0
        """By how much its clock was set forward, all in all: so much flows in twice."""
        self.losses = 0
        """How often it has lost its memory."""
        self.troubled_s = -_FOR_EVER_S
        """When something was lost last."""
        self.calls = 0
        self._dice = random.Random(f"store {seed}")

    async def renew(self, call: Call) -> Sequence[Lease]:
        """A trip, of which something may come."""
        loop, dice = asyncio.get_running_loop(), self._dice
        lost, late, twice = (dice.random() < self.shared.loses for _ in range(3))
        self.calls += 1
        await asyncio.sleep(self.shared.latency_s * dice.random())
        if self.gone or lost:
            await self._nothing(loop)
        leases = self._renew(call, loop)
        if twice:
            leases = self._renew(call, loop)
        await asyncio.sleep(self.shared.latency_s * dice.random())
        if self.gone or late:
            await self._nothing(loop)
        return leases

    def _renew(self, call: Call, loop: Any) -> Sequence[Lease]:
        return self.kept.renew(call, now_us=_BEGAN_US + round(loop.time() * 1e6) + self.skew_us)

    async def _nothing(self, loop: Any) -> None:
        self.troubled_s = loop.time()
        await asyncio.sleep(_FOR_EVER_S)

    async def close(self) -> None:
        """There is no connection."""

    def happens(self, what: str, value: Any, now_s: float) -> None:
        """Something befalls it."""
        match what:
            case "store gone":
                self.gone = True
            case "store back":
                self.gone = False
            case "store forgets":
                self.kept, self.losses = Store(), self.losses + 1
            case _:
                self.skew_us += round(value * 1e6)
                self.ahead_s += max(0.0, value)
        self.troubled_s = now_s

    def __repr__(self) -> str:
        return "<TroubledStore>"


def draw_shared(seed: int) -> World:
    """
    The day of a seed on which two to four limiters share a store.

    Whoever waits for a lease looks for it ten times a second, so these days are short: each call has a deadline.
    """
    dice = random.Random(f"shared {seed}")
    ends_s = dice.choice((5.0, 10.0, 30.0))
    site = _plain_site(dice, seed)
    options = {"dialect": dice.choice(("auto", "openai"))}
    limits = site.limits if dice.random() < 0.6 else ()
    gates = tuple(
        _worker(random.Random(f"worker {number} {seed}"), options, limits) for number in range(dice.randint(2, 4))
    )
    parties = tuple(
        _in_time(
            _party(
                random.Random(f"shared party {number} {seed}"), number, number % len(gates), gates, (site,), ends_s, 20
            ),
            dice,
        )
        for number in range(len(gates) + dice.choice((0, 1)))
    )
    shared = Shared(
        latency_s=dice.choice((0.0, 0.002, 0.05)),
        loses=dice.choice((0.0, 0.0, 0.02, 0.2)),
        goes_on=dice.random() < 0.7,
    )
    return World(
        seed=seed,
        sites=(site,),
        gates=gates,
        parties=parties,
        # What a network does to calls is the matter of other days; here it is the store's turn.
        weather=attrs.evolve(draw_weather(random.Random(f"shared air {seed}"), ends_s), kinds={}),
        happenings=_happenings(dice, ends_s, len(gates)),
        ends_s=ends_s,
        lasts_s=ends_s + 1800.0,
        shared=shared,
    )


def _in_time(party: Party, dice: random.Random) -> Party:
    """Nobody waits for longer than half a minute, nor ends by himself what a deadline would end."""
    calls = []
    for call in party.calls:
        deadline_s = min(call.deadline_s or 30.0, dice.choice((3.0, 10.0, 30.0)))
        calls.append(attrs.evolve(call, deadline_s=deadline_s, quirk=call.quirk.replace("finishes", "")))
    return attrs.evolve(party, calls=tuple(calls))


def _plain_site(dice: random.Random, seed: int) -> Site:
    """An honest server."""
    limits = per_minute(requests=dice.choice((12, 12, 60, 300, 3000)))
    if dice.random() < 0.5:
        limits += per_minute(tokens=dice.choice((5_000, 60_000)))
    options: dict[str, Any] = {"latency": dice.choice((0.0, 0.15, 2.0)), "charge": exactly, "seed": seed}
    options["refusal_text"] = RefusalText.FULL
    if dice.random() < 0.2 and len(limits) == 1:
        options["enforcement"] = sliced(10)
    return Site(name="api0.test", limits=limits, options=options)


def _worker(dice: random.Random, options: dict[str, Any], limits: Any) -> Gate:
    more: dict[str, Any] = {"quotas": limits} if limits else {}
    if dice.random() < 0.3:
        more["max_in_flight"] = dice.choice((1, 4, 20))
    return Gate(site=0, options={**options, **more}, client=dice.random() < 0.5, policy=_policy(dice))


def _happenings(dice: random.Random, ends_s: float, gates: int) -> tuple[Happening, ...]:
    found: list[Happening] = []

    def at() -> float:
        return round(dice.uniform(0.0, ends_s), 3)

    for _ in range(dice.choice((0, 1, 1, 2, 4))):
        kind = dice.choice(("gone", "gone", "forgets", "skew", "stall", "close", "wall"))
        if kind == "gone":
            from_s = at()
            until_s = min(ends_s, from_s + dice.choice((0.2, 2.0, 20.0)))
            found += [Happening(at_s=from_s, what="store gone"), Happening(at_s=until_s, what="store back")]
        elif kind == "forgets":
            found.append(Happening(at_s=at(), what="store forgets"))
        elif kind == "skew":
            found.append(Happening(at_s=at(), what="store skew", value=dice.choice((-600.0, -2.0, 5.0))))
        elif kind == "stall":
            found.append(Happening(at_s=at(), what=kind, value=dice.choice((0.3, 5.0))))
        elif kind == "wall":
            found.append(Happening(at_s=at(), what=kind, value=dice.choice((-3600.0, 86_400.0))))
        else:
            found.append(Happening(at_s=at(), what=kind, of=dice.randrange(gates)))
    return tuple(sorted(found, key=lambda each: each.at_s))
