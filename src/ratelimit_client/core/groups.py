"""
Keys whose calls count together.

Law of this file: which calls share a limit is the server's business. A refusal may name
the group its limit is for ("for limit gpt-4.1"), whatever model was asked for; keys whose
refusals name the same group share one budget from then on. Queues, in-flight windows and
estimates stay each key's own, and so do budgets with quotas that the caller typed: those
hold for each key separately.

Theory. Two budgets that turn out to be one were each charged with a part only. The level
of the one is the lower of both, and the marks of calls that are under way were counted in
two ledgers, so none of their readings is used: the first call that is sent afterwards
tells. Nobody else's charges can be told from a key's own by a level that several pay
into, so such a level teaches no prices; what a refusal says it asked for still does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .budget import Budget
from .lines import Line
from .quota import Quota
from .scopes import beside, plain

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler

# Names come from servers: more groups than this are no groups of models.
_GROUPS_MAX = 1000


def heed_group(scheduler: Scheduler, state: KeyState, group: str, *, now_ns: int) -> None:
    """A refusal of this key named the group of its limit, which is one of this key's scope."""
    groups, group = scheduler.groups, beside(state.name, group)
    if _is_typed(state.budget) or plain(state.name) in scheduler.together:
        return
    budget = groups.get(group)
    if budget is None or _is_typed(budget):
        if budget is None and len(groups) >= _GROUPS_MAX:
            return
        namesake = scheduler.keys.get(group, state)
        budget = groups[group] = (state if _is_typed(namesake.budget) else namesake).budget
    if budget is not state.budget:
        join(scheduler, budget, state.budget, now_ns)


def leave_group(scheduler: Scheduler, state: KeyState, quotas: Iterable[Quota], *, now_ns: int) -> None:
    """The caller typed quotas for this key: it has a budget of its own from now on, no fuller than the common one."""
    common, members = state.budget, state.kin
    state.budget = Budget(common.profile, common.shared, dice=common.dice, counts_after=scheduler.order)
    state.budget.set_quotas(quotas, now_ns=now_ns)
    state.budget.learner.begin_anew(state.budget.debits, now_ns=now_ns)
    for line in state.budget.all_lines:
        for theirs in common.lines.get(line.bucket.name, ()):
            if theirs.bucket.window_ns == line.bucket.window_ns:
                line.bucket.cap_level(theirs.bucket.level(now_ns=now_ns) * line.bucket.window_ns, now_ns=now_ns)
    state.kin = ()
    for member in members:
        member.kin = tuple(each for each in member.kin if each is not state)


def _is_typed(budget: Budget) -> bool:
    return any(line.bucket.ceiling is not None for line in budget.all_lines)


def join(scheduler: Scheduler, budget: Budget, other: Budget, now_ns: int) -> None:
    """All keys of *other* are charged in *budget* from now on."""
    for name, lines in other.lines.items():
        for line in lines:
            _take_over(budget, name, line, now_ns)
    if budget.learner.bucket is None:
        budget.learner = other.learner
    budget.learner.begin_anew(budget.debits, now_ns=now_ns)
    if budget.slowdown.pace is None:
        budget.slowdown = other.slowdown
    budget.slowdown.begin_anew(budget.debits.calls, budget.debits.till("tokens").total, now_ns=now_ns)
    budget.has_readings = budget.has_readings or other.has_readings
    budget.priors &= other.priors
    budget.counts_after = scheduler.order
    for line in budget.all_lines:
        line.series.begin_anew(scheduler.order)
        line.bucket.peaks.clear()
    budget.rebuild()
    for name, known in scheduler.groups.items():
        if known is other:
            scheduler.groups[name] = budget
    # A key may have two names.
    states = dict.fromkeys(scheduler.keys.values())
    members = [state for state in states if state.budget is budget or state.budget is other]
    for state in members:
        state.budget = budget
        state.kin = tuple(each for each in members if each is not state)
        scheduler.agenda.touch(state)


def _take_over(budget: Budget, name: str, line: Line, now_ns: int) -> None:
    """A bucket that both have goes on at the lower level; one that only the other has comes along."""
    theirs = line.bucket
    for mine in budget.lines.get(name, ()):
        bucket = mine.bucket
        if bucket.window_ns != theirs.window_ns:
            # One window was only assumed, of the same limit: it is the other one.
            if bucket.limit != theirs.limit or not (mine.provisional or line.provisional):
                continue
            if mine.provisional:
                mine.set_window(theirs.window_ns, now_ns=now_ns)
        bucket.cap_level(theirs.level(now_ns=now_ns) * bucket.window_ns, now_ns=now_ns)
        for hint in theirs.hints:
            bucket.close(hint, now_ns=now_ns)
        return
    theirs.escrow = theirs.bands = None
    theirs.note_special()
    budget.lines.setdefault(name, []).append(line)
