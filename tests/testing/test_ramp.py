"""A server that minds how fast a rate grows."""

from __future__ import annotations

import pickle

import pytest

from ratelimit_client import per_minute
from ratelimit_client.testing import ModelServer, Ramp, exactly

S = 1_000_000_000


def served(ramp: Ramp, *calls: tuple[float, int, int], **options: object) -> list[int]:
    """How many of (second, calls, tokens of each) were admitted, row by row."""
    quotas = per_minute(requests=100_000, tokens=100_000_000)
    server = ModelServer(quotas, ramp=ramp, charge=exactly, **options)  # type: ignore[arg-type]
    admitted = []
    for second, count, tokens in calls:
        answers = [server.request(tokens=tokens, now_ns=round(second * S)) for _ in range(count)]
        admitted.append(sum(answer.ok for answer in answers))
        assert {answer.json()["error"]["code"] for answer in answers if not answer.ok} <= {"slow_down"}
    return admitted


def test_the_floor_may_be_used_in_any_minute() -> None:
    """At once or spread; what is older than a minute counts no more."""
    assert served(Ramp(floor=1000), (0, 20, 100), (59, 5, 100), (60, 20, 100), (119.9, 1, 1)) == [10, 0, 10, 0]
    assert served(Ramp(floor=1000), *[(second, 1, 100) for second in range(20)]) == [1] * 10 + [0] * 10


def test_beyond_it_a_minute_may_hold_half_as_much_again_as_those_before() -> None:
    """After a quarter of an hour of 1000 a minute, 1500; half of that time is worth 750, less than the floor."""
    minutes = [(60.0 * minute, 10, 100) for minute in range(16)]
    assert served(Ramp(floor=1000), *minutes, (960, 30, 100))[-1] == 15
    assert served(Ramp(floor=1000), *minutes[:8], (480, 30, 100))[-1] == 10
    assert served(Ramp(floor=1000, growth=2.0), *minutes, (960, 30, 100))[-1] == 20


def test_what_is_long_past_is_forgotten() -> None:
    """An hour of rest, and the floor is all there is."""
    minutes = [(60.0 * minute, 10, 100) for minute in range(16)]
    assert served(Ramp(floor=1000), *minutes, (960, 30, 100), (4600, 30, 100))[-2:] == [15, 10]


def test_the_past_to_compare_with_may_be_another() -> None:
    """The minute a quarter of an hour ago: one busy minute counts then, and not before."""
    ramp = Ramp(floor=1000, compared_s=(900, 960))
    minutes = [(60.0 * minute, 10, 100) for minute in range(15)]
    assert served(ramp, *minutes, (900, 30, 100), (960, 30, 100), (1860, 50, 100)) == [10] * 15 + [15, 15, 22]


def test_requests_may_be_what_is_counted() -> None:
    """Whatever they cost."""
    assert served(Ramp(floor=3, unit="requests"), (0, 9, 100_000)) == [3]


def test_refused_calls_count_where_that_is_said() -> None:
    """Whoever goes on asking keeps his minute full; a call larger than the floor passes when nothing else did."""
    each_half_minute = [(30.0 * half, 10, 100) for half in range(5)]
    assert served(Ramp(floor=500), *each_half_minute) == [5, 0, 5, 0, 5]
    assert served(Ramp(floor=500, counts_refused=True), *each_half_minute) == [5, 0, 0, 0, 0]
    assert served(Ramp(floor=500), (0, 2, 9000), (61, 2, 9000)) == [1, 1]


def test_models_grow_apart_and_limits_come_beside() -> None:
    """Each account has a past of its own; what a limit refuses was not let in."""
    server = ModelServer(per_minute(requests=2), ramp=Ramp(floor=3, unit="requests"))
    kinds = [server.request(model=model, now_ns=0).kind for model in ("a", "a", "b", "a", "b")]
    assert kinds == [None, None, None, "rate_limit", None]
    assert server.request(model="a", now_ns=30 * S).kind is None
    assert server.request(model="a", now_ns=59 * S).kind == "slow_down"


def test_a_rule_that_cannot_be() -> None:
    """Is an error where it is typed; one that can be travels to another process."""
    wrong = {"floor": (0,), "growth": (0.5,), "unit": ("images",), "compared_s": ((0, 900), (900, 60))}
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(ValueError, match=name):
                Ramp(**{name: value})  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(Ramp())) == Ramp()
