"""
A client-side request scheduler for HTTP APIs that publish rate limits.

The friendly names, each loaded when it is first asked for: importing this
package costs a few milliseconds and loads neither aiohttp nor asyncio, so a
program that only reads headers or prints its usage pays for nothing else.

    from ratelimit_client import Client, Limiter, per_minute

What is not listed here is reached through its own package:
``ratelimit_client.dialects`` (read an answer's headers),
``ratelimit_client.testing`` (a model server and a clock for tests),
``ratelimit_client.adapters`` (one package per library).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapters.aiohttp.client import Client as Client
    from .adapters.aiohttp.reply import Reply as Reply
    from .adapters.aiohttp.timeouts import Timeout as Timeout
    from .core.backoff import Backoff as Backoff
    from .core.cost import Cost as Cost
    from .core.quota import Quota as Quota
    from .core.quota import Quotas as Quotas
    from .core.quota import per_day as per_day
    from .core.quota import per_hour as per_hour
    from .core.quota import per_minute as per_minute
    from .core.quota import per_second as per_second
    from .core.retry import RetryPolicy as RetryPolicy
    from .core.signals import Reading as Reading
    from .core.signals import Reason as Reason
    from .core.signals import Signals as Signals
    from .errors import AuthenticationFailed as AuthenticationFailed
    from .errors import Closed as Closed
    from .errors import ConfigurationError as ConfigurationError
    from .errors import CostExceedsQuota as CostExceedsQuota
    from .errors import DeadlineExceeded as DeadlineExceeded
    from .errors import DeadlineExpiredInQueue as DeadlineExpiredInQueue
    from .errors import DeadlineUnreachable as DeadlineUnreachable
    from .errors import IncompleteResponse as IncompleteResponse
    from .errors import InvalidQuota as InvalidQuota
    from .errors import ModelNotFound as ModelNotFound
    from .errors import NotAdmitted as NotAdmitted
    from .errors import Overloaded as Overloaded
    from .errors import QueueFull as QueueFull
    from .errors import QuotaExhausted as QuotaExhausted
    from .errors import RateLimitClientError as RateLimitClientError
    from .errors import RequestTooLarge as RequestTooLarge
    from .errors import ResponseError as ResponseError
    from .errors import StoreUnavailable as StoreUnavailable
    from .errors import StreamError as StreamError
    from .errors import StreamTruncated as StreamTruncated
    from .errors import Throttled as Throttled
    from .errors import TransportError as TransportError
    from .errors import WouldBlock as WouldBlock
    from .errors import WrongLoop as WrongLoop
    from .runtime.limiter import Limiter as Limiter
    from .runtime.mapping import Result as Result

__version__ = "0.1.0"

_HOMES = {
    "adapters.aiohttp.client": ("Client",),
    "adapters.aiohttp.reply": ("Reply",),
    "adapters.aiohttp.timeouts": ("Timeout",),
    "core.backoff": ("Backoff",),
    "core.cost": ("Cost",),
    "core.quota": ("Quota", "Quotas", "per_day", "per_hour", "per_minute", "per_second"),
    "core.retry": ("RetryPolicy",),
    "core.signals": ("Reading", "Reason", "Signals"),
    "errors": (
        "AuthenticationFailed",
        "Closed",
        "ConfigurationError",
        "CostExceedsQuota",
        "DeadlineExceeded",
        "DeadlineExpiredInQueue",
        "DeadlineUnreachable",
        "IncompleteResponse",
        "InvalidQuota",
        "ModelNotFound",
        "NotAdmitted",
        "Overloaded",
        "QueueFull",
        "QuotaExhausted",
        "RateLimitClientError",
        "RequestTooLarge",
        "ResponseError",
        "StoreUnavailable",
        "StreamError",
        "StreamTruncated",
        "Throttled",
        "TransportError",
        "WouldBlock",
        "WrongLoop",
    ),
    "runtime.limiter": ("Limiter",),
    "runtime.mapping": ("Result",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Load a friendly name from its home on first use (PEP 562) and keep it."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
