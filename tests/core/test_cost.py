from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.cost import ONE_REQUEST, Cost
from ratelimit_client.core.units import MAX_AMOUNT

amounts = st.dictionaries(st.sampled_from(["requests", "tokens", "images", "x-y"]), st.integers(0, MAX_AMOUNT))


def test_a_call_is_one_request_unless_it_says_otherwise() -> None:
    """Units are named; requests may be left out."""
    assert dict(Cost(tokens=1500)) == {"requests": 1, "tokens": 1500}
    assert dict(Cost(2)) == {"requests": 2}
    assert dict(Cost(requests=0, images=1)) == {"images": 1}


def test_a_cost_reads_as_a_mapping() -> None:
    """All of Mapping works; what is not named is not needed."""
    cost = Cost(tokens=1500)

    assert isinstance(cost, Mapping)
    assert list(cost) == ["requests", "tokens"]
    assert list(cost.items()) == list(cost.pairs) == [("requests", 1), ("tokens", 1500)]
    assert list(cost.values()) == [1, 1500]
    assert cost["tokens"] == cost.get("tokens") == 1500
    assert cost["images"] == 0
    assert cost.get("images") is None
    assert cost.get("images", 3) == 3
    assert "tokens" in cost
    assert "images" not in cost
    assert len(cost) == 2


def test_a_zero_is_the_same_as_nothing() -> None:
    """Two costs that take the same are equal and hash alike, in whatever order they were written."""
    assert Cost(tokens=0) == Cost() == {"requests": 1}
    assert Cost(tokens=1, images=2) == Cost(images=2, tokens=1)
    assert hash(Cost(tokens=1, images=2)) == hash(Cost(images=2, tokens=1, x=0))
    assert Cost(tokens=1) != Cost(tokens=2)
    assert Cost(tokens=1) != 1


def test_a_cost_cannot_be_changed() -> None:
    """It makes another instead."""
    cost = Cost(tokens=5)

    with pytest.raises(AttributeError, match="cannot be changed"):
        cost.pairs = ()
    with pytest.raises(TypeError):
        cost["tokens"] = 6  # type: ignore[index]
    assert cost.replacing("tokens", 6) == {"requests": 1, "tokens": 6}
    assert cost.replacing("request", 0) == {"tokens": 5}
    assert cost == {"requests": 1, "tokens": 5}


@pytest.mark.parametrize("amount", [-1, 1.5, True, "5", None, float("nan"), float("inf"), MAX_AMOUNT + 1])
def test_an_amount_that_is_none_is_refused(amount: Any) -> None:
    """The message names the unit, what was given, and what may be."""
    with pytest.raises(ValueError, match=r"cost of .* tokens is none: give a whole number from 0 to"):
        Cost(tokens=amount)
    with pytest.raises(ValueError, match=r"cost of .* requests is none"):
        Cost(amount)


def test_a_float_that_holds_a_whole_number_is_that_number() -> None:
    """Tables and arithmetic give 1500.0; it is kept as an integer."""
    cost = Cost(1.0, tokens=1500.0)  # type: ignore[arg-type]

    assert cost.pairs == (("requests", 1), ("tokens", 1500))
    assert all(type(amount) is int for amount in cost.values())


def test_a_unit_is_named_once_and_well() -> None:
    """Two spellings of one unit are a mistake, and so is a name that is none."""
    assert Cost(token=5) == Cost(tokens=5)
    with pytest.raises(ValueError, match="named twice: requests=1, tokens=5, tokens=6"):
        Cost(token=5, tok=6)
    with pytest.raises(ValueError, match="named twice: requests=1, requests=6"):
        Cost(req=6)
    with pytest.raises(ValueError, match="no name of a unit"):
        Cost(**{"To kens": 5})


@pytest.mark.parametrize(
    ("value", "tokens", "cost"),
    [
        (None, None, Cost()),
        (None, 7, Cost(tokens=7)),
        (Cost(images=2), None, Cost(images=2)),
        (Cost(images=2), 7, Cost(images=2, tokens=7)),
        ({"images": 2}, None, Cost(images=2)),
        ({"requests": 3}, 7, Cost(3, tokens=7)),
        ({}, None, Cost()),
    ],
)
def test_what_a_caller_may_give_for_a_cost(value: Any, tokens: int | None, cost: Cost) -> None:
    """A cost, a mapping, or nothing, with or without a number of tokens beside it."""
    assert Cost.of(value, tokens=tokens) == cost


def test_nothing_said_makes_no_object() -> None:
    """The commonest cost exists once, and a cost passes through as it is."""
    cost = Cost(tokens=3)

    assert Cost.of() is ONE_REQUEST
    assert Cost.of(cost) is cost


@pytest.mark.parametrize("value", [Cost(tokens=5), {"tokens": 5}])
def test_tokens_are_stated_once(value: Any) -> None:
    """Two numbers of tokens contradict each other, even when they are equal."""
    with pytest.raises(ValueError, match=r"stated twice: tokens=5 and cost=\{.*'tokens': 5\}"):
        Cost.of(value, tokens=5)


@given(amounts)
def test_a_cost_survives_repr_and_pickle(units: dict[str, int]) -> None:
    """What it is can be written down and read back."""
    cost = Cost(**units)

    assert pickle.loads(pickle.dumps(cost)) == cost
    if "x-y" not in cost:
        assert eval(repr(cost)) == cost


def test_the_repr_of_a_call_that_is_no_request() -> None:
    """It names the request that is not taken, which would be taken if it were left out."""
    assert repr(Cost(0)) == "Cost(requests=0)"
    assert repr(Cost(0, tokens=5)) == "Cost(requests=0, tokens=5)"
    assert repr(Cost(tokens=5)) == "Cost(requests=1, tokens=5)"


def test_the_most_and_the_least_are_amounts() -> None:
    """One more is refused (see above)."""
    assert Cost(tokens=MAX_AMOUNT)["tokens"] == MAX_AMOUNT
    assert Cost(requests=float(MAX_AMOUNT))["requests"] == MAX_AMOUNT  # type: ignore[arg-type]
    assert Cost(tokens=0)["tokens"] == 0
