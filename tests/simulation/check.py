"""
What a checker hears, and how it says that something is wrong.

Law of this file: a checker looks on. It keeps books of its own, changes nothing, and calls
the first thing that must not be ``broken``; that ends the day. It judges by what was asked
and answered, and reads the state of the library only where that state is what it is about.

A checker overrides the methods of what it wants to hear. All instants are nanoseconds of the
monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratelimit_client.core.concurrency import Ending
    from ratelimit_client.core.failure import TransportFailure
    from ratelimit_client.core.keystate import KeyState
    from ratelimit_client.core.retry import GiveUp, RetryAt, RetryPolicy
    from ratelimit_client.core.signals import Signals
    from ratelimit_client.core.ticket import Ticket
    from ratelimit_client.testing import Answer

    from .day import Day
    from .records import Record
    from .watching import Watched

Levels = Mapping[int, int]
"""Credits by bucket."""


class Broken(AssertionError):
    """An invariant does not hold; the message names it and tells what was seen."""


class Check:
    """One invariant; a subclass says in its docstring which."""

    def __init__(self, day: Day) -> None:
        self.day = day

    def broken(self, what: str) -> None:
        """Say that it does not hold."""
        law = " ".join((type(self).__doc__ or "").split())
        self.day.broken(Broken(f"{what}\n  at {self.day.loop.elapsed_s:.9f} s, against {type(self).__name__}: {law}"))

    # -- the day ------------------------------------------------------------------

    def begins(self) -> None:
        """Everything is set up."""

    def instant(self, now_ns: int) -> None:
        """All that can happen at this instant has happened."""

    def rests(self) -> None:
        """Every call has ended and everything was closed."""

    # -- a logical call, as its caller sees it --------------------------------------

    def began(self, record: Record) -> None:
        """It was made."""

    def ended(self, record: Record) -> None:
        """It has brought something, or raised."""

    def arrived(self, gate: int, answer: Answer, now_ns: int) -> None:
        """A server has decided a request that came from a gate."""

    # -- one scheduler ----------------------------------------------------------------

    def submitted(self, of: Watched, ticket: Ticket, now_ns: int) -> None:
        """A call has a ticket; it was granted at once, or it waits."""

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        """It may go."""

    def written(self, of: Watched, ticket: Ticket, now_ns: int) -> None:
        """Its first byte was written."""

    def answered(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        """The head of an answer was read and used."""

    def heard(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        """Something was said after the head of an answer, or on a socket, and used."""

    def failed(self, of: Watched, ticket: Ticket, failure: TransportFailure, now_ns: int) -> None:
        """No usable answer came."""

    def withdrawn(self, of: Watched, ticket: Ticket, moved: Levels, now_ns: int) -> None:
        """Nothing had been written; *moved* is what came back to each bucket."""

    def settled(self, of: Watched, ticket: Ticket, refund: Mapping[str, int], moved: Levels, now_ns: int) -> None:
        """It was told what it used: *refund* units less than was charged before."""

    def released(self, of: Watched, ticket: Ticket, ending: Ending, now_ns: int) -> None:
        """Its slot is free."""

    def judged(
        self, of: Watched, ticket: Ticket, outcome: Any, policy: RetryPolicy, verdict: RetryAt | GiveUp, now_ns: int
    ) -> None:
        """What is to follow an attempt that did not succeed."""

    def requeued(self, of: Watched, ticket: Ticket, now_ns: int) -> None:
        """It waits again."""

    def gone(self, of: Watched, tickets: Sequence[Ticket], now_ns: int) -> None:
        """They left the queue, or gave up their grant, and will not come back."""

    def quotas_changed(self, of: Watched, now_ns: int) -> None:
        """Others hold from now on."""
