"""A ledger of charges in which one answer in 32 lies, and prices that stay where the truth is."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from ratelimit_client.core.estimate import MEMORY, Estimator, Features

Server = Callable[[Features], int]
Lie = Callable[[int], int]

SERVERS: dict[str, Server] = {
    "the text": lambda call: call.chars // 4 + 4 + call.flat,
    "the text and max_output": lambda call: call.chars // 4 + call.max_output + 4 + call.flat,
    "the larger of both": lambda call: max(call.chars // 4, call.max_output, 1) + call.flat,
    "1.4 times the text": lambda call: call.chars * 7 // 20 + 7 + call.flat,
    "pictures at a third": lambda call: call.chars // 4 + 4 + call.flat // 3,
    "a conversation that it keeps": lambda call: call.chars // 4 + 3000 + call.flat,
}
LIES: dict[str, Lie] = {
    "a thousand million": lambda truth: 10**9,
    "nothing": lambda truth: 0,
    "one": lambda truth: 1,
    "forty thousand": lambda truth: 40_000,
    "three times the truth": lambda truth: 3 * truth,
    "a fifth of the truth": lambda truth: truth // 5,
}


def call_of(dice: Random) -> Features:
    """Short and long texts, some with a bound on the output, some with a picture."""
    chars = dice.choice([50, 400, 1000, 4000, 20_000, dice.randint(20, 40_000)])
    return Features(chars, dice.choice([0, 0, 16, 256, 1000, 4096]), flat=dice.choice([0, 0, 0, 765]))


def wrong(estimator: Estimator, server: Server, dice: Random) -> list[tuple[Features, int, int]]:
    """(call, price, truth) of calls whose price is off by more than a tenth, and by more than 4 tokens."""
    calls = [call_of(dice) for _ in range(5)]
    priced = [(call, estimator.price(call), server(call)) for call in calls]
    return [(call, price, truth) for call, price, truth in priced if abs(price - truth) > max(4, truth / 10)]


@pytest.mark.parametrize("lies_stated", [False, True], ids=["read", "stated"])
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_one_lie_in_32_moves_no_price(server: Server, lie: Lie, lies_stated: bool) -> None:
    """Whatever it says and wherever it stands: once learnt, every price stays within a tenth of the truth."""
    for seed in range(4):
        dice, estimator = Random(seed), Estimator()
        liar = dice.randrange(MEMORY)
        for number in range(6 * MEMORY):
            call = call_of(dice)
            lies = number % MEMORY == liar
            charged = lie(server(call)) if lies else server(call)
            estimator.learn(call, 1, charged, stated=lies and lies_stated)
            if number >= 2 * MEMORY:
                assert not wrong(estimator, server, dice), (seed, number)


def test_a_second_piece_that_does_not_fit_is_heeded() -> None:
    """The first of a changed rule may be a slip; with the second the price is on its way."""
    estimator, call = Estimator(), Features(4000)
    for _ in range(MEMORY):
        estimator.learn(call, 1, 1004)
    before = estimator.price(call)
    estimator.learn(call, 1, 4000)
    assert estimator.price(call) == before
    for _ in range(2 * MEMORY):
        estimator.learn(call, 1, 4000)

    assert abs(estimator.price(call) - 4000) < 80


def test_a_stated_number_alone_is_a_witness_and_two_that_agree_are_proof() -> None:
    """Against six readings one of them is outvoted; a second that is as far off for a call of another size is not."""
    short, long = Features(400), Features(4000)

    def taught(*stated: tuple[Features, int]) -> int:
        estimator = Estimator()
        for _ in range(3):
            estimator.learn(short, 1, 104)
            estimator.learn(long, 1, 1004)
        for call, charged in stated:
            for _ in range(2):  # what fits teaches nothing more, it lets the price arrive
                estimator.learn(call, 1, charged, stated=True)
        for _ in range(3):
            estimator.learn(long, 1, 1004)
        return estimator.price(long)

    assert abs(taught((long, 1004)) - 1004) < 30
    assert abs(taught((short, 208), (long, 2008)) - 2008) < 120


@pytest.mark.parametrize("price", [85, 258, 2833, 25_501])
def test_the_price_of_a_picture_is_learnt(price: int) -> None:
    """Whatever it is for others: calls with one, with four and with none are priced right in the end."""
    dice, estimator = Random(7), Estimator()

    def call() -> tuple[Features, int]:
        chars, pictures = dice.randint(100, 4000), dice.choice([0, 1, 1, 4])
        return Features(chars, flat=765 * pictures), chars // 4 + 4 + price * pictures

    for _ in range(60):
        features, charged = call()
        estimator.learn(features, 1, charged)
    assert all(abs(estimator.price(each) / charged - 1) < 0.1 for each, charged in (call() for _ in range(50)))


def test_the_lie_is_seen_though_no_price_heeds_it() -> None:
    """The ratio of what was charged to what was estimated holds it; what no rule could charge is no evidence."""
    estimator, call = Estimator(), Features(4000)
    for _ in range(MEMORY - 1):
        estimator.learn(call, 1, 1004)
    assert not estimator.learn(call, 1, 10**9, stated=True)
    estimator.learn(call, 1, 40_000, stated=True)

    assert estimator.last == (40_000, estimator.price(call))
    assert estimator.ratio is not None
    assert estimator.ratio > 2
