"""
Limits remembered from an earlier run.

Law of this file: a prior is a guess about a server that has not spoken yet. It is
no ceiling and proves nothing: the first reading of its dimension takes its place,
whatever that says, and a limit that somebody typed or a server showed is never
touched by one.

Theory. Before the first answer a key knows no limit, and what it sends in that
time may be more than its bucket holds. A prior bounds these first calls as the
limit of last time would; its bucket begins full, which is what would be believed
of the same limit if it were typed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .bucket import Bucket
from .quota import Quota

if TYPE_CHECKING:
    from .budget import Budget
    from .scheduler import Scheduler

PRIOR = "prior"


def expect(scheduler: Scheduler, key: str, quotas: Iterable[Quota], *, now_ns: int) -> None:
    """Before the first call of *key*: hold these limits in every dimension of which nothing is known yet."""
    state = scheduler.keys.get(key)
    if state is None:
        state = scheduler.open_key(key, now_ns=now_ns)
    budget = state.budget
    known = {name for name, lines in budget.lines.items() if lines}
    for quota in quotas:
        if quota.unit in known:
            continue
        pays = budget.profile.pays.get(quota.unit)
        bucket = Bucket.full(quota.unit, quota.amount, quota.window_ns, pays=pays, source=PRIOR, now_ns=now_ns)
        bucket.reserve = bucket.brim // 100
        budget.add_line(bucket)
        budget.priors.add(quota.unit)


def forget(budget: Budget, name: str) -> None:
    """The server spoke of this dimension."""
    budget.priors.discard(name)
    budget.lines[name] = [line for line in budget.lines.get(name, ()) if line.bucket.source != PRIOR]
    budget.rebuild()
