"""
Long walks of the machine beside its clerk.

Hypothesis looks for short stories that go wrong; some only go wrong after a long
one. These have their rules picked by plain dice, so that queues get long, and a
seed is all it takes to walk the same way again.
"""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from ratelimit_client.core.units import NS as S
from tests.core.test_machine import KEYS, TENANTS, Machine
from tests.sizes import SCALE

STEPS = 150


def step(machine: Machine, dice: random.Random, bands: list[int]) -> None:
    """One thing that happens, if it can."""
    pick = dice.randrange(100)
    match dice.choices(
        ["submit", "cancel", "end", "settle", "back", "quota", "ended", "little", "wake", "stall"],
        [40, 10, 18, 4, 6, 1, 1, 6, 13, 1],
    )[0]:
        case "submit":
            machine.submit(
                key=dice.choice(KEYS),
                tenant=dice.choice(TENANTS),
                band=dice.choice(bands),
                cost={"requests": dice.randrange(3), "tokens": dice.choice([0, 0, 1, 3, 10, 20])},
                patience_ns=dice.choice([None, None, dice.randint(1, 30 * S)]),
                waits=dice.random() < 0.8,
            )
        case "cancel" if machine.waiting():
            machine.cancel_one_that_waits(pick=pick)
        case "end" if machine.under_way():
            how = dice.choice(["cancelled", "unsent", "answered", "ended", "ended"])
            machine.end_one_that_goes(pick=pick, how=how)
        case "settle" if machine.under_way():
            machine.settle(pick=pick, unit=dice.choice(["requests", "tokens"]), used=dice.randint(0, 60))
        case "back" if any(call.where == "rests" for call in machine.calls):
            machine.send_back(pick=pick, pause_ns=dice.choice([0, 1, S // 3, 5 * S]))
        case "quota":
            machine.change_a_quota(amount=dice.choice([20, 25, 50]), key=dice.choice(KEYS))
        case "ended":
            machine.end_of_input(tenant=dice.choice(TENANTS))
        case "little":
            machine.wait_a_little(part=Fraction(pick, 100))
        case "wake" if machine.scheduler.next_wakeup() is not None:
            machine.wake()
        case "stall":
            machine.stall(seconds=dice.choice([1, 30, 1000]))
        case _:
            pass


@pytest.mark.parametrize("seed", [*range(40 * SCALE), 3000, 3279, 3885])
def test_a_long_walk_ends_at_rest(seed: int) -> None:
    """Whatever happens on the way, both agree at every step, and in the end everybody was served."""
    dice = random.Random(seed)
    machine = Machine()
    machine.begin(
        requests=dice.choice([2, 5, 60]),
        tokens=dice.choice([20, 33, 100]),
        shared=dice.choice([0, 0, 25, 40]),
        window_ns=dice.choice([S, 7 * S + 13, 60 * S]),
        slots=dice.randint(1, 4),
    )
    bands = dice.choice([[0], [0, 0, -2, 1, 2], [0, 1], [-1, 2]])
    for _ in range(STEPS):
        step(machine, dice, bands)
        machine.the_books_agree()
    machine.teardown()
