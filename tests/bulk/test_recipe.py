"""What each of several workers is told."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client import Quotas, per_day, per_minute
from ratelimit_client.bulk.engines.recipe import Recipe, divided, engine_of
from ratelimit_client.errors import ConfigurationError
from tests import canary

WHERE = "http://127.0.0.1:9/v1"


def recipe(limits: Quotas | None = None, **more: object) -> Recipe:
    return Recipe(base_url=WHERE, quotas={} if limits is None else {"*": limits}, **more)  # type: ignore[arg-type]


def amounts(recipes: list[Recipe]) -> list[list[int]]:
    return [[quota.amount for quota in each.quotas["*"]] for each in recipes]


def test_the_parts_of_a_limit_add_up_to_it() -> None:
    """
    What cannot be divided evenly is one more for some; windows and units stay.
    """
    found = divided(recipe(per_minute(requests=500, tokens=200_000) + per_day(requests=10_000)), 3)

    assert amounts(found) == [[167, 66_667, 3334], [167, 66_667, 3333], [166, 66_666, 3333]]
    assert {str(quota)[-3:] for each in found for quota in each.quotas["*"]} == {"min", "day"}


@given(amount=st.integers(1, 10_000), workers=st.integers(1, 200))
def test_no_part_is_nothing(amount: int, workers: int) -> None:
    """
    A limit of two a minute makes two workers, however many there could be.
    """
    found = amounts(divided(recipe(per_minute(requests=amount)), workers))

    assert len(found) == min(workers, amount)
    assert sum(part for (part,) in found) == amount
    assert min(found) >= [1]


def test_with_a_store_the_limit_is_the_budget_s() -> None:
    """
    Everybody is told the whole of it.
    """
    found = divided(recipe(per_minute(requests=3), store="redis://127.0.0.1"), 4)

    assert amounts(found) == [[3]] * 4


@pytest.mark.parametrize("store", [None, "redis://127.0.0.1"])
def test_places_are_divided_as_well(store: str | None) -> None:
    """
    Calls under way at once are counted by each process alone; one has room for one call at least.
    """
    assert [each.max_in_flight for each in divided(recipe(max_in_flight=5, store=store), 3)] == [2, 2, 1]
    assert [each.max_in_flight for each in divided(recipe(max_in_flight=1, store=store), 3)] == [1, 1, 1]
    assert [each.max_in_flight for each in divided(recipe(store=store), 3)] == [None] * 3


def test_a_recipe_can_be_sent_and_shows_no_secret() -> None:
    """
    It arrives as it was; the store's password and the query are not in its repr.
    """
    whole = recipe(per_minute(requests=3), store=f"redis://:{canary.KEY}@127.0.0.1", query={"key": canary.KEY})

    assert pickle.loads(pickle.dumps(whole)) == whole
    assert canary.KEY not in repr(whole)


def test_a_store_without_its_library_is_a_sentence() -> None:
    """
    Or one that cannot be: never a traceback with the URL in it.
    """
    with pytest.raises(ConfigurationError) as told:
        engine_of(recipe(store=f"nonsense://:{canary.KEY}@nowhere"), None)
    assert canary.KEY not in str(told.value)
