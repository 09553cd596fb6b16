"""
What a permit learns from the events of a realtime session.

Law of this file: an event teaches what it says of limits, of failures and of use, once, and
whatever else it is teaches nothing. It reads; what follows is decided a floor below.

Theory. Limits mostly come right behind the last word on a response, when its place is free
already. They are read on its permit all the same: what was charged after it was granted, the
server may not have seen yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..dialects.realtime import RealtimeEvent, read_event
from ..dialects.registry import AUTO

if TYPE_CHECKING:
    from .permit import Permit


def hear(permit: Permit, event: Any) -> RealtimeEvent:
    """Read *event*, tell *permit* what it says, and return what it is."""
    known = read_event(_plain(event), server=permit.dialect or AUTO, now_wall_s=permit.wall_s)
    if known.teaches:
        permit.heard(known.signals)
    if known.tokens is not None:
        permit.settle(tokens=known.tokens)
    return known


def _plain(event: Any) -> Any:
    """The members of an SDK's own object; anything else as it is."""
    dump = getattr(event, "model_dump", None)
    return dump() if callable(dump) else event
