"""
The script and the model beside each other: the same questions at the same instants, the same answers, the same state.

The script's clock is put into its arguments; that is the only line that differs from what is shipped.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import redis

from ratelimit_client.adapters.redis.store import script
from ratelimit_client.adapters.redis.wire import read, write
from ratelimit_client.core.fitting import Evidence
from ratelimit_client.core.lease import BucketId, Call, Fact, Fill, Renewal, Sight, Wish
from ratelimit_client.core.lore import Lore, mark
from ratelimit_client.core.pool import Pool, Store
from tests.redis_server import RedisServer, running
from tests.sizes import SCALE

MINUTE, DAY, LONGEST = 60_000_000, 86_400_000_000, 1 << 42
IDS = (
    BucketId("requests", "requests", MINUTE),
    BucketId("requests", "requests", MINUTE, True),
    BucketId("requests", "requests", DAY),
    BucketId("tokens", "tokens", MINUTE),
    BucketId("tokens", "project-tokens", LONGEST),
)
STEPS_US = (0, 1, 1_000, 333_333, 1_000_003, 3_000_000, 90_000_000, 700_000_000, -5_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis")) as server:
        yield server


def with_told_clock(text: str) -> str:
    """The script, told the time in its last argument."""
    clock = "tonumber(time[1]) * 1000000 + tonumber(time[2])"
    assert (text.count("redis.call('TIME')"), text.count(clock)) == (1, 1)
    return text.replace("redis.call('TIME')", "ARGV[#ARGV]").replace(clock, "tonumber(time)")


@attrs.define(eq=False)
class Said:
    """What random processes say; much of it is nonsense, and the two have to agree on that, too."""

    dice: random.Random
    most: int
    born: dict[tuple[str, str], tuple[int, int]] = attrs.field(factory=dict)
    spent: dict[tuple[str, str, str], int] = attrs.field(factory=dict)
    held: dict[tuple[str, str, str], int] = attrs.field(factory=dict)
    numbers: dict[str, int] = attrs.field(factory=dict)

    def call(self) -> Call:
        process = self.dice.choice("abcdefghijk")
        number = self.numbers.get(process, 0) + self.dice.choice((1, 1, 1, 1, 1, 1, 0, -1))
        self.numbers[process] = max(number, self.numbers.get(process, 0))
        budgets = self.dice.sample(("x", "y"), self.dice.choice((1, 1, 2)))
        renewals = tuple(self._renewal(process, budget) for budget in budgets)
        return Call(process=process, number=number, ttl_us=self.dice.choice((3_000_000, 10**7)), renewals=renewals)

    def _renewal(self, process: str, budget: str) -> Renewal:
        dice = self.dice
        fence, born_us = self.born.get((process, budget), (0, 0))
        fence = dice.randrange(5) if dice.random() < 0.05 else fence
        born_us = dice.randrange(1, 10**9) if dice.random() < 0.03 else born_us
        wishes = [self._wish(process, budget, unit) for unit in ("requests", "tokens") if dice.random() < 0.85]
        facts = tuple(self._fact(id_) for id_ in dice.sample(IDS, dice.choice((0, 0, 1, 2))))
        sights = tuple(self._sight(dice.choice(IDS)) for _ in range(dice.choice((0, 0, 1, 2))))
        return Renewal(
            budget=budget,
            fence=fence,
            born_us=born_us,
            leaves=dice.random() < 0.05,
            facts=facts,
            wishes=tuple(wishes),
            sights=sights,
            tells=self._lore() if dice.random() < 0.4 else None,
            asks=dice.random() < 0.5,
        )

    def _lore(self) -> Lore:
        dice = self.dice
        piece = Evidence((4, 0, 0, dice.randrange(1 << 40), 5, 4), dice.randrange(1, 1 << 40), 1)
        return Lore(dice.choice((0, dice.randrange(10**6))), tuple((mark("m", end), (piece,) * 2) for end in "ab"))

    def _wish(self, process: str, budget: str, unit: str) -> Wish:
        dice, whose = self.dice, (process, budget, unit)
        held = self.held.get(whose, 0)
        drawn = dice.randrange(held + 1) if dice.random() < 0.9 else held + dice.randrange(self.most)
        spent = self.spent[whose] = self.spent.get(whose, 0) + drawn
        return Wish(
            unit=unit,
            spent=spent,
            keeps=dice.randrange(max(0, held - drawn) + 1),
            wants=dice.choice((0, 1, dice.randrange(self.most + 1))),
            needs=dice.choice((0, 0, 1, dice.randrange(self.most + 1))),
            waits_us=dice.choice((0, 10**6, dice.randrange(10**8))),
        )

    def _fact(self, id_: BucketId) -> Fact:
        dice = self.dice
        return Fact(
            id=id_,
            limit=dice.randrange(1, self.most + 1),
            capacity=0 if id_.slice and dice.random() < 0.3 else dice.randrange(1, self.most + 1),
            level=dice.randrange(-self.most, self.most + 1),
            fill=Fill.SLICE if id_.slice else dice.choice((Fill.CONTINUOUS, Fill.CONTINUOUS, Fill.STEPS)),
            steps_in_us=dice.choice((0, 5_000_000)),
            news=dice.random() < 0.4,
        )

    def _sight(self, id_: BucketId) -> Sight:
        dice = self.dice
        marks = dice.randrange(-self.most, 3 * self.most), dice.randrange(self.most)
        ago_us = sorted((dice.randrange(10**7), dice.randrange(10**7)))
        return Sight(
            id=id_, remaining=dice.randrange(-5, self.most + 1), sent_us=ago_us[1], seen_us=ago_us[0], marks=marks
        )


def fields_of(pool: Pool) -> dict[str, Any]:
    """What the script should have written down."""
    found: dict[str, Any] = {"p:": f"{pool.born_us} {pool.fences} {pool.forgotten_us} {pool.cautious_us}"}
    for id_, each in pool.buckets.items():
        numbers = (each.limit, each.capacity, each.level, each.as_of_us, each.fraction, each.sent_us, each.steps_us)
        name = f"b:{id_.unit} {id_.name} {id_.window_us} {id_.slice:d}"
        found[name] = " ".join((each.fill.value, *map(str, numbers)))
    found |= {f"l:{unit}": str(lent) for unit, lent in pool.lent.items()}
    found |= {f"s:{unit}": str(saved) for unit, saved in pool.saved.items()}
    for process, member in pool.members.items():
        holdings = {
            unit: (each.spent, each.held, each.wants, each.needs, each.since_us)
            for unit, each in member.holdings.items()
        }
        found[f"m:{process}"] = (member.fence, member.number, member.until_us, holdings)
    return found


def fields_in(client: Any, key: str) -> dict[str, Any]:
    """What it has written down; the order in which a Lua table is walked is nobody's business."""
    found: dict[str, Any] = client.hgetall(key)
    for name, value in found.items():
        if name.startswith("m:"):
            words = value.split()
            holdings = {words[at]: tuple(map(int, words[at + 1 : at + 6])) for at in range(3, len(words), 6)}
            found[name] = (*map(int, words[:3]), holdings)
    return found


@pytest.mark.parametrize("seed", range(6 * SCALE))
def test_the_script_does_what_the_model_does(server: RedisServer, seed: int) -> None:
    """
    Whatever four processes say of two budgets, whatever the clock does: units up to 2^40, windows up to 50 days.
    """
    dice = random.Random(seed)
    said = Said(dice, most=dice.choice((3, 50, 3_000, 1 << 40)))
    client = redis.Redis(port=server.port, decode_responses=True)
    client.flushall()
    run = client.register_script(with_told_clock(script()))
    store, now_us, last = Store(), 1_700_000_000_000_000 + dice.randrange(10**6), None

    for _ in range(80):
        now_us += dice.choice(STEPS_US)
        call = last if last is not None and dice.random() < 0.08 else said.call()
        last = call
        expected = store.renew(call, now_us=now_us)
        keys = [f"{{n}}:{renewal.budget}" for renewal in call.renewals]
        words = [f"{key}:told" for key in keys]
        texts = [write(renewal) for renewal in call.renewals]
        time_us, *answers = run(keys=[*keys, *words], args=[call.process, call.number, call.ttl_us, *texts, now_us])

        assert int(time_us) == now_us
        for renewal, lease, key, answer in zip(call.renewals, expected, keys, answers, strict=True):
            assert read(renewal.budget, answer) == lease
            assert fields_in(client, key) == fields_of(store.pools[renewal.budget])
            said.born[call.process, renewal.budget] = lease.fence, lease.born_us
            keeps = {wish.unit: wish.keeps for wish in renewal.wishes}
            for grant in lease.grants:
                said.held[call.process, renewal.budget, grant.unit] = keeps[grant.unit] + grant.units
    client.close()


def test_a_budget_that_nobody_uses_is_forgotten(server: RedisServer) -> None:
    """After a day, or two of its longest window."""
    client = redis.Redis(port=server.port, decode_responses=True)
    run = client.register_script(script())
    fact = Fact(id=BucketId("requests", "requests", MINUTE), limit=5, capacity=5, level=5)
    week = Fact(id=BucketId("requests", "requests", 7 * DAY), limit=5, capacity=5, level=5)
    for key, facts, days in (("{n}:short", (fact,), 1), ("{n}:long", (fact, week), 14)):
        run(keys=[key, f"{key}:told"], args=["a", 1, 3_000_000, write(Renewal(budget="x", facts=facts))])
        assert client.pttl(key) == pytest.approx(days * 86_400_000, abs=60_000)
    client.close()
