"""
Names for calls and attempts.

Law of this file: no two calls have one name, whichever process, client or fork
made them up. A call keeps its name over its attempts (``Idempotency-Key``); each
attempt has its own (``X-Client-Request-Id``), by which support can find a request
that brought no answer.
"""

from __future__ import annotations

import secrets

from ...runtime import process


class Names:
    """What one client calls its calls."""

    __slots__ = ("_count", "_prefix")

    def __init__(self) -> None:
        self._prefix = f"rlc-{secrets.token_hex(8)}"
        self._count = 0

    def fresh(self) -> str:
        """A name nobody else has."""
        self._count += 1
        # The process is part of it, because a fork inherits prefix and count.
        return f"{self._prefix}-{process.pid:x}-{self._count:x}"
