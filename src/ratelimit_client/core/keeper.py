"""
All leases of one limiter, and when to ask for them.

Law of this file: it is told what the store said and what time it is, and says what to ask
and when; the machine above it never waits. In the long run it asks no more than twice a
second, however many calls there are, and asks for everything in one go.

Theory. A renewal is due once a second while a budget is in use. Between two of them it
is asked once more when calls wait and the store may have what they wait for: a call that
comes to a budget at rest is to be served at once. A budget nobody used for ten seconds
is left, and joined again by the next call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import attrs

from .bucket import Bucket
from .budget import Budget
from .fitting import Evidence
from .lease import US, Call, Lease, Renewal
from .leased import PERIOD_NS, PORTION_NS, TTL_US, Leased, Need
from .lines import Line
from .lore import mark
from .purse import Purse
from .scopes import ScopedKey, plain
from .units import NS

if TYPE_CHECKING:
    from .keystate import KeyState

EVER_NS = 1 << 62
ASLEEP_NS = -1
"""When a budget that nobody uses is due: as soon as somebody comes."""

PATIENCE_NS = NS // 4
"""No call waits longer for the store."""

_IDLE_NS = 10 * NS
_RETRY_MOST_NS = 2 * NS
_TRIP_NS = 3 * NS // 2
_TRIPS = 2
_OVER_ALL = "over all keys"


@attrs.define(eq=False)
class Place:
    """
    A budget that can be shared.

    Args:
        budget: of some keys; None: it is the one over all keys.
        states: the keys that pay in it.
        over_all: the buckets over all keys, if it is that one.
    """

    name: str
    budget: Budget | None
    states: tuple[KeyState, ...]
    over_all: list[Bucket] = attrs.field(factory=list)

    @property
    def shared(self) -> list[Bucket]:
        """The buckets over all keys, without what stands among them for a lease."""
        return [bucket for bucket in self.over_all if not isinstance(bucket, Purse)]

    def put_in_force(self, leased: Leased) -> None:
        """Its purses are among the buckets that its calls pay in."""
        purses = {unit: held.purse for unit, held in leased.units.items()}
        if self.budget is not None:
            self.budget.members = max(1, leased.members)
            if self.budget.purses != purses:
                self.budget.purses = purses
                self.budget.rebuild()
        elif [bucket for bucket in self.over_all if isinstance(bucket, Purse)] != list(purses.values()):
            self.over_all[:] = [*self.shared, *purses.values()]
            for budget in self._budgets:
                budget.rebuild()

    @property
    def lines(self) -> list[Line]:
        """Its buckets with their readings."""
        return [] if self.budget is None else list(self.budget.all_lines)

    @property
    def tellers(self) -> tuple[KeyState, ...]:
        """Whose prices and rates are told of; the budget over all keys has none."""
        return () if self.budget is None else self.states

    def hear(self, leased: Leased, lease: Lease, *, now_ns: int) -> None:
        """What others told, if it was asked for."""
        budget, hearsay = self.budget, leased.hearsay
        found = None if budget is None else hearsay.hear(lease.told, members=lease.members, now_ns=now_ns)
        if budget is None or found is None:
            return
        if found.rules != hearsay.rules:
            hearsay.rules = found.rules
            for state in self.states:
                state.estimator.hear(partial(_told_of, found.rules, plain(state.name)))
        # Where a limit of calls is known, it is the pace; a rate is for servers that say nothing but no.
        if found.rate and not budget.by_unit.get("requests"):
            budget.learner.hear(found.rate, budget.debits, now_ns=now_ns)
            budget.rebuild()

    def needs(self, units: Iterable[str]) -> dict[str, Need]:
        """What waits for each unit."""
        return {unit: self._need(unit) for unit in units}

    def _need(self, unit: str) -> Need:
        queued, head, since_ns = 0, 0, 0
        for state in self.states:
            queued += state.queue.ahead(unit, 2)
            first = state.queue.first() if state.queue.waiting else None
            if first is not None and (amount := first.amount(unit)) and (not head or first.queued_since_ns < since_ns):
                head, since_ns = amount, first.queued_since_ns
        paid, calls = sum(budget.debits.till(unit).total for budget in self._budgets), self.calls
        return Need(queued, head, since_ns, max(1, paid // calls if calls else 1))

    @property
    def calls(self) -> int:
        """Calls let out so far."""
        return sum(budget.debits.calls for budget in self._budgets)

    @property
    def _budgets(self) -> list[Budget]:
        return list(dict.fromkeys(state.budget for state in self.states))


@attrs.define(eq=False)
class Keeper:
    """
    Args:
        process: a name that no other process has.
        survey: the budgets there are now.
        spends: while the store is lost, this process goes on with its part; else it stops.
        workers: how many processes share a budget, where no store has told yet.
        dice: numbers in [0, 1).
        due_ns: when ``step`` has something to do.
        renew_ns: when to ask the store next; EVER_NS: not before a call comes.
        lost_ns: since when the store cannot be reached.
    """

    process: str
    survey: Callable[[], list[Place]]
    spends: bool = True
    workers: int = 4
    dice: Callable[[], float] = float
    due_ns: int = EVER_NS
    renew_ns: int = EVER_NS
    lost_ns: int | None = None
    leases: dict[str, Leased] = attrs.field(factory=dict)
    _number: int = 0
    _asked_ns: int = -EVER_NS
    _asking: tuple[str, ...] = ()
    _leaving: frozenset[str] = frozenset()
    _failures: int = 0
    _trips: int = _TRIPS
    _trip_ns: int = 0
    _again: bool = False

    # -- asking ---------------------------------------------------------------------

    def ask(self, *, leaves: bool = False, now_ns: int) -> Call | None:
        """
        What to say to the store now; None: there is nothing to say.

        Args:
            leaves: it is the last time: everything is given back.
        """
        places = {place.name: place for place in self.survey()}
        renewals: list[Renewal] = []
        leaving = set()
        for name, place in places.items():
            leased = self.leases.get(name)
            if leased is None:
                leased = self.leases[name] = Leased(name, used_ns=now_ns, over_all=place.budget is None)
            needs = place.needs(leased.units)
            if place.calls != leased.calls:
                leased.calls, leased.used_ns = place.calls, now_ns
            idle = leaves or (now_ns - leased.used_ns >= _IDLE_NS and not any(need.queued for need in needs.values()))
            if idle and not leased.fence:
                continue
            if idle:
                leaving.add(name)
            renewal = leased.renewal(place.lines, place.shared, needs, leaves=idle, now_ns=now_ns)
            word = leased.hearsay.word(place.tellers, leaves=idle, now_ns=now_ns)
            renewals.append(attrs.evolve(renewal, tells=word, asks=not idle and leased.hearsay.asks(now_ns=now_ns)))
            place.put_in_force(leased)
        for name in [name for name in self.leases if name not in places]:
            # It is forgotten, or is one with another by now.
            leased = self.leases[name]
            if leased.fence:
                leaving.add(name)
                renewals.append(leased.renewal((), (), {}, leaves=True, now_ns=now_ns))
            else:
                del self.leases[name]
        self.renew_ns = EVER_NS
        if not renewals:
            return None
        self._number += 1
        self._asked_ns = now_ns
        self._asking, self._leaving = tuple(each.budget for each in renewals), frozenset(leaving)
        return Call(process=self.process, number=self._number, ttl_us=TTL_US, renewals=tuple(renewals))

    def wanted(self, *, now_ns: int) -> bool:
        """Calls wait, and the store may have what they wait for: ask it sooner. True when ``renew_ns`` changed."""
        if self._asking or self.lost_ns is not None or self._hopeless:
            return False
        soon_ns = max(now_ns, self._asked_ns + PERIOD_NS // 10)
        if self.renew_ns <= soon_ns or not self._trip(now_ns):
            return False
        self.renew_ns = soon_ns
        return True

    def hurry(self, *, now_ns: int) -> bool:
        """A server refused a call: what is believed here and elsewhere is wrong. True when ``renew_ns`` changed."""
        soon_ns = max(now_ns, self._asked_ns + PERIOD_NS // 10)
        if self._asking or self.lost_ns is not None or self.renew_ns <= soon_ns or not self._trip(now_ns):
            return False
        self.renew_ns = soon_ns
        return True

    def opened(self, *, now_ns: int) -> None:
        """There is a new budget, or one that nobody used for a while: join it."""
        self.due_ns = EVER_NS if self.due_ns == ASLEEP_NS else self.due_ns
        if self._asking:
            self._again = True
        elif self.lost_ns is None:
            self.renew_ns = min(self.renew_ns, now_ns if self._trip(now_ns) else now_ns + PATIENCE_NS)
        elif self.renew_ns == EVER_NS:
            self.renew_ns = now_ns  # all had gone to sleep while it was lost, and nobody has looked since
        for place in self.survey():
            if place.name not in self.leases:
                leased = self.leases[place.name] = Leased(place.name, used_ns=now_ns, over_all=place.budget is None)
                leased.prepare(place.lines, place.shared, now_ns=now_ns)
                place.put_in_force(leased)
                if self.lost_ns is not None:
                    leased.lose(now_ns=now_ns)
                    self.due_ns = now_ns

    @property
    def strangers(self) -> bool:
        """There are budgets that the store has not heard of."""
        return any(place.name not in self.leases for place in self.survey())

    @property
    def _hopeless(self) -> bool:
        """All that could be asked for is scarce: asking again soon would bring nothing."""
        units = [held for each in self.leases.values() for held in each.units.values()]
        return bool(units) and all(held.scarce for held in units)

    def _trip(self, now_ns: int) -> bool:
        """Take one of the trips that may be made beside those of each second; False: there is none now."""
        passed = (now_ns - self._trip_ns) // _TRIP_NS
        if passed > 0:
            self._trips, self._trip_ns = min(_TRIPS, self._trips + passed), now_ns
        if self._trips <= 0:
            return False
        self._trips -= 1
        return True

    # -- being answered ---------------------------------------------------------------

    def answered(self, call: Call, leases: Iterable[Lease], *, now_ns: int) -> bool:
        """The store lent. False: that was an answer to an earlier question, which is past."""
        if call.number != self._number or not self._asking:
            return False
        self.lost_ns, self._failures = None, 0
        places = {place.name: place for place in self.survey()}
        turn_ns = PERIOD_NS
        for lease in leases:
            turn_ns = min(max(PERIOD_NS // 2, lease.turn_us * US), 2 * PERIOD_NS)
            leased = self.leases.get(lease.budget)
            if leased is None:  # a store that answers what nobody asked
                continue
            if lease.budget in self._leaving:
                leased.left()
                if lease.budget not in places:
                    del self.leases[lease.budget]
                continue
            if leased.answered(lease, asked_ns=self._asked_ns, now_ns=now_ns):
                self._again = True
            if (place := places.get(lease.budget)) is not None:
                place.put_in_force(leased)
                place.hear(leased, lease, now_ns=now_ns)
        self._next(turn_ns, now_ns)
        return True

    def failed(self, call: Call, *, now_ns: int) -> bool:
        """The store did not answer in time. True: it had, until now."""
        if call.number != self._number or not self._asking:
            return False
        was_there = self.lost_ns is None
        if was_there:
            self.lost_ns = now_ns
        for name in self._asking:
            leased = self.leases[name]
            if name not in self._leaving:
                leased.lose(now_ns=now_ns)
            elif now_ns < leased.until_ns:
                leased.void()  # nobody knows whether it was heard: it says so again while that is of use to anybody
            else:
                leased.left()
        delay_ns = min(_RETRY_MOST_NS, NS // 2 << min(self._failures, 4))
        self._failures += 1
        self._next(delay_ns - int(delay_ns * self.dice() / 2), now_ns)
        return was_there

    def _next(self, delay_ns: int, now_ns: int) -> None:
        self._asking = ()
        if self._again:
            self._again, delay_ns = False, 0
        active = any(each.active for each in self.leases.values())
        self.renew_ns = now_ns + delay_ns if active else EVER_NS
        self.due_ns = now_ns if active else ASLEEP_NS

    # -- time -------------------------------------------------------------------------

    def step(self, *, now_ns: int) -> list[Place]:
        """Let time pass; returns the budgets of which there is more to spend."""
        richer = []
        places = {place.name: place for place in self.survey()}
        for name, leased in self.leases.items():
            place = places.get(name)
            needs = {} if place is None else place.needs(leased.units)
            more = leased.step(spends=self.spends, workers=self.workers, needs=needs, now_ns=now_ns)
            for held in leased.units.values():
                held.purse.next_ns = now_ns + PORTION_NS if held.coming or leased.lost_ns is not None else 0
            if more and place is not None:
                richer.append(place)
        self.due_ns = now_ns + PORTION_NS if any(each.active for each in self.leases.values()) else ASLEEP_NS
        return richer


def _told_of(rules: Mapping[str, Sequence[Evidence]], key: str, endpoint: str | None) -> Sequence[Evidence]:
    """What others told of one endpoint."""
    return rules.get(mark(key, endpoint), ())


def name_of(state: KeyState, states: Iterable[KeyState]) -> str | None:
    """
    What the budget of a key is called in all processes; None: nobody elsewhere could know that it is the same.

    It shows neither the key nor whose it is.
    """
    name = min(plain(each.name) for each in states)
    scope = state.name.scope.now if isinstance(state.name, ScopedKey) else None
    if scope is None or scope.number == 1:
        return _hash(name)
    if scope.organization is None:
        return None
    return _hash(name, scope.origin, scope.organization, scope.project or "")


def over_all_name() -> str:
    """What the budget over all keys is called."""
    return _hash(_OVER_ALL, "", "")


def _hash(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:20]


def places(keys: Mapping[str, KeyState], shared: list[Bucket]) -> list[Place]:
    """The budgets of these keys that can be shared, each once, and the one over all of them."""
    members: dict[int, list[KeyState]] = {}
    for state in dict.fromkeys(keys.values()):
        members.setdefault(id(state.budget), []).append(state)
    found = []
    for states in members.values():
        name = name_of(states[0], states)
        if name is not None:
            found.append(Place(name, states[0].budget, tuple(states)))
    if shared:
        found.append(Place(over_all_name(), None, tuple(dict.fromkeys(keys.values())), shared))
    return found
