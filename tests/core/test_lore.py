"""What processes tell those that come later: a ledger of words, and what is made of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.estimate import Estimator, Features
from ratelimit_client.core.fitting import Evidence
from ratelimit_client.core.lease import Call, Lease, Renewal
from ratelimit_client.core.lore import (
    KEPT_US,
    MOST_PIECES,
    MOST_RULES,
    MOST_TELLERS,
    Lore,
    Telling,
    Told,
    heard,
    mark,
)
from ratelimit_client.core.pool import Store
from ratelimit_client.core.units import NS

SECOND, HOUR = 1_000_000, 3_600_000_000
ENDPOINT = "/chat/completions"
MARK = mark("m", ENDPOINT)
SIZES = (400, 2_000, 12_000, 900, 5_000, 40_000)


def piece(chars: int, charged: int, *, max_output: int = 500) -> Evidence:
    """One call, in quarter units as an estimator keeps it."""
    return Evidence((4 * max_output, max(0, 4 * max_output - chars), 0, 0, chars, 4), 4 * charged, 1)


def word(times: float = 1.0, *, rate: int = 0, sizes: Iterable[int] = SIZES) -> Lore:
    """Of a process that was charged so many times the text, and nothing for max_output."""
    return Lore(rate, ((MARK, tuple(piece(chars, int(times * chars / 4)) for chars in sizes)),))


def told(*words: Lore, age_us: int = SECOND) -> list[Told]:
    return [Told(age_us + number, each) for number, each in enumerate(words)]


def newcomer(words: Iterable[Told]) -> Estimator:
    """One that has heard these words and knows nothing else."""
    rules = heard(words, members=5).rules
    estimator = Estimator()
    estimator.hear(lambda endpoint: rules.get(mark("m", endpoint), ()))
    return estimator


def price(estimator: Estimator, chars: int = 8_000, max_output: int = 500) -> int:
    return estimator.price(Features(chars, max_output, 0, ENDPOINT))


# -- what is made of words ---------------------------------------------------------------


def test_a_newcomer_begins_with_the_price_that_others_were_charged() -> None:
    """Without a word it would begin with max_output on top; at other endpoints it does."""
    estimator = newcomer(told(word(), word(), word()))
    assert price(Estimator()) == 2_508
    assert price(estimator) == pytest.approx(2_000, rel=0.02)
    assert estimator.price(Features(8_000, 500, 0, "/embeddings")) == 2_508


def test_what_waits_is_priced_anew() -> None:
    """The version of an estimator changes as it hears."""
    estimator = Estimator()
    before = estimator.version
    estimator.hear(lambda endpoint: ())
    assert estimator.version > before
    assert price(estimator) == 2_508


def test_what_a_process_knows_by_itself_it_keeps() -> None:
    """Hearing moves no rule of its own."""
    estimator = Estimator()
    for chars in SIZES:
        estimator.learn(Features(chars, 500, 0, ENDPOINT), 1, chars // 4)
    before = price(estimator)
    estimator.hear(lambda endpoint: word(4.0).rules[0][1])
    assert price(estimator) == before


@pytest.mark.parametrize("lie", [0.01, 0.3, 3.0, 300.0])
def test_one_of_several_that_lies_moves_nothing(lie: float) -> None:
    """Whatever it tells, however often, and be it the last that told."""
    estimator = newcomer(told(word(lie), word(), word(), word()))
    assert price(estimator) == pytest.approx(2_000, rel=0.05)


@pytest.mark.parametrize("lie", [0.001, 30.0, 1e9])
def test_a_liar_that_is_alone_is_believed_within_bounds_and_for_a_few_lessons(lie: float) -> None:
    """What was never possible is not heeded at all; a quarter to four times the text is, until own evidence tells."""
    estimator = newcomer(told(word(lie)))
    assert 500 <= price(estimator) <= 2_508 * 8
    for chars in SIZES * 4:
        estimator.learn(Features(chars, 500, 0, ENDPOINT), 1, chars // 4)
    assert price(estimator) == pytest.approx(2_000, rel=0.05)


def test_only_what_it_learnt_itself_is_passed_on() -> None:
    """Nothing before four lessons; then its own evidence, though it began with that of others."""
    estimator = newcomer(told(word(), word()))
    price(estimator)
    for number, chars in enumerate(SIZES):
        assert len(list(estimator.learnt(MOST_PIECES))) == (number > 3)
        estimator.learn(Features(chars, 500, 0, ENDPOINT), 1, 3 * chars // 4)
    ((endpoint, lessons, pieces),) = estimator.learnt(3)
    assert (endpoint, lessons) == (ENDPOINT, len(SIZES))
    assert [each.charged for each in pieces] == [3 * chars for chars in SIZES[-3:]]


@given(st.permutations(range(6)))
def test_the_order_of_words_is_nobodys_business(order: list[int]) -> None:
    """The same words give the same prices and rates."""
    words = told(word(1.0, rate=500), word(1.2, rate=700), word(), word(3.0, rate=9), word(0.9), Lore(rate=4))
    assert heard([words[number] for number in order], members=7) == heard(words, members=7)


def test_nonsense_and_what_is_of_yesterday_say_nothing() -> None:
    """Charges below nothing, calls that are none, and words that are a day old."""
    bad = (Evidence((1, 0, 0, 0, 1, 0), 5, 1), Evidence((1, 0, 0, 0, -1, 4), 5, 1), Evidence((1, 0, 0, 0, 1, 4), 0, 1))
    huge = (Evidence((1 << 46, 0, 0, 0, 1, 4), 5, 1), Evidence((1, 0, 0, 0, 1, 4), 1 << 46, 1))
    assert heard(told(Lore(rules=((MARK, bad + huge),))), members=2).rules == {MARK: []}
    assert heard(told(word(rate=7), age_us=KEPT_US), members=2) == heard((), members=2)


def test_all_tellers_have_an_equal_part_of_what_is_heeded() -> None:
    """The last of each, then the one before it; 32 pieces at most, each of the same weight."""
    many = [word(number + 1.0) for number in range(8)]
    pieces = heard(told(*many), members=9).rules[MARK]
    assert len(pieces) == 32
    last = SIZES[-1]
    assert [each.charged for each in pieces[:8]] == [int((number + 1) * last / 4) * 4 for number in range(8)]


@pytest.mark.parametrize(
    ("rates", "members", "expected"),
    [
        ((), 3, 0),
        ((6000,), 2, 3000),
        ((600, 600, 600, 600), 5, 480),
        ((600, 600, 600, 10**15), 5, 480),
        ((600, 600, 1), 4, 450),
        ((1, 1, 1), 4, 1),
        ((6000,), 1, 6000),
        ((1,), 3, 1000),
        ((1, 600), 3, 1000),
    ],
)
def test_a_rate_is_the_median_of_the_others_less_what_one_more_takes(
    rates: tuple[int, ...], members: int, expected: int
) -> None:
    """One crazy rate moves nothing; one or two are no reason to begin slower than a call a second."""
    assert heard(told(*(Lore(rate) for rate in rates)), members=members).rate == expected


def test_what_others_tell_is_asked_for_once_a_minute() -> None:
    """What comes unasked is not heard; a rate is one to begin with and nothing for later."""
    telling, words = Telling(), told(word(rate=6000))
    assert telling.asks(now_ns=0)
    first = telling.hear(words, members=2, now_ns=0)
    assert first is not None
    assert (first.rate, list(first.rules)) == (3000, [MARK])
    assert not telling.asks(now_ns=59 * NS)
    assert telling.hear(words, members=2, now_ns=59 * NS) is None
    assert telling.asks(now_ns=60 * NS)
    later = telling.hear(words, members=2, now_ns=60 * NS)
    assert later is not None
    assert (later.rate, list(later.rules)) == (0, [MARK])


def test_a_rate_of_an_hour_ago_is_none() -> None:
    """But prices of an hour ago are prices."""
    found = heard(told(word(rate=600), age_us=HOUR), members=2)
    assert (found.rate, bool(found.rules)) == (0, True)


def test_a_mark_shows_neither_key_nor_endpoint() -> None:
    """And is another for each of both."""
    marks = {mark(key, endpoint) for key, endpoint in itertools.product("ab", ("x", "y", None))}
    assert len(marks) == 6
    assert all(len(each) == 12 and each.isalnum() for each in marks)


# -- what a store makes of them ----------------------------------------------------------


class Ledger:
    """Processes that tell and ask."""

    def __init__(self) -> None:
        self.store = Store()
        self.number = 0

    def say(self, process: str, at_us: int, *, again: bool = False, **of: object) -> Lease:
        self.number += not again
        renewal = Renewal(budget="b", **of)  # type: ignore[arg-type]
        call = Call(process=process, number=self.number, ttl_us=3 * SECOND, renewals=(renewal,))
        return self.store.renew(call, now_us=10**12 + at_us)[0]


def test_a_word_takes_the_place_of_the_one_before() -> None:
    """Who asks hears the others and how old their words are; who does not ask hears nothing."""
    ledger = Ledger()
    ledger.say("a", 0, tells=word(2.0))
    ledger.say("a", SECOND, tells=word(3.0))
    ledger.say("a", 2 * SECOND)
    assert ledger.say("b", 3 * SECOND).told == ()
    assert ledger.say("b", 3 * SECOND, asks=True).told == (Told(2 * SECOND, word(3.0)),)
    assert ledger.say("a", 3 * SECOND, asks=True).told == ()


def test_a_word_outlives_its_teller_for_a_day() -> None:
    """It left or fell silent; the next one begins informed all the same."""
    ledger = Ledger()
    ledger.say("a", 0, tells=word(), leaves=True)
    assert ledger.say("b", HOUR, asks=True).told == (Told(HOUR, word()),)
    ledger.say("c", KEPT_US, tells=Lore(1))
    assert ledger.say("b", KEPT_US, asks=True).told == (Told(0, Lore(1)),)


def test_a_clock_that_was_set_back_makes_no_word_of_tomorrow() -> None:
    """It counts as told now."""
    ledger = Ledger()
    ledger.say("a", HOUR, tells=word())
    assert ledger.say("b", 0, asks=True).told == (Told(0, word()),)


def test_a_call_that_is_asked_again_is_answered_and_tells_nothing_new() -> None:
    """What it told then stands."""
    ledger = Ledger()
    ledger.say("a", 0, tells=word())
    first = ledger.say("b", SECOND, tells=Lore(5), asks=True)
    again = ledger.say("b", 2 * SECOND, tells=Lore(6), asks=True, again=True)
    assert [each.lore for each in first.told] == [each.lore for each in again.told] == [word()]
    assert ledger.store.pools["b"].words["b"] == (10**12 + SECOND, Lore(5))


@given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.integers(1, 9)), max_size=40), st.randoms())
def test_the_newest_words_of_a_few_are_kept(said: list[tuple[str, int]], dice: object) -> None:
    """Told at the same instants in any order, or twice, the same words stand."""
    timed = [(at, process, Lore(rate)) for at, (process, rate) in enumerate(said)]
    ledger = Ledger()
    for at, process, lore in timed:
        ledger.say(process, at, tells=lore)
        ledger.say(process, at, tells=lore)
    newest: dict[str, tuple[int, Lore]] = {}
    for at, process, lore in timed:
        newest[process] = (10**12 + at, lore)
    expected = dict(sorted(newest.items(), key=lambda each: each[1][0])[-MOST_TELLERS:])
    assert (ledger.store.pools["b"].words if said else {}) == expected


# -- when a process tells -----------------------------------------------------------------


class States:
    """One key, as far as it is told of."""

    def __init__(self) -> None:
        from ratelimit_client.core.budget import Budget
        from ratelimit_client.core.concurrency import InFlightWindow
        from ratelimit_client.core.keystate import KeyState
        from tests.core.driving import OPENAI

        self.state = KeyState("m", Budget(OPENAI), InFlightWindow(10))

    def learn(self, endpoint: str = ENDPOINT, times: float = 1.0) -> None:
        for chars in SIZES:
            self.state.estimator.learn(Features(chars, 500, 0, endpoint), 1, int(times * chars / 4))

    def word(self, telling: Telling, at_s: float, *, leaves: bool = False) -> Lore | None:
        return telling.word((self.state,), leaves=leaves, now_ns=int(at_s * NS))


def test_what_is_known_is_told_at_once_and_news_once_a_minute() -> None:
    """Nothing is told twice, and one that leaves tells what is left to tell."""
    states, telling = States(), Telling()
    assert states.word(telling, 0) is None, "it knows nothing"
    states.learn()
    first = states.word(telling, 1)
    assert first is not None
    assert [name for name, _ in first.rules] == [MARK]
    assert states.word(telling, 2) == first, "the answer has not come"
    telling.answered(forgotten=False, now_ns=2 * NS)
    assert states.word(telling, 90) is None
    states.learn(times=2.0)
    assert states.word(telling, 3) is None
    assert states.word(telling, 3, leaves=True) is not None
    telling.answered(forgotten=False, now_ns=3 * NS)
    assert states.word(telling, 4, leaves=True) is None


def test_a_store_that_lost_its_memory_is_told_again() -> None:
    """Whatever was told before."""
    states, telling = States(), Telling()
    states.learn()
    first = states.word(telling, 0)
    telling.answered(forgotten=False, now_ns=0)
    assert states.word(telling, 1) is None
    telling.answered(forgotten=True, now_ns=NS)
    assert states.word(telling, 2) == first


def test_the_rules_that_are_known_best_are_told() -> None:
    """As many as there is room for."""
    states = States()
    for number in range(MOST_RULES + 2):
        for _ in range(1 + (number != 1)):
            states.learn(f"/e{number}")
    found = states.word(Telling(), 0)
    assert found is not None
    names = [name for name, _ in found.rules]
    assert len(names) == MOST_RULES
    assert mark("m", "/e1") not in names
    assert all(len(pieces) == MOST_PIECES for _, pieces in found.rules)
