"""
One logical call, as its caller sees it.

Law of this file: what a caller can know and nothing else: when it asked, what it got,
whether it had been cancelled.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs

from .world import Call, Party


@attrs.define(eq=False)
class Record:
    """
    Args:
        call, party: what was planned.
        began_ns, ended_ns: instants; None while it is not so far.
        text: the text of the answer it got.
        error: what it raised.
        headed_ns: when its answer began, of a guest.
        attempts: how often it was sent, as a proxy says with an answer of the server's; None where nobody does.
        outcomes, perhaps: of a realtime session: how its handshake and its responses ended, and what may have been
            one more.
        cancelled: its task was cancelled, by plan or with its map.
        client: the answer was judged by a client of this library, and not by a session of the caller's own.
    """

    call: Call
    party: Party
    gate: int
    began_ns: int | None = None
    ended_ns: int | None = None
    headed_ns: int | None = None
    attempts: int | None = None
    outcomes: Counter[str] | None = None
    perhaps: Counter[str] = attrs.field(factory=Counter)
    text: str | None = None
    error: BaseException | None = None
    cancelled: bool = False
    ends: int = 0
    facts: dict[str, Any] = attrs.field(factory=dict)

    @property
    def mark(self) -> str:
        """Its name."""
        return self.call.mark

    @property
    def how(self) -> str:
        """One word for its end."""
        if self.ended_ns is None:
            return "open" if self.began_ns is not None else "to come"
        return "answered" if self.error is None else type(self.error).__name__

    def __str__(self) -> str:
        return f"{self.mark} ({self.party.way} at gate {self.gate}): {self.how}"
