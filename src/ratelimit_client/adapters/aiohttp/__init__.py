"""
The library on aiohttp: ``Client`` for calls, whole or event by event, and ``middleware`` for sessions of one's own.

Law of this package: of a client aiohttp stays inside. What comes out is a ``Reply``, a ``Stream``
or an error of this library, and no object that holds the key.
"""

from __future__ import annotations

from .client import Client, Timeout
from .middleware import middleware
from .realtime import Realtime
from .reply import Reply
from .stream import Stream

__all__ = ["Client", "Realtime", "Reply", "Stream", "Timeout", "middleware"]
