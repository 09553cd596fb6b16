"""
The library under httpx, and under what is made of it: the SDKs of OpenAI and Anthropic.

    from ratelimit_client.adapters.httpx import LimitedTransport
    from ratelimit_client.adapters.httpx.openai import http_client

Law of this package: httpx is somebody else's. It is imported when its transport is asked
for and not before, and a client's own errors stay what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client import wrap
from .sync import limited_sync_transport
from .transport import limited_transport

if TYPE_CHECKING:
    from .sync import LimitedSync as LimitedSyncTransport
    from .transport import LimitedAsync as LimitedTransport

__all__ = ["LimitedSyncTransport", "LimitedTransport", "limited_sync_transport", "limited_transport", "wrap"]

_MAKERS = {"LimitedTransport": limited_transport, "LimitedSyncTransport": limited_sync_transport}


def __getattr__(name: str) -> Any:
    """The transports for httpx itself, made when they are first asked for."""
    maker = _MAKERS.get(name)
    if maker is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .extra import needed

    made = globals()[name] = maker(needed("httpx"))
    return made
