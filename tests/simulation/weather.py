"""
What becomes of each connection of a day.

Law of this file: a kind of trouble is a row of a table, a function from dice to a `Route`.
After the weather has healed connections are sound, but those made before stay as they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

from ratelimit_client.testing import Connect, Route, VirtualLoop, Wire

from .world import Weather

Trouble = Callable[[random.Random, Wire], Route]


def _down(wire: Wire, **trouble: object) -> Route:
    return Route(up=wire, down=attrs.evolve(wire, **trouble))


def _up(wire: Wire, **trouble: object) -> Route:
    return Route(up=attrs.evolve(wire, **trouble), down=wire)


KINDS: dict[str, Trouble] = {
    "refuses": lambda dice, wire: Route(connect=Connect.REFUSE, up=wire, down=wire),
    "swallows": lambda dice, wire: Route(connect=Connect.BLACK_HOLE, up=wire, down=wire),
    "far": lambda dice, wire: Route.slow(dice.choice((0.3, 1.0, 4.0))),
    "thin": lambda dice, wire: _down(wire, bytes_per_s=dice.choice((50, 300, 2000))),
    "thin upwards": lambda dice, wire: _up(wire, bytes_per_s=dice.choice((100, 1000))),
    "crumbles": lambda dice, wire: _down(wire, max_chunk=dice.choice((1, 7, 50))),
    "crumbles upwards": lambda dice, wire: _up(wire, max_chunk=dice.choice((1, 7, 50))),
    "resets": lambda dice, wire: _down(wire, reset_after=dice.choice((0, 1, 20, 200, 700, 900, 1500, 4000))),
    "resets upwards": lambda dice, wire: _up(wire, reset_after=dice.choice((0, 1, 100, 300, 600, 1500))),
    "ends": lambda dice, wire: _down(wire, fin_after=dice.choice((1, 20, 200, 700, 900, 1500, 4000))),
    "ends upwards": lambda dice, wire: _up(wire, fin_after=dice.choice((1, 100, 300, 600, 1500))),
    "stalls": lambda dice, wire: _down(wire, stall_after=dice.choice((1, 20, 200, 700, 900, 1500, 4000))),
    "stalls upwards": lambda dice, wire: _up(wire, stall_after=dice.choice((1, 100, 300, 600, 1500))),
}


def blow(loop: VirtualLoop, weather: Weather, seed: int) -> None:
    """Let the connections of *loop* be as *weather* has it."""
    dice = random.Random(f"weather {seed}")
    wire = Wire(latency_s=weather.latency_s, jitter_s=weather.jitter_s)
    sound = Route(up=wire, down=wire)
    names, weights = list(weather.kinds), list(weather.kinds.values())

    def route(host: str, port: int, number: int) -> Route:
        if not names or loop.elapsed_s >= weather.heals_s or dice.random() >= sum(weights):
            return sound
        return KINDS[dice.choices(names, weights)[0]](dice, wire)

    loop.net.route = route
