"""
Under the Anthropic SDK.

    from anthropic import AsyncAnthropic
    from ratelimit_client import Limiter
    from ratelimit_client.adapters.httpx.anthropic import http_client

    client = AsyncAnthropic(http_client=http_client(Limiter(dialect="anthropic")))

Law of this file: that of openai.py beside it.
"""

from __future__ import annotations

from typing import Any

from ...core.retry import RetryPolicy
from ...runtime.limiter import Limiter
from .extra import needed
from .sdk import Sdk
from .wrapping import under

__all__ = ["http_client", "sync_http_client"]


def http_client(limiter: Limiter, *, base: Any = None, retry: RetryPolicy | None = None) -> Any:
    """
    An ``http_client`` for ``AsyncAnthropic`` whose requests wait for their turn.

    As ``http_client`` of ``ratelimit_client.adapters.httpx.openai``, but for one thing:
    a connection that failed for good is tried again by this SDK all the same, as often as
    its ``max_retries`` says. Each time it waits its turn.
    """
    anthropic = needed("anthropic")
    return under(limiter, base, anthropic.DefaultAsyncHttpxClient, retry, _sdk(anthropic), waits=True)


def sync_http_client(limiter: Limiter, *, base: Any = None, retry: RetryPolicy | None = None) -> Any:
    """An ``http_client`` for the blocking ``Anthropic``; otherwise as ``http_client``."""
    anthropic = needed("anthropic")
    return under(limiter, base, anthropic.DefaultHttpxClient, retry, _sdk(anthropic), waits=False)


def _sdk(anthropic: Any) -> Sdk:
    return Sdk(anthropic.AnthropicError)
