"""
What a block of code says of all calls made in it.

    with limiter.call_options(deadline=30, priority=-1):
        await openai_client.chat.completions.create(...)

Law of this file: what was said holds inside the block, in the tasks that are begun there,
for one limiter; after the block nothing of it is left.

Theory. An SDK takes its own arguments and hands a request down; there is no place in it
for a priority or a deadline of ours. A context variable is inherited by what is called
and by tasks that are created, and by nothing else, so it reaches the adapter below the
SDK. What an inner block does not name, it leaves as the outer one said.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Self

import attrs

from ..core.cost import Cost
from ..core.queue import BANDS


@attrs.frozen(kw_only=True)
class CallOptions:
    """
    What is said of a call beside the call; None: nothing.

    Args:
        key: the budget it draws on.
        cost: what it needs, in whole units.
        priority, tenant: its place in the queue.
        deadline: seconds for the whole of each call, from its start.
    """

    key: str | None = None
    cost: Cost | None = None
    priority: int | None = None
    tenant: str | None = None
    deadline: float | None = None


NOTHING = CallOptions()

_Said = tuple[tuple[object, CallOptions], ...]

_said: ContextVar[_Said] = ContextVar("ratelimit_client_call_options", default=())
"""What is said of the calls of each limiter; they are few, so they are looked through."""


def options_of(limiter: object) -> CallOptions:
    """What is said here of the calls of *limiter*; for adapters that are given no arguments of their own."""
    for whose, options in _said.get():
        if whose is limiter:
            return options
    return NOTHING


class SayingOptions:
    """
    The block; it may be entered again, and one inside the other.

    Args:
        limiter: of whose calls.
        changes: what is said, by name.
    """

    __slots__ = ("_changes", "_limiter", "_tokens")

    def __init__(self, limiter: object, changes: Mapping[str, Any]) -> None:
        self._limiter = limiter
        self._changes = changes
        self._tokens: list[Token[_Said]] = []

    def __enter__(self) -> Self:
        options = attrs.evolve(options_of(self._limiter), **self._changes)
        others = tuple(each for each in _said.get() if each[0] is not self._limiter)
        self._tokens.append(_said.set(((self._limiter, options), *others)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _said.reset(self._tokens.pop())

    def __repr__(self) -> str:
        return f"<SayingOptions {', '.join(f'{name}={value!r}' for name, value in self._changes.items())}>"


def changes(
    *,
    key: str | None,
    cost: Cost | Mapping[str, int] | None,
    tokens: int | None,
    priority: int | None,
    tenant: str | None,
    deadline: float | None,
) -> dict[str, Any]:
    """
    What was said, by name.

    Raises:
        ValueError: a priority or a cost that is none.
    """
    if priority is not None and priority not in BANDS:
        raise ValueError(f"a priority is a whole number from -2 (first) to 2 (last), not {priority!r}")
    price = None if cost is None and tokens is None else Cost.of(cost, tokens=tokens)
    said = {"key": key, "cost": price, "priority": priority, "tenant": tenant, "deadline": deadline}
    return {name: value for name, value in said.items() if value is not None}
