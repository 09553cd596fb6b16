"""
How long a client waits for the wire.

Law of this file: two waits and no third. Reaching the server has a bound, and
so has silence once it is reached. There is no bound on the whole, because a
long answer is not a broken one; how long a call may take altogether is the
caller's business and is called ``deadline``.
"""

from __future__ import annotations

from typing import Any

import attrs

IDLE_CONSUMER_S = 300.0
"""Who takes no event of a stream for so long loses it."""
HEARTBEAT_S = 20.0
"""Silence of a session after which its server is asked for a sign of life."""


def _positive(_: object, attribute: Any, value: float | None) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise ValueError(f"{attribute.name} is seconds above 0, or None for no bound; got {value!r}")


@attrs.frozen
class Timeout:
    """
    Args:
        connect_s: seconds to resolve, connect and agree on TLS; None for no bound.
        idle_s: seconds without any byte while an answer is awaited or read; None for no bound.
            The default is the whole-request timeout of the official SDK, because a
            model may think that long before it says anything.
    """

    connect_s: float | None = attrs.field(default=10.0, validator=_positive)
    idle_s: float | None = attrs.field(default=600.0, validator=_positive)
