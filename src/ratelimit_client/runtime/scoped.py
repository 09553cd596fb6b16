"""
What one client holds of a limiter that serves others, too.

Law of this file: before a call the client asks what its key is called, after an answer it
shows who it was counted for; everything else is decided a floor below.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.leasing import LeasingScheduler
from ..core.merging import merge
from ..core.scopes import Caller, Scopes
from ..core.signals import Signals
from .desk import Desk


class Scoped:
    """
    One client's calls.

    Args:
        scopes: of the limiter.
        caller: the client among them.
        desk: where its calls queue now; after a fork another than before.
    """

    __slots__ = ("_caller", "_desk", "_scopes", "key")

    def __init__(self, scopes: Scopes, caller: Caller, desk: Callable[[], Desk]) -> None:
        self._scopes = scopes
        self._caller = caller
        self.key = caller.key
        """What a key is called in its scope."""
        self._desk = desk

    @property
    def number(self) -> int:
        """Of its scope; 1 for the limiter's own, in which keys are called what they are called."""
        return self._caller.scope.number

    def heard(self, signals: Signals, sent_ns: int) -> None:
        """
        An answer came; what it names of its organization and project may be news.

        Args:
            sent_ns: when the call was let out.
        """
        organization = signals.organization
        if organization is None or self._caller.scope.agrees(organization, signals.project):
            return
        desk = self._desk()
        now_ns = desk.clock.monotonic_ns()
        one = self._scopes.hear(self._caller, organization, signals.project, sent_ns=sent_ns, now_ns=now_ns)
        if one is not None:
            merge(desk.dispatcher.scheduler, *one, now_ns=now_ns)
            desk.dispatcher.turn_soon()
        if isinstance(scheduler := desk.dispatcher.scheduler, LeasingScheduler):
            scheduler.named(now_ns=now_ns)

    def __repr__(self) -> str:
        return f"<Scoped @{self.number}>"
