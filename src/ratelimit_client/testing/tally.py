"""
What the model server remembers of a run: enough to find a lost row or a repeated one.

Law of this file: it counts what left the server, not what a client believes. A row is
*answered* when its success was sent whole; it is *repeated* when that happened twice.
All is counted as it is decided, and a success is taken back when its client turns out
to have left before it could be sent.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

from ..core.units import NS
from .answers import Answer, Ending


class Tally:
    """
    The log of one model server.

    ``calls``, ``admitted``, ``refused`` (by unit), ``statuses``, ``errors`` (by kind) and
    ``broken_off`` (successes of which not all was sent, by how they ended) count requests.
    ``attempts`` and ``answered`` count by the mark of the row; ``idempotency_keys`` counts
    answered calls by that header; ``client_request_ids`` counts all calls by that header,
    so each should be there once. ``admitted_ns`` and ``refused_ns`` hold the instants.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.admitted = 0
        self.charged_tokens = 0
        self.refused: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.broken_off: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.idempotency_keys: Counter[str] = Counter()
        self.client_request_ids: Counter[str] = Counter()
        self.admitted_ns = array("q")
        self.refused_ns = array("q")

    def add(self, answer: Answer, *, now_ns: int) -> None:
        """Count one answer, decided now."""
        self.calls += 1
        self.statuses[answer.status] += 1
        caller = answer.caller
        if caller.mark is not None:
            self.attempts[caller.mark] += 1
        if caller.client_request_id is not None:
            self.client_request_ids[caller.client_request_id] += 1
        if answer.admitted:
            self.admitted += 1
            self.charged_tokens += answer.charged
            self.admitted_ns.append(now_ns)
        if answer.ok:
            self.models[answer.model] += 1
            if caller.mark is not None:
                self.answered[caller.mark] += 1
            if caller.idempotency_key is not None:
                self.idempotency_keys[caller.idempotency_key] += 1
            return
        if answer.kind is None:
            self.broken_off[answer.ending.value] += 1
            return
        self.errors[answer.kind] += 1
        if answer.kind == "rate_limit" and answer.refusal is not None:
            self.refused[answer.refusal.unit] += 1
            self.refused_ns.append(now_ns)

    def left(self, answer: Answer) -> None:
        """The client of *answer* was gone before it came: a success was none."""
        if not answer.ok:
            return
        caller = answer.caller
        for counts, name in (
            (self.models, answer.model),
            (self.answered, caller.mark),
            (self.idempotency_keys, caller.idempotency_key),
        ):
            if name is not None:
                counts[name] -= 1
                if not counts[name]:
                    del counts[name]
        self.broken_off[Ending.LEFT.value] += 1

    @property
    def refusals(self) -> int:
        """Calls that a rate limit refused."""
        return sum(self.refused.values())

    @property
    def repeated(self) -> int:
        """Successes beyond the first of each row."""
        return sum(self.answered.values()) - len(self.answered)

    def lost(self, marks: Any) -> set[str]:
        """Of *marks*, the rows that never got a whole success."""
        return {mark for mark in marks if mark not in self.answered}

    def report(self, *, marks: bool = False) -> dict[str, Any]:
        """The counts as JSON; with *marks* also those of every row."""
        report: dict[str, Any] = {
            "calls": self.calls,
            "admitted": self.admitted,
            "refusals": self.refusals,
            "refused": dict(self.refused),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "errors": dict(self.errors),
            "broken_off": dict(self.broken_off),
            "models": dict(self.models),
            "charged_tokens": self.charged_tokens,
            "rows_answered": len(self.answered),
            "rows_repeated": self.repeated,
            "reused_client_request_ids": sum(1 for count in self.client_request_ids.values() if count > 1),
            "seconds": self._seconds(),
        }
        if marks:
            report["answered"] = dict(self.answered)
            report["attempts"] = dict(self.attempts)
        return report

    def _seconds(self) -> float:
        """Between the first admission and the last."""
        return (self.admitted_ns[-1] - self.admitted_ns[0]) / NS if self.admitted_ns else 0.0

    def __repr__(self) -> str:
        return (
            f"<Tally {self.calls} calls: {self.admitted} admitted, {self.refusals} refused, {self.repeated} repeated>"
        )
