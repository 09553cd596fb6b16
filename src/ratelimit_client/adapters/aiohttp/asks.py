"""
Which response of a session is paid by which permit.

Law of this file: a response holds one permit from the instant in which it was asked for to its
``response.done``, and then what it used is settled and its place is free. Whatever way the session
ends, no permit is left.

Theory. Responses of one conversation come one after the other, in the order in which they
were asked for, and an answer does not name the event that asked. So ``response.created`` belongs
to the one who has waited longest for it. If nobody waits, the server has begun it by itself (it
heard the end of a turn): it runs already, so it can wait for no turn, and it is charged at
once if there is room, else when it is over and its cost is known, else not at all; the
limits that the server tells afterwards have it in them anyway. Should it have been taken for one that was
asked for, the server refuses that one, by name, and the books are even again: one permit, one response.

Limits that come while no response is under way are those of the last one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ...core.cost import Cost
from ...core.signals import Reason, Signals
from ...dialects.realtime import Means, RealtimeEvent, read_event
from ...dialects.registry import AUTO
from ...dialects.talk import Talk
from ...errors import CostExceedsQuota, NotAdmitted, StreamError, Throttled, WrongLoop
from ...runtime.limiter import Limiter
from ...runtime.permit import Permit
from .tally import Tally, outcome_of

_MOST_ACTIVE = 64
_LONGEST_S = 86_400.0


@attrs.define(eq=False)
class Ask:
    """
    One response that was asked for, or came by itself.

    Args:
        permit: pays for it; None where there was no room for one that came by itself.
        name: the client's name for the event that asked.
        began: when, by the loop's clock.
    """

    permit: Permit | None
    name: str
    began: float


class Asks:
    """
    The responses of one session.

    Args:
        limiter: where they are paid.
        first: the permit of the handshake, which knows whose server it is.
        key: the budget, in its scope.
        name: the key as the user knows it, for the tally.
        tally: where is counted what became of them.
        now: the loop's clock.
    """

    def __init__(
        self, limiter: Limiter, first: Permit, key: str, name: str, tally: Tally, now: Callable[[], float]
    ) -> None:
        self.talk = Talk()
        self.failure: Signals | None = None
        """What the latest response that failed, or the latest error, said; None when one went well since."""
        self.expires_at: float | None = None
        self.ends_at: float | None = None
        """The same by the loop's clock, which nobody sets; None when it is not known."""
        self.expired = False
        self._limiter = limiter
        self._first = first
        self._key = key
        self._name = name
        self._tally = tally
        self._now = now
        self._last: Permit | None = None
        self._count = 0
        self._waiting: deque[Ask] = deque()
        self._active: dict[str, Ask] = {}

    def __repr__(self) -> str:
        return f"<Asks: {len(self._waiting)} waiting, {len(self._active)} under way>"

    def __len__(self) -> int:
        return len(self._waiting) + len(self._active)

    def asked(self, permit: Permit, name: str) -> None:
        """*permit* is for the response that the event *name* asks for."""
        self._waiting.append(Ask(permit, name, self._now()))

    def taken_back(self, name: str) -> None:
        """The event *name* was not sent."""
        for ask in self._waiting:
            if ask.name == name:
                self._waiting.remove(ask)
                return

    def hear(self, event: Mapping[str, Any]) -> None:
        """The server says *event*; never raises for what that is."""
        first = self._first
        known = read_event(event, server=first.dialect or AUTO, now_wall_s=first.wall_s)
        means = known.means
        if means is Means.BEGUN:
            self._begun(known)
        elif means is Means.DONE:
            self._done(known)
        elif means is Means.LIMITS:
            self._listen(known.signals)
        elif means is Means.ERROR:
            self._refused(known)
        elif means is Means.SESSION:
            if known.expires_at is not None:
                self._expires(known.expires_at)
            self.talk.settings(known.data.get("session"))

    def _expires(self, at: float) -> None:
        self.expires_at = at
        left_s = at - self._first.wall_s
        # What is over already, or far off, tells that one of two clocks is wrong.
        self.ends_at = self._now() + left_s if 0 < left_s < _LONGEST_S else None

    def _begun(self, known: RealtimeEvent) -> None:
        self._count += 1
        name = known.response_id or f"number {self._count}"
        if name in self._active or (len(self._active) >= _MOST_ACTIVE and not self._waiting):
            return  # it has begun already, or this server begins and never ends
        self._active[name] = self._waiting.popleft() if self._waiting else Ask(self._at_once(), "", self._now())

    def _done(self, known: RealtimeEvent) -> None:
        self.talk.used(known.usage)
        failed = known.signals.reason is not Reason.OK
        self.failure = known.signals if failed else None
        self._tally.used(self._name, known.usage)
        name = known.response_id or next(iter(self._active), "")
        ask = self._active.pop(name, None)
        if ask is None and not self._active and self._waiting:
            ask = self._waiting.popleft()  # nobody said that it began
        if ask is None:
            return
        if ask.permit is None and known.tokens is not None:
            ask.permit = self._at_once(Cost(requests=1, tokens=known.tokens))
        self._end(ask, known.signals, known.tokens, "error" if failed else "success")

    def _refused(self, known: RealtimeEvent) -> None:
        self.failure = known.signals
        self.expired = self.expired or known.expired
        ask = next((ask for ask in self._waiting if ask.name == known.about), None)
        if ask is None and known.about is None and known.teaches and self._waiting:
            ask = self._waiting[0]
        if ask is not None:
            self._waiting.remove(ask)
            self._end(ask, known.signals if known.teaches else None, None, "error")
        elif known.teaches:
            self._listen(known.signals)

    def _end(self, ask: Ask, signals: Signals | None, tokens: int | None, outcome: str) -> None:
        self._tally.add(self._name, outcome, self._now() - ask.began)
        permit = ask.permit
        if permit is None:
            return
        self._last = permit
        if signals is not None:
            permit.heard(signals)
        if tokens is not None:
            permit.settle(tokens=tokens)
        permit.finish(None if signals is not None else asyncio.CancelledError())

    def _listen(self, signals: Signals) -> None:
        """Levels, or an error of nobody's: read beside what is under way, if anything is."""
        if signals.reason is Reason.OK and not signals.readings:
            return  # a list of no limits says nothing
        ears = [ask.permit for ask in self._active.values() or self._waiting if ask.permit is not None]
        ear = ears[-1] if ears else self._last
        if ear is not None:
            ear.heard(signals)
        elif not signals.readings:  # a level is read beside what was charged, and the handshake was charged nothing
            self._first.heard(signals)

    def _at_once(self, cost: Cost | None = None) -> Permit | None:
        """A permit for what happens anyway; None when there is no room for it now."""
        features = self.talk.features({}) if cost is None else None
        try:
            return self._limiter.permit_nowait(self._key, cost=cost, features=features)
        except (NotAdmitted, CostExceedsQuota, Throttled, WrongLoop):
            return None

    def over(self, error: StreamError | None) -> None:
        """The session is over: all places are free. *error* is how it ended, if otherwise than well."""
        outcome = "cancelled" if error is None else outcome_of(error)
        if error is not None and error.signals is not None and error.signals.reason is not Reason.CLIENT_ERROR:
            self._listen(error.signals)
        for ask in (*self._active.values(), *self._waiting):
            self._tally.add(self._name, outcome, self._now() - ask.began)
            if ask.permit is not None:
                ask.permit.finish(asyncio.CancelledError() if error is None else error)
        self._active.clear()
        self._waiting.clear()
