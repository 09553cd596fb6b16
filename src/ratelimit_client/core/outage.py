"""
When everything fails, one call asks and the others wait.

Law of this file: ten outcomes in a row that are the server's or the network's
fault, with no success between them, close the key. Then one probe may go after
1, 2, 4 ... 60 s. The first answer of a server that lives opens the key again.

Theory. A retry budget alone turns an outage of ten minutes into as many lost
calls as are waiting: each spends its attempts on a server that is not there. An
outage is a fact about the key, not about a call, so the key bears it: a probe
costs its call no attempt, and what waits, waits. A refusal by a rate limit and
an error that is the call's own fault come from a server that is well. They end
an outage, but they are no success: between outcomes that count they change nothing.
"""

from __future__ import annotations

import attrs

from .failure import TransportFailure
from .signals import Reason, Signals
from .units import NS, to_s

FAILURES_TO_CLOSE = 10
_FIRST_PROBE_NS = NS
_LONGEST_PROBE_NS = 60 * NS
_MAX_DOUBLINGS = 6  # 2^6 s is above the longest


def blames_server(outcome: Signals | TransportFailure) -> bool:
    """
    Whether an outcome counts towards an outage.

    Server errors (5xx, 529 and the like) and faults of the way do. Refusals, *slow
    down* under whatever status, the call's own 4xx, an idle connection that was closed, a server we do not trust
    and errors of the caller's code do not.
    """
    if isinstance(outcome, TransportFailure):
        return outcome.may_pass and not outcome.stale
    return (outcome.status >= 500 and not outcome.slow_down) or outcome.reason is Reason.SERVER_ERROR


@attrs.define(eq=False)
class OutageBreaker:
    """
    Whether one key's server is there at all.

    The caller reports every outcome, asks ``admits`` before a grant, and after a
    grant while ``open`` says ``probe_granted``.
    """

    since_ns: int | None = None
    """The instant the outage was noticed; None while all is well."""

    next_probe_ns: int = 0
    """The first instant another probe may go; meaningless while all is well."""

    last_success_ns: int | None = None
    failures_in_row: int = 0
    probes: int = 0
    """Probes granted in this outage."""

    _heard: bool = False
    """Something has failed since the last probe went."""

    @property
    def open(self) -> bool:
        """An outage is on: calls wait, probes ask."""
        return self.since_ns is not None

    def admits(self, *, now_ns: int) -> bool:
        """May a call go now?"""
        return self.since_ns is None or now_ns >= self.next_probe_ns

    def probe_granted(self, *, now_ns: int) -> None:
        """A call was let through during the outage; the next follows twice as late."""
        self.probes += 1
        self._heard = False
        # From the grant, not from the end: a probe that hangs must not keep the next one from asking.
        self.next_probe_ns = now_ns + _interval_ns(self.probes)

    def probe_withdrawn(self, *, now_ns: int) -> None:
        """
        The probe came back without having asked (cancelled before it was sent); another may go at once.

        A connection that was refused sent nothing either, but it has answered the
        question: after a reported failure there is nothing to withdraw.
        """
        if self.since_ns is not None and self.probes and not self._heard:
            self.probes -= 1
            self.next_probe_ns = now_ns

    def succeeded(self, *, now_ns: int) -> bool:
        """A call succeeded. True when that ended an outage: begin again with the ramp."""
        self.last_success_ns = now_ns
        self.failures_in_row = 0
        return self.since_ns is not None and self._reopen()

    def answered(self, *, now_ns: int) -> bool:
        """
        The server refused, or blamed the call: no success, but it lives.

        True when that ended an outage.
        """
        if self.since_ns is None:
            return False
        self.failures_in_row = 0
        return self._reopen()

    def failed(self, *, now_ns: int) -> bool:
        """An outcome was the server's or the network's fault. True when that closed the key."""
        self.failures_in_row += 1
        self._heard = True
        if self.since_ns is not None or self.failures_in_row < FAILURES_TO_CLOSE:
            return False
        self.since_ns = now_ns
        self.probes = 0
        self.next_probe_ns = now_ns + _interval_ns(0)
        return True

    def _reopen(self) -> bool:
        self.since_ns = None
        self.probes = 0
        return True

    def __repr__(self) -> str:
        if self.since_ns is None:
            return f"<OutageBreaker well, {self.failures_in_row} of {FAILURES_TO_CLOSE} failures in a row>"
        return (
            f"<OutageBreaker outage since {to_s(self.since_ns):.3f} s, "
            f"{self.probes} probes, next at {to_s(self.next_probe_ns):.3f} s>"
        )


def _interval_ns(probes: int) -> int:
    """The wait after so many probes: 1, 2, 4 ... 60 s."""
    return min(_FIRST_PROBE_NS << min(probes, _MAX_DOUBLINGS), _LONGEST_PROBE_NS)
