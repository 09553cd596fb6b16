from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.estimate import MAX_ENDPOINTS, MEMORY, Estimator, Features

Server = Callable[[int, int], int]
Job = Callable[[Random], tuple[int, int]]

SERVERS: dict[str, Server] = {
    "the text and 4": lambda chars, max_output: chars // 4 + 4,
    "the text and max_output": lambda chars, max_output: chars // 4 + max_output + 2,
    "the larger of both": lambda chars, max_output: max(chars // 4, max_output, 1),
    "2.3 times the text": lambda chars, max_output: int(2.3 * chars / 4) + 1,
    "the text and 216 for tools": lambda chars, max_output: chars // 4 + 216,
}
JOBS: dict[str, Job] = {
    "with and without max_tokens": lambda dice: (
        int(dice.lognormvariate(7, 1.2)),
        dice.choice([0, 0, 100, 500, 16_384]),
    ),
    "all with one max_tokens": lambda dice: (int(dice.lognormvariate(7, 1.2)), 500),
    "none with max_tokens": lambda dice: (int(dice.lognormvariate(7, 1.2)), 0),
    "all alike": lambda dice: (4000, 1000),
}


def rows(job: Job, seed: int) -> Iterator[tuple[int, int]]:
    """Rows of a job: characters and max_output."""
    dice = Random(seed)
    while True:
        yield job(dice)


def taught(
    server: Server, job: Job, *, lessons: int = 40, calls: int = 1, noise: int = 0, lies: float = 0.0
) -> Estimator:
    """An estimator after so many pieces of evidence, of up to *calls* calls each."""
    estimator, dice, row = Estimator(), Random(1), rows(job, 2)
    for _ in range(lessons):
        several = [next(row) for _ in range(dice.randint(1, calls))]
        features = Features(0)
        for each in several:
            features += Features(*each)
        charged = sum(server(*each) for each in several) + dice.randint(-noise, noise)
        estimator.learn(features, len(several), charged * 5 if dice.random() < lies else charged)
    return estimator


def factors(estimator: Estimator, server: Server, job: Job) -> list[float]:
    """Estimated over charged, of rows it has not seen, in order."""
    row = rows(job, 3)
    return sorted(estimator.price(Features(*each)) / server(*each) for each in (next(row) for _ in range(200)))


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_forty_answers_teach_how_a_server_charges(server: Server, job: Job) -> None:
    """Mixed rows too: nine of ten prices within 5 %, the median within 1 %."""
    off = factors(taught(server, job), server, job)

    assert 0.99 <= statistics.median(off) <= 1.01
    assert off[10] >= 0.95
    assert off[189] <= 1.05


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_sums_with_noise_and_lies_teach_the_same(server: Server) -> None:
    """Evidence of up to eight calls, rounded, one piece in ten five times too large."""
    job = JOBS["with and without max_tokens"]
    off = factors(taught(server, job, calls=8, noise=3, lies=0.1, lessons=60), server, job)

    assert 0.97 <= statistics.median(off) <= 1.03
    assert off[10] >= 0.9
    assert off[189] <= 1.1


def test_the_first_price_is_the_cautious_one() -> None:
    """Text, all of max_output, and a little."""
    assert Estimator().price(Features(400, 50)) == 158
    assert Estimator().price(Features(401, 0)) == 109
    assert Estimator().price(Features(0, 0, fixed=765)) == 773


def test_max_output_that_is_not_charged_is_soon_not_priced() -> None:
    """16 384 tokens of max_tokens on a call of 100: two thirds remain after each answer, then nothing."""
    estimator, call = Estimator(), Features(400, 16_384)
    prices = [estimator.price(call)]
    for _ in range(14):
        estimator.learn(call, 1, 104)
        prices.append(estimator.price(call))

    assert prices[0] == 16_492
    assert all(after >= before * 2 // 3 - 1 for before, after in itertools.pairwise(prices))
    assert prices[-1] in range(102, 107)


def test_a_charge_above_the_price_is_approached_by_halves() -> None:
    """A server that charges four times as much is met in four steps, never more than half above the last."""
    estimator, call = Estimator(), Features(4000)
    prices = [estimator.price(call)]
    for _ in range(4):
        estimator.learn(call, 1, 4000)
        prices.append(estimator.price(call))

    assert all(after <= before * 3 // 2 + 1 for before, after in itertools.pairwise(prices))
    assert abs(prices[-1] - 4000) < 80


def test_what_a_short_call_costs_less_is_laid_to_the_part_that_is_a_guess() -> None:
    """300 characters for 77: that is two beside the text and not eight, and a text 160 times as long costs 12 002."""
    estimator = Estimator()
    assert estimator.price(Features(300)) == 83
    estimator.learn(Features(300), 1, 77)
    assert abs(estimator.price(Features(48_000)) - 12_002) < 12


def test_what_the_server_states_outweighs_what_we_read() -> None:
    """Four numbers named in refusals win against twelve snapshots."""
    call = Features(4000)
    read, told = Estimator(), Estimator()
    for estimator, stated in ((read, False), (told, True)):
        for _ in range(12):
            estimator.learn(call, 1, 1500)
        for _ in range(4):
            estimator.learn(call, 1, 1000, stated=stated)

    assert abs(read.price(call) - 1500) < 30
    assert abs(told.price(call) - 1000) < 30


def test_endpoints_charge_by_their_own_rules() -> None:
    """What embeddings teach changes no price of a chat."""
    estimator = Estimator()
    for _ in range(20):
        estimator.learn(Features(4000, endpoint="/v1/embeddings"), 1, 2000)

    assert estimator.price(Features(4000)) == 1008
    assert abs(estimator.price(Features(4000, endpoint="/v1/embeddings")) - 2000) < 40


def test_what_is_known_exactly_is_not_learnt() -> None:
    """An image of 765 stays one, whatever the text beside it is charged."""
    estimator = Estimator()
    for chars in range(400, 8000, 200):
        estimator.learn(Features(chars, fixed=765), 1, 765 + chars // 2)

    assert abs(estimator.price(Features(4000, fixed=765)) - 2765) < 50
    assert abs(estimator.price(Features(4000)) - 2000) < 50


@pytest.mark.parametrize(
    ("features", "calls", "charged"),
    [
        (Features(4000), 1, 0),
        (Features(4000), 1, -5),
        (Features(4000), 0, 1000),
        (Features(4000), 1, 10**9),
        (Features(4000, endpoint=None), 1, 1000),
    ],
)
def test_absurd_evidence_is_none(features: Features, calls: int, charged: int) -> None:
    """Nothing charged, less than nothing, nobody, more than any rule could, or of several endpoints."""
    estimator = Estimator()

    assert not estimator.learn(features, calls, charged)
    assert estimator.price(Features(4000)) == 1008
    assert estimator.ratio is None
    assert estimator.ratio_ppm == 1_000_000


def test_a_charge_below_what_is_known_exactly_is_a_charge_of_nothing_more() -> None:
    """Cached images: the text is priced at its least, not below."""
    estimator = Estimator()
    for _ in range(20):
        assert estimator.learn(Features(4000, fixed=765), 1, 500)

    assert estimator.price(Features(4000)) == 250


@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize("lie", [1, 500, 40_000])
def test_one_liar_moves_no_price(stated: bool, lie: int) -> None:
    """Far too little or far too much, read or stated: one of 32 pieces is outvoted wherever it stands."""
    for at in (0, 5, 20, 31):
        estimator = Estimator()
        for number in range(MEMORY):
            chars = 400 * (1 + number % 7)
            charged = lie if number == at else chars // 4 + 4
            estimator.learn(Features(chars), 1, charged, stated=stated and number == at)
        for _ in range(3):
            estimator.learn(Features(1200), 1, 304)
        assert abs(estimator.price(Features(1200)) - 304) <= 12


def test_a_hidden_conversation_ends_up_in_the_constant() -> None:
    """What a call shows nothing of is learnt as so much a call, apart from calls that start anew."""
    estimator = Estimator()
    for number in range(40):
        chars = 400 * (1 + number % 7)
        estimator.learn(Features(chars, endpoint="/responses (continued)"), 1, chars // 4 + 3000)

    assert abs(estimator.price(Features(2000, endpoint="/responses (continued)")) - 3500) < 70
    assert estimator.price(Features(2000, endpoint="/responses")) == 508


def test_the_number_of_endpoints_is_bounded() -> None:
    """Paths come from users; beyond 64 they keep the first price."""
    estimator = Estimator()
    learnt = [estimator.learn(Features(4000, endpoint=f"/{n}"), 1, 1500) for n in range(MAX_ENDPOINTS + 1)]

    assert learnt == [True] * MAX_ENDPOINTS + [False]
    assert estimator.price(Features(4000, endpoint=f"/{MAX_ENDPOINTS}")) == 1008


def test_the_ratio_is_of_recent_evidence() -> None:
    """Charged over estimated; it returns to one as prices learn."""
    estimator = Estimator()
    estimator.learn(Features(4000), 1, 2016)
    assert estimator.ratio == 2.0
    assert estimator.ratio_ppm == 2_000_000
    for _ in range(MEMORY + 5):
        estimator.learn(Features(4000), 1, 2016)
    assert 0.98 < estimator.ratio < 1.02


@pytest.mark.parametrize("counted", [0, 1])
@pytest.mark.parametrize("tools", ["the same", "different"])
def test_whether_tools_are_charged_is_learnt(counted: int, tools: str) -> None:
    """Priced like text at first, then as the server has it: at nothing, or like text."""
    estimator, dice = Estimator(), Random(5)
    assert estimator.price(Features(400, aside=4000)) == 1108

    def call() -> tuple[Features, int]:
        chars, aside = dice.randint(100, 4000), dice.randint(100, 8000) if tools == "different" else 4000
        return Features(chars, aside=aside), chars // 4 + counted * aside // 4 + 4

    for _ in range(40):
        features, charged = call()
        estimator.learn(features, 1, charged)
    assert all(abs(estimator.price(each) / charged - 1) < 0.06 for each, charged in (call() for _ in range(50)))


def test_features_add_up() -> None:
    """Of a sum, the excess is the sum of both, not the excess of the sum; endpoints do not mix."""
    long, short = Features(8000, 100, 5, "/a"), Features(40, 100, 1, "/a")

    assert long.excess == 0
    assert short.excess == 360
    assert long + short == Features(8040, 200, 6, "/a", excess=360)
    assert (long + Features(1)).endpoint is None
    assert Features(1, aside=2, images=3) + Features(4, aside=5, images=6) == Features(5, aside=7, images=9)


def test_a_noisy_server_is_fitted_now_and_then() -> None:
    """After a while only every fourth surprise is worth a fit; all of them are kept."""
    estimator = Estimator()
    for _ in range(MEMORY):
        estimator.learn(Features(4000), 1, 1000)
    prices = []
    for _ in range(MEMORY):
        estimator.learn(Features(4000), 1, 2000)
        prices.append(estimator.price(Features(4000)))

    assert abs(prices[0] - 1000) < 30
    assert abs(prices[-1] - 2000) < 40


@given(
    st.lists(
        st.tuples(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**4), st.integers(-10, 10**18)),
        max_size=40,
    ),
    st.integers(0, 10**9),
    st.integers(0, 10**7),
)
def test_no_evidence_makes_a_price_negative_or_unbounded(
    lessons: list[tuple[int, int, int, int]], chars: int, max_output: int
) -> None:
    """At least 1, at most what the bounds allow."""
    estimator = Estimator()
    for number, (seen_chars, seen_output, fixed, charged) in enumerate(lessons):
        estimator.learn(Features(seen_chars, seen_output, fixed), 1 + number % 3, charged, stated=number % 5 == 0)

    assert 1 <= estimator.price(Features(chars, max_output)) <= chars + 2 * max_output + 4096 + 1


def test_the_repr_says_the_rules() -> None:
    """One line per endpoint that was learnt."""
    estimator = Estimator()
    assert repr(estimator) == "<Estimator nothing learnt>"
    estimator.learn(Features(4000), 1, 1008)
    estimator.learn(Features(4000, endpoint="/a"), 1, 1008)
    rule = "1.00 x chars/4 + 1.00 x max_output + 0.00 x excess + 1.00 x aside/4 + 1.00 x flat + 8"
    assert repr(estimator) == f"<Estimator any: {rule}, /a: {rule}>"


def test_whoever_was_priced_before_a_lesson_can_tell() -> None:
    """Each time a price moves it is another version, so that what waits is priced again; not only the first time."""
    estimator, features = Estimator(), Features(400)
    seen = {estimator.version: estimator.price(features)}
    for charged in (300, 300, 300, 300, 90, 90, 90, 90):
        estimator.learn(features, 1, charged)
        assert seen.setdefault(estimator.version, estimator.price(features)) == estimator.price(features)

    assert len(set(seen.values())) > 3
