"""
What a connection between two ends is like: how slow, in which pieces, and where it breaks.

Law of this file: data only. A `Wire` is one direction, a `Route` is a connection; bytes
are counted per direction from the first one.
"""

from __future__ import annotations

import enum

import attrs


class Connect(enum.Enum):
    """What becomes of an attempt to connect."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    BLACK_HOLE = "black hole"


@attrs.frozen(kw_only=True)
class Wire:
    """
    One direction of a connection.

    Args:
        latency_s: seconds from a write to its delivery.
        jitter_s: up to so many seconds more, by the dice of the loop; order is kept.
        bytes_per_s: how fast bytes leave; None is at once.
        max_chunk: the receiver gets at most so many bytes at a time.
        reset_after: after so many bytes both ends see a reset.
        fin_after: after so many bytes the receiver sees the end; the rest is dropped.
        stall_after: after so many bytes nothing arrives any more.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    max_chunk: int | None = None
    reset_after: int | None = None
    fin_after: int | None = None
    stall_after: int | None = None


@attrs.frozen(kw_only=True)
class Route:
    """
    A connection: what becomes of the attempt, the wire to the server and the wire back.

        loop.net.route = lambda host, port, number: Route(down=Wire(reset_after=300, max_chunk=7))
    """

    connect: Connect = Connect.ACCEPT
    up: Wire = Wire()
    down: Wire = Wire()

    @classmethod
    def slow(cls, latency_s: float) -> Route:
        """A sound connection with so many seconds of latency each way."""
        return cls(up=Wire(latency_s=latency_s), down=Wire(latency_s=latency_s))
