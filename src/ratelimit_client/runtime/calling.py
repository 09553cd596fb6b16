"""
The ways to make a call through a limiter.

Law of this file: every way leads to one place. ``permit`` asks for it, ``attempts``
asks again as the policy says, and all others are a loop over attempts with the
loop written for you.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, ParamSpec, TypeVar

from ..core.cost import ONE_REQUEST, Cost
from ..core.estimate import Features
from ..core.queue import BANDS
from ..core.retry import RetryPolicy
from ..core.units import to_ns
from .answers import discard, looks_like_response
from .attempts import Attempts
from .desk import Desk, patience_of
from .mapping import Results
from .options import SayingOptions, changes
from .permit import Permit
from .waiting import Ask

P = ParamSpec("P")
T = TypeVar("T")
Row = TypeVar("Row")

DEFAULT_KEY = "default"
_COSTS_KEPT = 4096


class Calling:
    """What a ``Limiter`` offers to those who call."""

    _desk: Desk
    _costs: dict[int | None, Cost]

    def permit(
        self,
        key: str | None = None,
        *,
        cost: Cost | Mapping[str, int] | None = None,
        tokens: int | None = None,
        features: Features | None = None,
        priority: int = 0,
        tenant: str | None = None,
        deadline: float | None = None,
    ) -> Permit:
        """
        The right to make one call, for ``async with``.

        Waits in the queue of *key* until every quota and the in-flight window have
        room. Cancelled there, it leaves and has cost nothing; cancelled inside, its
        place is free again and its charge stays, unless it said ``unsent()``.

        Args:
            key: the budget it draws on, such as the model; quotas hold for each key.
                None: the one called "default".
            cost: whole units by unit that it needs, such as ``{"requests": 1, "tokens":
                900}``; one request if nothing is said.
            tokens: short for one request and so many tokens.
            features: what its body shows, when the cost is to be estimated.
            priority: -2 to 2, lower first.
            tenant: whose turn it is; tenants of one priority share evenly.
            deadline: seconds from now for the whole call including the queue; the
                body of ``async with`` is cancelled then.

        Raises:
            ValueError: a priority or a cost that is none; at once.
            QueueFull, Closed, DeadlineUnreachable, DeadlineExpiredInQueue: on entering;
                not sent, nothing charged.
            Throttled: on entering; the server asked for a longer wait than the
                limiter's ``retry.max_hint_s``. Not sent, nothing charged.
            CostExceedsQuota: on entering; it could never go.
            WrongLoop: on entering; the limiter is busy on another event loop.
            DeadlineExceeded: on leaving; the deadline cancelled the body.
        """
        price = self._costs.get(tokens)
        usual = cost is None and features is None and tenant is None and deadline is None and priority == 0
        if usual and price is not None:
            # The usual call, without a look at what it does not say.
            ask = Ask(0, key or DEFAULT_KEY, "", 0, price, None, None, 0, self._desk.patience)
            return Permit(self._desk, ask)
        return Permit(self._desk, self._ask(key, cost, tokens, features, priority, tenant, deadline))

    def permit_nowait(
        self,
        key: str | None = None,
        *,
        cost: Cost | Mapping[str, int] | None = None,
        tokens: int | None = None,
        features: Features | None = None,
        priority: int = 0,
        tenant: str | None = None,
        deadline: float | None = None,
    ) -> Permit:
        """
        A permit that is granted already; use it with ``async with``, or end it with ``finish()``.

        It waits for nothing, and needs a running event loop all the same. Arguments as
        of ``permit``.

        Raises:
            WouldBlock: it cannot go now, and nothing was charged; ``ready_in_s`` says in
                how many seconds it could, None when that is not known.
            others: as of ``permit``.
        """
        return Permit(self._desk, self._ask(key, cost, tokens, features, priority, tenant, deadline)).take_now()

    def attempts(
        self,
        key: str | None = None,
        *,
        cost: Cost | Mapping[str, int] | None = None,
        tokens: int | None = None,
        features: Features | None = None,
        priority: int = 0,
        tenant: str | None = None,
        deadline: float | None = None,
        policy: RetryPolicy | None = None,
    ) -> Attempts:
        """
        One call, tried until it is over.

            async for attempt in limiter.attempts(key="gpt-4o", tokens=1_500):
                async with attempt, session.post(URL, json=body) as response:
                    await attempt.check(response)
                    return await response.json()

        What may be retried is swallowed by ``async with attempt``, and the loop makes
        the next attempt when its turn has come; what may not be retried, and the last
        attempt, leave the loop as their error. So the loop never ends empty-handed.

        Before each attempt it waits in the queue, holding no place. Cancelled there it
        leaves the queue; cancelled inside an attempt, its place is free and the charge
        of that attempt stays. Leaving the loop early needs no cleaning up.

        Args:
            policy: what this call outlives; None: the limiter's ``retry``.
            others: as of ``permit``; *deadline* is for all attempts together.

        Raises:
            ResponseError: the last answer, as ``attempt.check`` judged it.
            Whatever the body of the last attempt raised.
            DeadlineExceeded: time ran out after it had been tried.
            others: as of ``permit``, before anything was tried.
        """
        ask = self._ask(key, cost, tokens, features, priority, tenant, deadline, policy)
        return Attempts(self._desk, ask, self._desk.policy if policy is None else policy)

    async def call(
        self,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        key: str | None = None,
        cost: Cost | Mapping[str, int] | None = None,
        tokens: int | None = None,
        features: Features | None = None,
        priority: int = 0,
        tenant: str | None = None,
        deadline: float | None = None,
        policy: RetryPolicy | None = None,
        **kw: Any,
    ) -> T:
        """
        The result of ``await fn(*args, **kw)``, made when it may and again as the policy says.

        A result that is an HTTP response (it has a status, headers and a body to read)
        is checked as ``attempt.check`` does: learnt from, and retried or raised; one
        that is no success is closed.

        Between attempts it waits in the queue. Cancelled there it leaves without a
        trace; cancelled while *fn* runs, *fn* is, its place is free and its charge stays.

        Args:
            fn: called anew for each attempt, with *args* and *kw*.
            others: as of ``attempts``.

        Raises:
            What *fn* raises, when it may not be retried or was often enough; and what
            ``attempts`` raises.
        """
        ask = self._ask(key, cost, tokens, features, priority, tenant, deadline, policy)
        return await self._run(fn, args, kw, ask, self._desk.policy if policy is None else policy)

    def call_options(
        self,
        *,
        key: str | None = None,
        cost: Cost | Mapping[str, int] | None = None,
        tokens: int | None = None,
        priority: int | None = None,
        tenant: str | None = None,
        deadline: float | None = None,
    ) -> SayingOptions:
        """
        A block in which this is said of every call that an adapter makes, where the call itself has no place for it.

            with limiter.call_options(deadline=30, priority=-1):
                answer = await openai_client.responses.create(...)

        It holds in tasks that are begun inside, and for nothing after the block. Blocks
        nest: an inner one changes what it names. ``permit``, ``attempts`` and all that
        take these arguments themselves go by their arguments alone.

        Args:
            deadline: seconds for each call, from its own start.
            others: as of ``permit``.

        Raises:
            ValueError: a priority or a cost that is none; at once.
        """
        said = changes(key=key, cost=cost, tokens=tokens, priority=priority, tenant=tenant, deadline=deadline)
        return SayingOptions(self, said)

    def limited(
        self,
        *,
        key: str | Callable[..., str] | None = None,
        cost: Cost | Mapping[str, int] | Callable[..., Cost | Mapping[str, int]] | None = None,
        tokens: int | Callable[..., int] | None = None,
        priority: int = 0,
        tenant: str | Callable[..., str] | None = None,
        deadline: float | None = None,
        policy: RetryPolicy | None = None,
    ) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
        """
        A decorator: every call of the function goes through ``call``.

            @limiter.limited(key="gpt-4o", tokens=lambda prompt: len(prompt) // 4)
            async def ask(prompt: str) -> str: ...

        Args:
            key, cost, tokens, tenant: a value, or a function of the call's own arguments.
            others: as of ``attempts``.
        """
        chosen = self._desk.policy if policy is None else policy

        def decorate(fn: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
            @functools.wraps(fn)
            async def limited(*args: P.args, **kw: P.kwargs) -> T:
                def value(given: Any) -> Any:
                    return given(*args, **kw) if callable(given) else given

                ask = self._ask(value(key), value(cost), value(tokens), None, priority, value(tenant), deadline, policy)
                return await self._run(fn, args, kw, ask, chosen)

            return limited

        return decorate

    async def _run(self, fn: Callable[..., Awaitable[T]], args: Any, kw: Any, ask: Ask, policy: RetryPolicy) -> T:
        async for attempt in Attempts(self._desk, ask, policy):
            async with attempt:
                result = await fn(*args, **kw)
                if looks_like_response(result):
                    try:
                        await attempt.check(result)
                    except BaseException:
                        await discard(result)
                        raise
                return result
        raise AssertionError("a loop over attempts ends in a return or an exception")

    def map(
        self,
        fn: Callable[[Row], Awaitable[T]],
        items: Iterable[Row] | AsyncIterable[Row],
        *,
        cost: Cost | Mapping[str, int] | Callable[[Row], Cost | Mapping[str, int]] | None = None,
        tokens: int | Callable[[Row], int] | None = None,
        key: str | Callable[[Row], str] | None = None,
        priority: int = 0,
        tenant: str | None = None,
        deadline: float | None = None,
        policy: RetryPolicy | None = None,
        ordered: bool = False,
        on_error: Literal["yield", "raise"] = "yield",
    ) -> Results[Row, T]:
        """
        ``fn(item)`` for every item, as fast as the quotas allow; one ``Result`` each.

            async with limiter.map(fetch, urls, tokens=800) as results:
                async for result in results:
                    print(result.index, result.unwrap())

        Items are taken as they are needed: 64 beyond those in flight, and none without
        a place for its result. There are 1024 places (or *max_in_flight* and 64, where
        that is more, so that no result is waited for in vain), and a result that was
        not yet asked for keeps its own: a slow consumer slows the calls down.

        Leaving the block early cancels the calls under way and waits until they have
        ended; so does a cancellation of its task. Without ``async with`` they are
        cancelled as the iterator is collected.

        Args:
            items: from any sync or async iterable, endless ones included. An async
                generator is closed with the block.
            cost, tokens, key: a value, or a function of the item.
            deadline: seconds for each call, from when its item was taken.
            ordered: results in the order of the items; then there are 1024 places, also
                for calls in flight.
            on_error: "yield": a failed item is a result with its ``error``; "raise":
                it ends the iteration.
            others: as of ``attempts``.

        Raises (while iterating):
            What *items* raises, after the results of the items it gave; with
            *on_error* "raise" what a call raises.
        """
        chosen = self._desk.policy if policy is None else policy

        async def run(item: Row) -> T:
            def value(given: Any) -> Any:
                return given(item) if callable(given) else given

            ask = self._ask(value(key), value(cost), value(tokens), None, priority, tenant, deadline, policy)
            return await self._run(fn, (item,), {}, ask, chosen)

        return self.results(run, items, ordered=ordered, on_error=on_error, tenant=tenant)

    def results(
        self,
        run: Callable[[Row], Awaitable[T]],
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        ordered: bool = False,
        on_error: Literal["yield", "raise"] = "yield",
        tenant: str | None = None,
    ) -> Results[Row, T]:
        """``map`` for a *run* that goes through this limiter by itself, as a client's request does."""
        return Results(self._desk, run, rows, ordered=ordered, on_error=on_error, tenant=tenant)

    # -- what was typed ------------------------------------------------------------

    def _ask(
        self,
        key: str | None,
        cost: Cost | Mapping[str, int] | None,
        tokens: int | None,
        features: Features | None,
        priority: int,
        tenant: str | None,
        deadline: float | None,
        policy: RetryPolicy | None = None,
    ) -> Ask:
        """A call's wishes as the scheduler takes them."""
        if priority not in BANDS:
            raise ValueError(f"a priority is a whole number from -2 (first) to 2 (last), not {priority!r}")
        desk = self._desk
        if cost is not None or features is None:
            features = None  # a stated cost is believed
            # The same few sizes come again and again, and a Cost is a fact: it can be shared.
            price = self._costs.get(tokens) if cost is None else None
            if price is None:
                price = self._price(cost, tokens)
        elif tokens is not None:
            features, price = None, self._price(None, tokens)
        else:
            price = ONE_REQUEST  # which it will be told when it is priced
        deadline_ns = None if deadline is None else desk.clock.monotonic_ns() + to_ns(deadline)
        patience = desk.patience if policy is None else patience_of(policy)
        return Ask(0, key or DEFAULT_KEY, tenant or "", priority, price, features, deadline_ns, 0, patience)

    def _price(self, cost: Cost | Mapping[str, int] | None, tokens: int | None) -> Cost:
        if cost is not None:
            return Cost.of(cost, tokens=tokens)
        price = Cost.of(tokens=tokens)
        if len(self._costs) >= _COSTS_KEPT:
            self._costs.clear()
        self._costs[tokens] = price
        return price
