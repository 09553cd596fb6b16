"""
The library on aiohttp: ``Client`` for calls, whole or event by event, and ``middleware`` for sessions of one's own.

Law of this package: of a client aiohttp stays inside. What comes out is a ``Reply``, a ``Stream``
or an error of this library, and no object that holds the key.

Classes are loaded on first use, so a program without streams or sessions does not load those.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .middleware import middleware  # at once: its module has its name

if TYPE_CHECKING:
    from .client import Client, Timeout
    from .realtime import Realtime
    from .reply import Reply
    from .stream import Stream

__all__ = ["Client", "Realtime", "Reply", "Stream", "Timeout", "middleware"]

_HOMES = {"Client": "client", "Realtime": "realtime", "Reply": "reply", "Stream": "stream", "Timeout": "timeouts"}


def __getattr__(name: str) -> Any:
    """Load a name from its home on first use and keep it."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
