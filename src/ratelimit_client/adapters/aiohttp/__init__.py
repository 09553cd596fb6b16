"""
The library on aiohttp: ``Client`` for whole calls.

Law of this package: aiohttp stays inside. What comes out is a ``Reply`` or an
error of this library, and no object that holds the key.
"""

from __future__ import annotations

from .client import Client, Timeout
from .reply import Reply

__all__ = ["Client", "Reply", "Timeout"]
