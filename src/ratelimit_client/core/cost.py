"""
How much of each unit one call needs.

Law of this file: a cost is a fact, never changed and never negative. What it
does not name it does not need, so ``cost["images"]`` of a chat call is 0, and a
zero that was written out is the same as one that was not.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from typing import Any, NoReturn, TypeVar, overload

from .units import MAX_AMOUNT, unit_name, whole

_T = TypeVar("_T")
_set = object.__setattr__


class Cost(Mapping[str, int]):
    """
    What one call takes from the buckets of its key.

    >>> Cost(tokens=1500)
    Cost(requests=1, tokens=1500)

    Args:
        requests: almost always the 1 it is by default.
        units: whole amounts, 0 or more, by name of the unit. A float that holds
            a whole number (1500.0) counts as that number.

    Raises:
        ValueError: an amount that is no whole number of 0 or more, or a name
            that is none.
    """

    __slots__ = ("pairs",)

    pairs: tuple[tuple[str, int], ...]
    """The same as ``items()``, for loops in a hurry: (unit, amount), amounts above 0."""

    def __init__(self, requests: int = 1, **units: int) -> None:
        pairs = []
        if type(requests) is not int or not 0 <= requests <= MAX_AMOUNT:
            requests = _amount("requests", requests)
        if requests:
            pairs.append(("requests", requests))
        for unit, amount in units.items():
            # The common case in one comparison; all others explain themselves.
            if type(amount) is not int or not 0 < amount <= MAX_AMOUNT:
                amount = _amount(unit, amount)
            name = unit_name(unit)
            if amount:
                pairs.append((name, amount))
            if name != unit:
                _refuse_twice(pairs)
        _set(self, "pairs", tuple(pairs))

    @classmethod
    def of_call(cls, tokens: int) -> Cost:
        """One request and so many tokens, which the caller knows to be a positive int."""
        cost = cls.__new__(cls)
        _set(cost, "pairs", (("requests", 1), ("tokens", tokens)))
        return cost

    @classmethod
    def of(cls, value: Cost | Mapping[str, int] | None = None, *, tokens: int | None = None) -> Cost:
        """
        The cost a caller meant by ``cost=`` and ``tokens=``.

        ``tokens=n`` is short for one request and n tokens; beside a *value* it
        adds the tokens, which the value must not name as well.
        """
        if tokens is None:
            if value is None:
                return ONE_REQUEST
            return value if isinstance(value, Cost) else cls(**value)
        if value is None:
            return cls(tokens=tokens)
        if "tokens" in value:
            message = f"tokens are stated twice: tokens={tokens!r} and cost={dict(value)!r}"
            raise ValueError(message)
        if isinstance(value, Cost):
            return value.replacing("tokens", tokens)
        return cls(**value, tokens=tokens)

    def replacing(self, unit: str, amount: int) -> Cost:
        """The same cost with another amount of one unit."""
        amounts = dict(self.pairs)
        amounts[unit_name(unit)] = amount
        return Cost(amounts.pop("requests", 0), **amounts)

    # The mapping ------------------------------------------------------------

    def __getitem__(self, unit: str) -> int:
        for name, amount in self.pairs:
            if name == unit:
                return amount
        return 0

    @overload
    def get(self, key: str, /) -> int | None: ...
    @overload
    def get(self, key: str, /, default: int | _T) -> int | _T: ...
    def get(self, key: str, /, default: int | _T | None = None) -> int | _T | None:
        """The amount of a unit, or *default* when the call needs none of it."""
        for name, amount in self.pairs:
            if name == key:
                return amount
        return default

    def __contains__(self, unit: object) -> bool:
        return any(name == unit for name, _ in self.pairs)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def items(self) -> ItemsView[str, int]:
        """(unit, amount) of everything it needs."""
        return dict(self.pairs).items()

    # The fact ---------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Cost):
            return self.pairs == other.pairs or dict(self.pairs) == dict(other.pairs)
        return dict(self.pairs) == other

    def __hash__(self) -> int:
        return hash(frozenset(self.pairs))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        message = f"a cost is a fact and cannot be changed; cost.replacing({name!r}, ...) makes another"
        raise AttributeError(message)

    def __reduce__(self) -> Any:
        return _unpickle, (dict(self.pairs),)

    def __repr__(self) -> str:
        shown = self.pairs if "requests" in self else (("requests", 0), *self.pairs)
        return f"Cost({', '.join(f'{name}={amount}' for name, amount in shown)})"


def _amount(unit: str, amount: object) -> int:
    """The amount as an int, or an error that says which and why."""
    number = whole(amount)
    if number is None or not 0 <= number <= MAX_AMOUNT:
        message = (
            f"a cost of {amount!r} {unit} is none: give a whole number from 0 to {MAX_AMOUNT:,}, such as {unit}=1500"
        )
        raise ValueError(message)
    return number


def _refuse_twice(pairs: list[tuple[str, int]]) -> None:
    """Two spellings of one unit in one cost are a mistake, not a sum."""
    if len(dict(pairs)) < len(pairs):
        message = f"a unit is named twice: {', '.join(f'{name}={amount}' for name, amount in pairs)}"
        raise ValueError(message)


def _unpickle(amounts: dict[str, int]) -> Cost:
    return Cost(amounts.pop("requests", 0), **amounts)


ONE_REQUEST = Cost()
"""What a call costs about which nothing is said."""
