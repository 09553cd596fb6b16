"""
All that happened, as a hash, and as text when somebody asks for it.

Law of this file: what enters is what was decided and what came of it, with its instant; no
name of the machine, no address of an object, no order of a set.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ratelimit_client.core.units import NS

from .check import Check

if TYPE_CHECKING:
    from .day import Day


class Trace(Check):
    """The same day twice is the same to the last byte and nanosecond (I26)."""

    def __init__(self, day: Day, *, tell: bool) -> None:
        super().__init__(day)
        self._tell = tell
        self._hash = hashlib.blake2b(digest_size=16)

    def digest(self, wire: str) -> str:
        """Of everything so far, and of what passed on the wires."""
        whole = self._hash.copy()
        whole.update(wire.encode())
        return whole.hexdigest()

    def _note(self, *facts: Any) -> None:
        line = " ".join(map(str, facts))
        now_ns = self.day.now_ns
        self._hash.update(f"{now_ns} {line}\n".encode("utf-8", "backslashreplace"))
        if self._tell:
            sys.stdout.write(f"{(now_ns - 1000 * NS) / NS:12.6f}  {line}\n")

    def began(self, record: Any) -> None:
        self._note(record.mark, "begins")

    def ended(self, record: Any) -> None:
        what = record.text if record.error is None else f"{type(record.error).__name__}: {record.error}"
        self._note(record.mark, "ends:", what)

    def arrived(self, gate: int, answer: Any, now_ns: int) -> None:
        self._note(
            f"  server: {answer.caller.mark} of gate {gate}:", answer.status, answer.kind or "ok", answer.headers
        )

    def submitted(self, of: Any, ticket: Any, now_ns: int) -> None:
        self._note(f"gate {of.gate} #{ticket.seq} of {ticket.key}:", ticket.state.name.lower(), ticket.cost)

    def granted(self, of: Any, state: Any, ticket: Any, now_ns: int) -> None:
        self._note(f"gate {of.gate} #{ticket.seq} goes as {ticket.order}")

    def answered(self, of: Any, ticket: Any, signals: Any, now_ns: int) -> None:
        self._note(f"gate {of.gate} #{ticket.seq} answered {signals.status} {signals.reason}", signals.retry_after_s)

    def heard(self, of: Any, ticket: Any, signals: Any, now_ns: int) -> None:
        self._note(f"gate {of.gate} #{ticket.seq} heard", signals.status, signals.reason, signals.retry_after_s)

    def failed(self, of: Any, ticket: Any, failure: Any, now_ns: int) -> None:
        self._note(f"gate {of.gate} #{ticket.seq} failed: {failure.kind.value}, unsent {failure.unsent}")

    def withdrawn(self, of: Any, ticket: Any, moved: Any, now_ns: int) -> None:
        self._note(f"gate {of.gate} #{ticket.seq} withdrawn", sorted(moved.values()))

    def settled(self, of: Any, ticket: Any, refund: Any, moved: Any, now_ns: int) -> None:
        self._note(f"gate {of.gate} #{ticket.seq} settled", sorted(refund.items()))

    def released(self, of: Any, ticket: Any, ending: Any, now_ns: int) -> None:
        self._note(f"gate {of.gate} #{ticket.seq} released:", ending.value)

    def judged(self, of: Any, ticket: Any, outcome: Any, policy: Any, verdict: Any, now_ns: int) -> None:
        said = getattr(verdict, "counts_as", None) or verdict.reason
        at_ns = getattr(verdict, "not_before_ns", now_ns)
        self._note(f"gate {of.gate} #{ticket.seq} judged: {said}, in {(at_ns - now_ns) / NS} s")

    def requeued(self, of: Any, ticket: Any, now_ns: int) -> None:
        self._note(f"gate {of.gate} #{ticket.seq} waits again")

    def gone(self, of: Any, tickets: Sequence[Any], now_ns: int) -> None:
        self._note(f"gate {of.gate} leave:", *(f"#{ticket.seq}" for ticket in tickets))
