"""
When a request was written, as httpcore tells it.

Law of this file: it listens while one attempt is under way, passes everything on to
whoever listened before, and lets the attempt go as soon as the head of the answer is there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ...runtime.attempts import Attempt

_BEGUN = ".send_request_headers.started"
_WRITTEN = ".send_request_headers.complete"
_MODULES = frozenset({"httpx", "httpx2"})
_TRANSPORTS = frozenset({"AsyncHTTPTransport", "HTTPTransport"})


class Trace:
    """
    What is heard of one attempt.

    Args:
        attempt: is told when it is written.
        theirs: who listened before, or None.
        tell: how to reach the attempt; None: it is here.
    """

    __slots__ = ("_attempt", "_begun", "_heard", "_tell", "_theirs")

    def __init__(self, attempt: Attempt, theirs: Any, tell: Callable[..., object] | None = None) -> None:
        self._attempt: Attempt | None = attempt
        self._theirs = theirs
        self._tell = tell
        self._heard = self._begun = False

    @property
    def nothing_written(self) -> bool:
        """It is certain: something was heard of the attempt, and no byte had been written."""
        return self._heard and not self._begun

    async def heard(self, name: str, info: Any) -> None:
        """A step of a connection on a loop."""
        self._note(name)
        if self._theirs is not None and inspect.isawaitable(told := self._theirs(name, info)):
            await told

    def heard_sync(self, name: str, info: Any) -> None:
        """A step of a connection without one."""
        self._note(name)
        if self._theirs is not None:
            self._theirs(name, info)

    def over(self) -> None:
        """Nothing more is to be told."""
        self._attempt = None

    def _note(self, name: str) -> None:
        self._heard = True
        if name.endswith(_BEGUN):
            self._begun = True
        elif name.endswith(_WRITTEN) and (attempt := self._attempt) is not None:
            if self._tell is None:
                attempt.written()
            else:
                self._tell(attempt.written)


def says_when_written(transport: Any) -> bool:
    """Does httpcore stand behind *transport*? Its class, or one above it, tells by its name."""
    kinds = ((kind.__module__.partition(".")[0], kind.__name__) for kind in type(transport).__mro__)
    return any(module in _MODULES and name in _TRANSPORTS for module, name in kinds)
