"""What headers may do, and what they may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratelimit_client.core.signals import Reason
from ratelimit_client.core.units import MAX_AMOUNT, NS

from ..check import Check

if TYPE_CHECKING:
    from ratelimit_client.core.signals import Signals
    from ratelimit_client.core.ticket import Ticket

    from ..watching import Watched


class HeadersAreHarmless(Check):
    """
    I13. Whatever an answer says, levels stay whole numbers within the bucket, limits stay below what was typed, and
    an answer to an older call undoes nothing that a newer one said.
    """

    def answered(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        state = of.keys[ticket.key]
        held = {(line.bucket.name, line.bucket.window_ns, line.bucket.ceiling) for line in state.budget.all_lines}
        for quota in of._typed(state.name):
            if (quota.unit, quota.window_ns, quota.amount) not in held:
                self.broken(f"gate {of.gate}: {quota!r} was typed and is not held")
        for name, lines in state.budget.lines.items():
            for line in lines:
                bucket = line.bucket
                numbers = (bucket.credits, bucket.brim, bucket.limit, bucket.reserve, bucket.gate_ns)
                if not all(type(number) is int for number in numbers):
                    self.broken(f"gate {of.gate}: {name} holds {numbers}")
                bucket.refresh(now_ns=now_ns)
                if not (
                    -(MAX_AMOUNT * bucket.window_ns) <= bucket.credits <= bucket.brim and 0 < bucket.limit <= MAX_AMOUNT
                ):
                    self.broken(f"gate {of.gate}: {name} holds {bucket.credits} of {bucket.brim}, limit {bucket.limit}")
                if bucket.ceiling is not None and bucket.limit > bucket.ceiling:
                    self.broken(f"gate {of.gate}: {bucket.ceiling} {name} were typed, and {bucket.limit} are believed")

    heard = answered


class OldNewsRaisesNothing(Check):
    """I13. A success that comes after the answer to a later call was read raises no level."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._newest: dict[tuple[int, int, int], int] = {}

    def answered(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        for line in of.keys[ticket.key].budget.all_lines:
            bucket = line.bucket
            at = of.gate, id(bucket), bucket.window_ns  # of another window it is another quota, and begins anew
            newest = self._newest.get(at, -1)
            if signals.reason is Reason.OK and ticket.order < newest and of.moved.get(id(bucket), 0) > 0:
                self.broken(f"gate {of.gate}: #{ticket.seq}, which is older, raised {bucket.name}")
            if line.series.last_order == ticket.order:
                self._newest[at] = max(newest, ticket.order)


class NoEndlessPause(Check):
    """I13. No answer closes a key for longer than a month."""

    def answered(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        state = of.keys[ticket.key]
        buckets = [bucket for paid in state.budget.by_unit.values() for bucket in paid]
        closed_ns = max([state.gate_ns, *(bucket.gate_ns for bucket in buckets)]) - now_ns
        if closed_ns > 31 * 86_400 * NS + NS:
            self.broken(f"gate {of.gate}: {state.name} is closed for {closed_ns / NS:g} s")

    heard = answered
