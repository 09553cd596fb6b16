"""
The budget of one limit group: every quota a call must fit in, and who else draws on it.

Law of this file: all or nothing. A call is charged in every meter of the account or in
none; one that is refused pays nothing, or (as OpenAI's documents say of "unsuccessful
requests") its one request as far as there is one. The calls of outsiders are admitted
by the same rule (or charged without asking, if they insist), in the order of their
instants, before the call that comes after them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from ..core.quota import Quota
from ..core.units import NS, to_ns
from .conduct import Outsiders
from .enforcement import BucketMeter, Enforcement, Meter
from .showing import Choice, Showing, Shown, show

_FOREVER_NS = 1 << 63


def pays(unit: str, requests: int, tokens: int, others: Mapping[str, int]) -> int:
    """What a call pays in *unit*: "project-tokens" and the like are charged as tokens, "images" as given."""
    kind = unit.removeprefix("project-")
    if kind == "requests":
        return requests
    if kind == "tokens":
        return tokens
    return others.get(unit, 0)


@attrs.frozen
class Refusal:
    """
    Why a call was refused.

    Args:
        quota: the one that makes it wait longest.
        requested: what the call would have paid there.
        used: whole units that were out of the bucket, as the text of the refusal says.
        wait_ns: until it would pass if nobody else called; None when it never will.
    """

    unit: str
    limit: int
    window_ns: int
    requested: int
    used: int
    wait_ns: int | None


class _Spender:
    """One stream of outside calls: *count* of them at once, every *step_ns*."""

    __slots__ = ("count", "insists", "next_ns", "step_ns", "tokens", "until_ns")

    def __init__(self, count: int, whose: Outsiders, *, first_ns: int, step_ns: int, until_ns: int) -> None:
        self.count = count
        self.tokens = whose.tokens
        self.insists = whose.insist
        self.next_ns = first_ns if first_ns < until_ns else _FOREVER_NS
        self.step_ns = step_ns
        self.until_ns = until_ns

    def step(self) -> None:
        self.next_ns += self.step_ns
        if self.next_ns >= self.until_ns:
            self.next_ns = _FOREVER_NS


class Account:
    """The meters of one limit group and the outsiders who spend there."""

    def __init__(
        self,
        name: str,
        quotas: Iterable[Quota],
        *,
        enforcement: Callable[[str], Enforcement],
        dice: random.Random,
        charge_refusals: bool,
        choice: Choice,
        outsiders: Iterable[Outsiders],
        start_ns: int,
        now_ns: int,
    ) -> None:
        self.name = name
        self.outside_calls = 0
        self._enforcement = enforcement
        self._dice = dice
        self._charge_refusals = charge_refusals
        self._choice = choice
        self._meters: tuple[Meter, ...] = ()
        self._snapshot: tuple[Shown, ...] | None = None
        self._snapshot_ns = 0
        self._spenders = list(_spenders(outsiders, start_ns, now_ns))
        self._next_outside_ns = min((each.next_ns for each in self._spenders), default=_FOREVER_NS)
        self.set_quotas(quotas, now_ns=now_ns)

    @property
    def meters(self) -> Sequence[Meter]:
        """In the order of the quotas."""
        return self._meters

    def set_quotas(self, quotas: Iterable[Quota], *, now_ns: int) -> None:
        """From now on these hold; what was used of a quota that stays is still used."""
        old = {(meter.unit, meter.window_ns): meter for meter in self._meters}
        meters = []
        for quota in quotas:
            meter = old.get((quota.unit, quota.window_ns))
            if meter is None:
                meter = self._enforcement(quota.unit).meter(quota, self._dice, now_ns=now_ns)
            elif meter.amount != quota.amount:
                meter.resize(quota.amount)
            meters.append(meter)
        self._meters = tuple(meters)
        by_unit: dict[str, list[Meter]] = {}
        for meter in meters:
            by_unit.setdefault(meter.unit, []).append(meter)
        self._by_unit = tuple(by_unit.values())

    def admit(self, requests: int, tokens: int, others: Mapping[str, int], *, now_ns: int) -> Refusal | None:
        """Charge a call, after the outsiders who came before it; None when it was admitted."""
        self.advance(now_ns=now_ns)
        return self._admit(requests, tokens, others)

    def advance(self, *, now_ns: int) -> None:
        """Let time pass, and outsiders spend in it."""
        while self._next_outside_ns <= now_ns:
            self._let_outsiders_spend(self._next_outside_ns)
        for meter in self._meters:
            meter.advance(now_ns)

    def shown(self, kind: Showing, tokens: int, others: Mapping[str, int], *, now_ns: int) -> tuple[Shown, ...]:
        """What an answer to a call of that cost carries, the call being decided."""
        if kind.kind == "silent":
            return ()
        if kind.kind == "stale":
            renew_ns = _FOREVER_NS if kind.every_ns is None else self._snapshot_ns + kind.every_ns
            if self._snapshot is None or now_ns >= renew_ns:
                self._snapshot, self._snapshot_ns = self._dimensions(), now_ns
            return self._snapshot
        if kind.kind == "own_cost":
            return tuple(_own_cost(each, pays(each.unit, 1, tokens, others)) for each in self._dimensions())
        return self._dimensions()

    def _dimensions(self) -> tuple[Shown, ...]:
        return tuple(show(each[0] if len(each) == 1 else self._choice(each)) for each in self._by_unit)

    def _admit(self, requests: int, tokens: int, others: Mapping[str, int]) -> Refusal | None:
        worst: Meter | None = None
        worst_ns = 0
        for meter in self._meters:
            wait_ns = meter.wait_ns(pays(meter.unit, requests, tokens, others))
            if wait_ns > worst_ns:
                worst, worst_ns = meter, wait_ns
        if worst is None:
            self._charge(requests, tokens, others)
            return None
        refusal = _refusal(worst, pays(worst.unit, requests, tokens, others), worst_ns)
        if self._charge_refusals:
            self.charge_refusal(requests)
        return refusal

    def _charge(self, requests: int, tokens: int, others: Mapping[str, int]) -> None:
        for meter in self._meters:
            meter.take(pays(meter.unit, requests, tokens, others))

    def too_large(self, requests: int, tokens: int, others: Mapping[str, int]) -> Refusal | None:
        """The quota that never holds as much as the call needs, or None."""
        for meter in self._meters:
            cost = pays(meter.unit, requests, tokens, others)
            if cost > meter.amount:
                return Refusal(meter.unit, meter.amount, meter.window_ns, cost, 0, None)
        return None

    def charge_refusal(self, requests: int) -> None:
        """A refused call costs its request, as far as there is one, and no tokens."""
        for meter in self._meters:
            meter.drain(pays(meter.unit, requests, 0, {}))

    def _let_outsiders_spend(self, at_ns: int) -> None:
        for meter in self._meters:
            meter.advance(at_ns)
        for spender in self._spenders:
            if spender.next_ns <= at_ns:
                for _ in range(spender.count):
                    self.outside_calls += 1
                    (self._charge if spender.insists else self._admit)(1, spender.tokens, {})
                spender.step()
        self._next_outside_ns = min(spender.next_ns for spender in self._spenders)

    def __repr__(self) -> str:
        return f"<Account {self.name}: {', '.join(map(repr, self._meters))}>"


def _refusal(meter: Meter, cost: int, wait_ns: int) -> Refusal:
    used = meter.amount - max(0, meter.shown()[0] // meter.window_ns)
    if isinstance(meter, BucketMeter):
        # Recorded: the wait is computed from the whole units that the text names.
        wait_ns = max(wait_ns, (used + cost - meter.amount) * meter.window_ns // meter.amount)
    return Refusal(meter.unit, meter.amount, meter.window_ns, cost, used, wait_ns)


def _own_cost(shown: Shown, cost: int) -> Shown:
    credits_ = (shown.limit - cost) * shown.window_ns
    return attrs.evolve(shown, credits=credits_, reset_ns=cost * shown.window_ns // shown.limit)


def _spenders(outsiders: Iterable[Outsiders], start_ns: int, now_ns: int) -> Iterable[_Spender]:
    for each in outsiders:
        # Outsiders of an account that is opened late have found it full and left it so.
        first_ns = max(start_ns + to_ns(each.from_s), now_ns)
        until_ns = _FOREVER_NS if each.until_s == float("inf") else start_ns + to_ns(each.until_s)
        if each.per_s:
            step_ns = max(1, round(NS / each.per_s))
            yield _Spender(1, each, first_ns=first_ns + step_ns, step_ns=step_ns, until_ns=until_ns)
        if each.burst:
            step_ns = to_ns(each.every_s)
            yield _Spender(each.burst, each, first_ns=first_ns + step_ns, step_ns=step_ns, until_ns=until_ns)
