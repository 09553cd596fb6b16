"""
The library on aiohttp: ``Client`` for calls, whole or event by event.

Law of this package: aiohttp stays inside. What comes out is a ``Reply``, a ``Stream`` or an
error of this library, and no object that holds the key.
"""

from __future__ import annotations

from .client import Client, Timeout
from .reply import Reply
from .stream import Stream

__all__ = ["Client", "Reply", "Stream", "Timeout"]
