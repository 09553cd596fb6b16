"""Admissions and refusals of the last minutes."""

from __future__ import annotations

from typing import Any

from ratelimit_client import Limiter, per_minute
from ratelimit_client.adapters.prometheus.history import POINTS, History
from ratelimit_client.core.counts import Names
from ratelimit_client.testing import run_virtual


async def call(limiter: Limiter, key: str = "m", status: int = 200) -> None:
    async with limiter.permit(key) as permit:
        permit.observe(status, {})


def lived(story: Any) -> None:
    run_virtual(story)


def test_what_happened_between_two_looks():
    """
    Each point holds what came since the one before; a second in which nothing happened is 0.
    """

    async def story() -> None:
        limiter, history, models = Limiter(name="mine"), History(), Names()
        history.sample([limiter], models, now_s=10)
        await call(limiter)
        await call(limiter, status=429)
        await call(limiter, "other")
        history.sample([limiter], models, now_s=11)
        history.sample([limiter], models, now_s=12.5)
        await call(limiter)
        history.sample([limiter], models, now_s=13)
        assert history.times() == [10, 11, 12.5, 13]
        assert history.columns()["mine", "m"] == ([2, 0, 1], [1, 0, 0])
        assert history.columns()["mine", "never"] == ([0, 0, 0], [0, 0, 0])
        assert history.times(2) == [11, 12.5, 13]
        assert history.columns(2)["mine", "m"] == ([0, 1], [0, 0])

    lived(story)


def test_what_was_before_the_first_look_is_not_of_that_second():
    """
    A limiter that has counted for long begins with nothing, a limiter that was made since the last look with all.
    """

    async def story() -> None:
        old, later, new, history, models = Limiter(name="old"), Limiter(name="later"), Limiter(), History(), Names()
        for limiter in (old, later):
            await call(limiter)
        history.sample([old], models, now_s=1)
        for limiter in (new, later):
            limiter.counts  # from now on it counts, as something that is watched does
            await call(limiter)
        history.sample([old, later, new], models, now_s=2)
        found = {name: history.columns()[name, "m"][0] for name in ("old", "later", "default")}
        assert found == {"old": [0], "later": [0], "default": [1]}

    lived(story)


def test_two_of_one_name_are_added():
    """
    As a scrape adds them.
    """

    async def story() -> None:
        both, history, models = [Limiter(name="mine"), Limiter(name="mine")], History(), Names()
        history.sample(both, models, now_s=1)
        for limiter in both:
            await call(limiter)
        history.sample(both, models, now_s=2)
        assert history.columns()["mine", "m"] == ([2], [0])

    lived(story)


def test_it_has_a_bound():
    """
    Of an hour the last minutes are kept, and of a thousand keys those that have a label.
    """

    async def story() -> None:
        limiter, history, models = Limiter(per_minute(requests=10_000), name="mine"), History(), Names()
        history.sample([limiter], models, now_s=0)
        for key in range(100):
            await call(limiter, f"m-{key}")
        for second in range(1, 3600):
            history.sample([limiter], models, now_s=second)
        assert len(history.times()) == POINTS + 1
        assert history.times()[-1] == 3599
        moved = [history.columns()["mine", models.of(f"m-{key}")] for key in range(100)]
        assert all(len(admitted) == POINTS for admitted, _ in moved)

    lived(story)


def test_it_keeps_no_limiter():
    """
    Nobody else having it, it goes.
    """

    async def story() -> None:
        history, models = History(), Names()
        history.sample([Limiter()], models, now_s=1)
        history.sample([], models, now_s=2)
        assert len(history._before) == 0

    lived(story)
