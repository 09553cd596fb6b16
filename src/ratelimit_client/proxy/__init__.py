"""
A proxy for programs that only take a base URL: ``ratelimit-client serve``, or in a program of yours.

Law of this package: it forwards to one server and to no other, and lends its own key to
nobody unless it was told to.
"""

from __future__ import annotations

from ..adapters.aiohttp.forwarder import Forwarder
from .server import Proxy

__all__ = ["Forwarder", "Proxy"]
