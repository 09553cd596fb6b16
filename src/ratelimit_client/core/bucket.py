"""
The level of one quota, and what time does to it.

Law of this file: a bucket is told the time and never asks for it. Every answer
is an integer, so the same calls give the same answers to the last nanosecond.

Theory. A quota of *limit* units per *window* flows back at ``limit / window_ns``
units per nanosecond, which is a fraction. The level is therefore kept in
*credits*, with ``window_ns`` credits to the unit: one nanosecond returns exactly
*limit* credits, and nothing is rounded but the instant of an answer, which is
rounded up. A *window* bucket gets nothing in between: its level steps to the
limit at the reset, and what the step gave is let out over a short spread.

The level may fall below zero. A server that reports less than we believed has
told us of spending we did not see; an estimate larger than the bucket goes when
it is full and leaves it in debt. Time repays both.

*Holds* are credits set aside out of the level: an escrow for the one blocked
call that waits longest, and a tenth of the refill for each worse band that
waits. They grow with ``refilled``, the sum of all that ever flowed in. While the
escrow is for a call of a better band, a worse one gets that tenth and no more:
what flows beside the holds is the better one's.
"""

from __future__ import annotations

import attrs

from .hints import Hint, longest, with_hint
from .peaks import Peaks
from .profile import Refill
from .units import NS

# A new window opens over min(10 s, window / 20), so that a thousand clients that
# waited for the same reset do not all knock at once.
_OPENING_CAP_NS = 10 * NS
_OPENING_DIVISOR = 20
_RESERVE_NS = 60 * NS


@attrs.define(eq=False)
class Hold:
    """
    Credits of one bucket set aside for a waiting call or band.

    Args:
        owner: the ticket it is for, or the key that speaks for a band.
        part, whole: the hold grows by part/whole of what flows into the bucket.
        cap: it never holds more credits than this.
        amount: credits held when ``since`` (the bucket's ``refilled``) was noted.
        band: of the call that an escrow is for.
    """

    owner: object
    part: int
    whole: int
    cap: int
    amount: int
    since: int
    band: int = 0

    def at(self, refilled: int) -> int:
        """Credits held once *refilled* credits have ever flowed into the bucket."""
        grown = self.amount + (refilled - self.since) * self.part // self.whole
        return grown if grown < self.cap else self.cap

    def inflow_until(self, credits_: int, refilled: int) -> int:
        """Credits that have to flow into the bucket before *credits_*, or all it may hold, are held."""
        missing = min(credits_, self.cap) - self.at(refilled)
        return -(-missing * self.whole // self.part) if missing > 0 else 0

    def spend(self, credits_: int, refilled: int) -> None:
        """The owner drew *credits_*; what was held for it is used first."""
        self.amount = max(0, self.at(refilled) - credits_)
        self.since = refilled


@attrs.define(eq=False)
class Bucket:
    """
    What is left of one quota.

    Args:
        name: the server's own name of the dimension.
        pays: the unit of a call's cost that is charged here; None: shown, not enforced.
        limit: units that flow back in one window.
        window_ns: the window.
        refill: CONTINUOUS or WINDOW.
        brim: credits of a full bucket.
        source: who said so: "config", "header", "learned" or "prior".
        ceiling: units the caller allowed; a server may lower the limit, never raise it above.
        firm: the limit is certain enough to say "never".
        credits, as_of_ns: the level, and when it was true.
        refilled: credits that ever flowed in.
        reserve: credits kept back; ``spends_reserve`` ends that, when no more input comes.
        steps_at_ns, stepped_ns: the next and the last reset of a window.
        gate_ns, hints: until then some calls may not go, and which (a server's hints).
        escrow, bands: credits set aside, see Hold.
        watched: readings correct it, so its peaks are worth noting.
        peaks: when it may have been full, see there.
        special: it is a window or something is held: no short cuts.
    """

    name: str
    pays: str | None
    limit: int
    window_ns: int
    refill: Refill = Refill.CONTINUOUS
    source: str = "config"
    ceiling: int | None = None
    firm: bool = False
    brim: int = 0
    credits: int = 0
    as_of_ns: int = 0
    refilled: int = 0
    reserve: int = 0
    spends_reserve: bool = False
    steps_at_ns: int | None = None
    stepped_ns: int | None = None
    gate_ns: int = 0
    hints: tuple[Hint, ...] = ()
    escrow: Hold | None = None
    bands: dict[int, Hold] | None = None
    special: bool = False
    watched: bool = False
    peaks: Peaks = attrs.field(factory=Peaks)

    @classmethod
    def full(
        cls,
        name: str,
        limit: int,
        window_ns: int,
        *,
        pays: str | None,
        refill: Refill = Refill.CONTINUOUS,
        source: str = "config",
        now_ns: int,
    ) -> Bucket:
        """A bucket nobody has drawn from yet."""
        brim = limit * window_ns
        special = refill is Refill.WINDOW
        return cls(
            name, pays, limit, window_ns, refill, source, brim=brim, credits=brim, as_of_ns=now_ns, special=special
        )

    def note_special(self) -> None:
        """Say whether short cuts are allowed; called after holds or the kind of refill changed."""
        self.special = self.refill is Refill.WINDOW or self.escrow is not None or self.bands is not None

    @property
    def capacity(self) -> int:
        """Whole units of a full bucket."""
        return self.brim // self.window_ns

    @property
    def most_reserve(self) -> int:
        """
        Credits that may be kept back at most: a tenth, but no more than flows back in a minute.

        A tenth of a day's limit would be hours in which nobody is served.
        """
        return max(self.brim // 100, min(self.brim // 10, _RESERVE_NS * self.limit))

    # -- time -----------------------------------------------------------------

    def refresh(self, *, now_ns: int) -> None:
        """Bring the level to *now_ns*. A clock that steps back finds time standing still."""
        elapsed_ns = now_ns - self.as_of_ns
        if elapsed_ns <= 0:
            return
        self.as_of_ns = now_ns
        if self.refill is Refill.WINDOW:
            self._step(now_ns)
            return
        gained = elapsed_ns * self.limit
        room = self.brim - self.credits
        if gained > room:
            gained = room if room > 0 else 0
        self.credits += gained
        self.refilled += gained

    def _step(self, now_ns: int) -> None:
        if self.steps_at_ns is None or now_ns < self.steps_at_ns:
            return
        passed = (now_ns - self.steps_at_ns) // self.window_ns
        self.stepped_ns = self.steps_at_ns + passed * self.window_ns
        self.steps_at_ns = self.stepped_ns + self.window_ns
        gained = max(0, self.brim - self.credits)
        self.credits += gained
        self.refilled += gained

    def _unopened(self, now_ns: int) -> int:
        """Credits of a window that has just stepped and are not let out yet."""
        if self.stepped_ns is None:
            return 0
        spread_ns = min(_OPENING_CAP_NS, self.window_ns // _OPENING_DIVISOR)
        left_ns = self.stepped_ns + spread_ns - now_ns
        return self.brim * left_ns // spread_ns if left_ns > 0 else 0

    def level(self, *, now_ns: int) -> int:
        """Whole units on hand; negative while in debt."""
        self.refresh(now_ns=now_ns)
        return self.credits // self.window_ns

    def refilled_at_ns(self, amount: int, *, now_ns: int) -> int:
        """When *amount* units, more than the capacity if need be, will have been available in all."""
        self.refresh(now_ns=now_ns)
        missing = amount * self.window_ns - self.credits
        if missing <= 0:
            return now_ns
        if self.refill is Refill.WINDOW and self.steps_at_ns is not None:
            return self.steps_at_ns + (-(-missing // self.brim) - 1) * self.window_ns
        return now_ns - (-missing // self.limit)

    # -- admission ------------------------------------------------------------

    def ready_at_ns(self, amount: int, *, owner: object = None, band: int = 0, now_ns: int) -> int:
        """
        The first instant, now or later, at which *amount* can be taken.

        An amount above the capacity is ready when the bucket is full. The
        reserve stays behind as far as the bucket is larger than the amount.
        """
        if self.gate_ns > now_ns and (hint := longest(self.hints, amount, now_ns=now_ns)) is not None:
            return hint.until_ns
        cost = amount * self.window_ns
        slack = self.brim - cost
        if slack <= 0:
            need = self.brim
        elif self.spends_reserve:
            need = cost
        else:
            need = cost + (self.reserve if self.reserve < slack else slack)
        if self.credits >= need and self.escrow is None and self.bands is None and self.stepped_ns is None:
            return now_ns
        self.refresh(now_ns=now_ns)
        ready_ns = self._ready_after_refresh(need, owner, band, now_ns)
        inflow = self._own_share_missing(cost, owner, band)
        if not inflow:
            return ready_ns
        # A window gets nothing but its step.
        by_itself = self.refill is not Refill.WINDOW
        own_ns = now_ns - (-inflow // self.limit) if by_itself else self._window_ready_ns(self.brim, now_ns)
        return max(ready_ns, own_ns)

    def _ready_after_refresh(self, need: int, owner: object, band: int, now_ns: int) -> int:
        holds = self._holds_of_others(owner, band)
        # A full bucket serves whoever is first to ask: what is held there grows no more, and all would wait for ever.
        held = min(sum(hold.at(self.refilled) for hold in holds), self.brim - need)
        missing = need + held + self._unopened(now_ns) - self.credits
        if missing <= 0:
            return now_ns
        if self.refill is Refill.WINDOW:
            return self._window_ready_ns(need + held, now_ns)
        if holds:
            missing = self._inflow_until(need, holds)
        return now_ns - (-missing // self.limit)

    def _own_share_missing(self, cost: int, owner: object, band: int) -> int:
        """Credits that have to flow in before a call, with one of a better band before it, has its band's share."""
        escrow = self.escrow
        if escrow is None or self.bands is None or escrow.owner is owner or escrow.band >= band:
            return 0
        own = self.bands.get(band)
        # Into a full bucket nothing flows; the share would never grow, and the better one waits for something else.
        return 0 if own is None else min(own.inflow_until(cost, self.refilled), self.brim - self.credits)

    def _inflow_until(self, need: int, holds: list[Hold]) -> int:
        """Credits that have to flow in before *need* is there beside *holds*, which grow meanwhile."""
        missing, free, inflow = need - self.credits, 1000, 0
        growing = []
        for hold in holds:
            held = hold.at(self.refilled)
            missing += held
            part = 1000 * hold.part // hold.whole
            free -= part
            growing.append((-(-(hold.cap - held) * hold.whole // hold.part), part))
        for full_after, part in sorted(growing):
            gained = (full_after - inflow) * free // 1000
            if gained >= missing:
                break
            missing, free, inflow = missing - gained, free + part, full_after
        return min(inflow - (-missing * 1000 // free), self.brim - self.credits)

    def _window_ready_ns(self, need: int, now_ns: int) -> int:
        if self.credits >= need and self.stepped_ns is not None:
            spread_ns = min(_OPENING_CAP_NS, self.window_ns // _OPENING_DIVISOR)
            spare = self.credits - need
            opens_ns = self.stepped_ns + spread_ns - spare * spread_ns // self.brim
            return max(now_ns + 1, opens_ns)
        if self.steps_at_ns is None:
            # A reading emptied it without telling its reset, before any call of ours paid here.
            self.steps_at_ns = now_ns + self.window_ns
        return max(now_ns + 1, self.steps_at_ns)

    def _holds_of_others(self, owner: object, band: int) -> list[Hold]:
        """What is set aside, but not for this caller: the escrow, and what is kept for worse bands."""
        holds = [] if self.escrow is None or self.escrow.owner is owner else [self.escrow]
        if self.bands is not None:
            holds += [hold for number, hold in self.bands.items() if number > band]
        return holds

    def take(self, amount: int, *, owner: object = None, band: int = 0, now_ns: int) -> None:
        """Draw *amount*; the caller has seen that it is ready. More than the level is debt."""
        if self.refill is Refill.WINDOW and self.steps_at_ns is None:
            self.steps_at_ns = now_ns + self.window_ns
        if now_ns > self.as_of_ns:
            self.refresh(now_ns=now_ns)
        cost = amount * self.window_ns
        self.credits -= cost
        if self.escrow is not None and self.escrow.owner is owner:
            self.escrow = None
            self.note_special()
        if self.bands is not None and band in self.bands:
            self.bands[band].spend(cost, self.refilled)

    def give_back(self, amount: int, *, now_ns: int) -> None:
        """Return what was taken and never reached the server."""
        self.refresh(now_ns=now_ns)
        self.credits = min(self.brim, self.credits + amount * self.window_ns)

    # -- holds ----------------------------------------------------------------

    def hold_for(self, ticket: object, amount: int, *, band: int = 0, now_ns: int) -> None:
        """Open the escrow for a blocked head, half of the refill; one that comes before takes over what is held."""
        self.refresh(now_ns=now_ns)
        cap = min(amount * self.window_ns, self.brim)
        held = 0 if self.escrow is None else min(cap, self.escrow.at(self.refilled))
        self.escrow = Hold(ticket, 1, 2, cap, held, self.refilled, band)
        self.special = True

    def holds_for(self, ticket: object) -> bool:
        """The escrow is this ticket's."""
        return self.escrow is not None and self.escrow.owner is ticket

    def drop_hold(self, ticket: object) -> None:
        """The ticket left the queue without its grant: what was set aside is everyone's again."""
        if self.escrow is not None and self.escrow.owner is ticket:
            self.escrow = None
            self.note_special()

    def keep_for_bands(self, waiting: dict[int, int], *, owner: object = None, now_ns: int) -> bool:
        """
        Keep a tenth of the refill for each band in *waiting* (band -> cost of its head, in units).

        Where several keys share the bucket, each (an *owner*) speaks only for the bands it was the first to name.
        True when something that was kept is free again.
        """
        self.refresh(now_ns=now_ns)
        before = self.bands or {}
        bands = {band: hold for band, hold in before.items() if hold.owner != owner}
        second = NS * self.limit
        for band, amount in waiting.items():
            if band in bands:
                continue
            cap = min(self.brim, max(second, amount * self.window_ns))
            hold = before.get(band) or Hold(owner, 1, 10, cap, 0, self.refilled)
            hold.cap = cap
            bands[band] = hold
        self.bands = bands or None
        self.note_special()
        return len(before.keys() - bands.keys()) > 0

    def owes(self, amount: int, *, band: int) -> bool:
        """A call of *amount* needs the whole bucket, and its band has been kept all that it may be."""
        hold = None if self.bands is None else self.bands.get(band)
        whole = self.brim - amount * self.window_ns <= self.reserve
        return whole and hold is not None and hold.at(self.refilled) >= hold.cap

    # -- what the server says -------------------------------------------------

    def close(self, hint: Hint, *, now_ns: int) -> None:
        """A server asked some calls not to come before an instant."""
        self.hints = with_hint(self.hints, hint, now_ns=now_ns)
        self.gate_ns = max((each.until_ns for each in self.hints), default=0)

    def set_level(self, credits_: int, *, now_ns: int) -> None:
        """The level is now *credits_* (never above the brim)."""
        self.refresh(now_ns=now_ns)
        self.credits = min(self.brim, credits_)

    def cap_level(self, credits_: int, *, now_ns: int) -> None:
        """The level is at most *credits_*."""
        self.refresh(now_ns=now_ns)
        if self.credits > credits_:
            self.credits = credits_

    def resize(self, limit: int, *, now_ns: int) -> None:
        """The quota changed. Used units stay used: a larger bucket does not start fuller, a smaller one owes itself."""
        self.refresh(now_ns=now_ns)
        self.limit = limit
        self.brim = limit * self.window_ns
        self.peaks.clear()
        self.credits = max(-self.brim, min(self.brim, self.credits))
        self.reserve = min(self.reserve, self.brim)
