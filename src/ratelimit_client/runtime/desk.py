"""
What every permit of a limiter needs, in one place.

Law of this file: a desk is made once. After a fork the child makes a new one; permits
of the parent that the child inherited keep the old, and can hand in there what they
hold without disturbing anybody.
"""

from __future__ import annotations

import asyncio
from typing import Any

import attrs

from .. import dialects
from ..core.retry import RetryPolicy
from ..core.signals import Signals
from ..core.ticket import Ticket
from ..core.units import NS, to_ns
from ..dialects.dialect import Dialect
from ..dialects.generic import GENERIC
from ..errors import DeadlineExpiredInQueue
from .clock import Clock
from .dispatcher import Dispatcher
from .pacing import Pacing


@attrs.define(eq=False, kw_only=True)
class Desk:
    """
    Args:
        dispatcher: where calls queue.
        clock: tells both times.
        dialect: how this server's headers are read; None until an answer has told.
        pacing: the smoothing of starts, or None.
        policy: what to retry, where a call says nothing else.
    """

    dispatcher: Dispatcher
    clock: Clock
    dialect: Dialect | None
    pacing: Pacing | None
    policy: RetryPolicy
    patience_ns: int | None = attrs.field(init=False)
    """How long a call without a deadline waits for a server that is gone."""

    @patience_ns.default
    def _patience_of_policy(self) -> int | None:
        return patience_of(self.policy)

    def read(self, ticket: Ticket, status: int, headers: Any, body: Any) -> Signals:
        """What an answer says, in the one vocabulary for all servers; never raises for what it says."""
        if not hasattr(headers, "items"):
            headers = list(headers)
        dialect = self.dialect
        if dialect is None:
            dialect = self._recognise(headers)
        now_s = self.clock.wall_ns() / NS
        taken_s = max(0, self.clock.monotonic_ns() - ticket.granted_ns) / NS
        return dialects.read(status, headers, body, dialect=dialect, now_wall_s=now_s, sent_wall_s=now_s - taken_s)

    def _recognise(self, headers: Any) -> Dialect:
        """Whose answer this is. Once it is known, this limiter speaks that language for good."""
        dialect = dialects.detect(headers=headers)
        if dialect is not GENERIC:
            self.dialect = dialect
            scheduler = self.dispatcher.scheduler
            scheduler.profile = dialect.profile
            for state in scheduler.keys.values():
                state.budget.profile = dialect.profile
        return dialect

    async def pace(self, pacing: Pacing, deadline_ns: int | None) -> None:
        """
        Wait until this call may start, as far as pacing is concerned.

        Raises:
            DeadlineExpiredInQueue: its deadline passed meanwhile; nothing was taken.
        """
        began_ns = self.clock.monotonic_ns()
        left_s = None if deadline_ns is None else max(0, deadline_ns - began_ns) / NS
        self.dispatcher.pause()
        try:
            async with asyncio.timeout(left_s) as limit:
                await pacing.acquire()
        except TimeoutError:
            if not limit.expired():
                raise
            waited_s = (self.clock.monotonic_ns() - began_ns) / NS
            message = f"the deadline passed after {waited_s:.1f} s of waiting for the pacing of starts; it was not sent"
            raise DeadlineExpiredInQueue(message, waited_s=waited_s) from None
        finally:
            self.dispatcher.resume()


def patience_of(policy: RetryPolicy) -> int | None:
    """How long a call without a deadline waits for a server that is gone; None: as long as it takes."""
    return None if policy.max_outage_s is None else to_ns(policy.max_outage_s)
