"""
What every permit of a limiter needs, in one place.

Law of this file: a desk is made once. After a fork the child makes a new one; permits
of the parent that the child inherited keep the old, and can hand in there what they
hold without disturbing anybody.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import attrs

from .. import dialects
from ..core.retry import RetryPolicy
from ..core.signals import Signals
from ..core.ticket import EVER_NS, Patience
from ..core.units import NS, to_ns
from ..dialects.dialect import Dialect
from ..dialects.generic import GENERIC
from ..errors import DeadlineExpiredInQueue
from .clock import Clock
from .dispatcher import Dispatcher
from .pacing import Pacing
from .unread import Unread


@attrs.define(eq=False)
class Told:
    """What a success says, read when somebody asks: few do, and the limiter learns nothing from most."""

    status: int
    headers: Any = attrs.field(repr=False)  # a server may quote a key there, and tracebacks show locals
    dialect: Dialect | None
    wall_ns: int
    unread: Unread | None = None
    _signals: Signals | None = attrs.field(default=None, repr=False)
    learnt: Signals | None = attrs.field(default=None, init=False, repr=False)
    """As much as the limiter learnt from it."""

    @property
    def seen(self) -> Signals | None:
        """As much as was read so far; None: nothing."""
        return self._signals

    @property
    def signals(self) -> Signals:
        """All of it."""
        found = self._signals
        if found is None:
            now_s = self.wall_ns / NS
            found = dialects.read(self.status, self.headers, dialect=self.dialect or GENERIC, now_wall_s=now_s)
            if found.unread and self.unread is not None:
                self.unread.note(found.unread)
            self._signals = found
        return found


@attrs.define(eq=False, kw_only=True)
class Desk:
    """
    Args:
        dispatcher: where calls queue.
        clock: tells both times.
        dialect: how this server's headers are read; None until an answer has told.
        pacing: the smoothing of starts, or None.
        policy: what to retry, where a call says nothing else.
        unread: what of the answers nobody understood.
    """

    dispatcher: Dispatcher
    clock: Clock
    dialect: Dialect | None
    pacing: Pacing | None
    policy: RetryPolicy
    unread: Unread
    sure: bool = attrs.field(init=False)
    """The dialect was given, or is a vendor's own: nothing is left to find out."""
    patience: Patience = attrs.field(init=False)
    """How long a call waits for the sake of the server."""

    @sure.default
    def _given(self) -> bool:
        return self.dialect is not None

    @patience.default
    def _patience_of_policy(self) -> Patience:
        return patience_of(self.policy)

    def read(self, status: int, headers: Any, body: Any) -> Signals:
        """What an answer says, in the one vocabulary for all servers; never raises for what it says."""
        dialect = self.dialect
        if dialect is None or not self.sure:
            if not hasattr(headers, "items"):
                headers = list(headers)
            dialect = self._recognise(headers)
        signals = dialects.read(status, headers, body, dialect=dialect, now_wall_s=self.clock.wall_ns() / NS)
        if signals.unread:
            self.unread.note(signals.unread)
        return signals

    def told(self, status: int, headers: Any) -> Told:
        """What a success says, to be read later if it can wait."""
        if self.sure:
            return Told(status, headers, self.dialect, self.clock.wall_ns(), self.unread)
        return Told(status, headers, None, 0, None, self.read(status, headers, None))

    def _recognise(self, headers: Any) -> Dialect:
        """
        Whose answer this is.

        Once a vendor is known this limiter speaks its language for good. A language that
        any gateway may add to answers which are not its own holds only until then.
        """
        found = dialects.detect(headers=headers)
        if found is GENERIC:
            return self.dialect or GENERIC
        self.sure = found.is_vendors
        if found is not self.dialect:
            self.dialect = found
            self.dispatcher.scheduler.adopt(found.profile)
        return found

    def reports_written(self) -> None:
        """From now on whoever makes calls says of each when its first byte was written."""
        scheduler = self.dispatcher.scheduler
        scheduler.reports_written = True
        for state in scheduler.keys.values():
            state.window.waits_for_written = True

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


def patience_of(policy: RetryPolicy) -> Patience:
    """How long a call waits for a server that is gone, and for one that asks for a wait."""
    outage_ns = None if policy.max_outage_s is None else to_ns(policy.max_outage_s)
    return Patience(outage_ns, to_ns(policy.max_hint_s) if policy.max_hint_s < math.inf else EVER_NS)
