"""
Under the OpenAI SDK.

    from openai import AsyncOpenAI
    from ratelimit_client import Limiter
    from ratelimit_client.adapters.httpx.openai import http_client

    client = AsyncOpenAI(http_client=http_client(Limiter(dialect="openai")))

Law of this file: the SDK's own default client is what is used, so that its proxies, pool,
timeouts and TLS are what they would be without us.
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
    An ``http_client`` for ``AsyncOpenAI`` whose requests wait for their turn.

    Works for everything the SDK does over HTTP, streams included, of 2.x and 3.x. The
    final answer comes to the SDK as the server sent it, and so do its errors; calls that
    were never sent raise an error of this library that is an ``OpenAIError`` as well. The
    SDK's own retries rest while those of the limiter are on.

    Args:
        limiter: whose queue, limits and retries these are. Several SDK clients may share it.
        base: a client to be used in place of the SDK's default, ``DefaultAsyncHttpxClient(...)``
            say; it is wrapped and returned.
        retry: what a call outlives; None: what the limiter says. With
            ``RetryPolicy.none()`` the SDK retries as without us.

    Raises:
        ConfigurationError: the SDK is not installed; *base* is no such client.
    """
    openai = needed("openai")
    return under(limiter, base, openai.DefaultAsyncHttpxClient, retry, _sdk(openai), waits=True)


def sync_http_client(limiter: Limiter, *, base: Any = None, retry: RetryPolicy | None = None) -> Any:
    """
    An ``http_client`` for the blocking ``OpenAI``.

    The limiter lives on a loop in the background, one for the process; requests are sent
    by the thread that makes them, which waits its turn. Arguments and errors as of
    ``http_client``.
    """
    openai = needed("openai")
    return under(limiter, base, openai.DefaultHttpxClient, retry, _sdk(openai), waits=False)


def _sdk(openai: Any) -> Sdk:
    # It hands on what is an OpenAIError, its own error for a lost connection included, and so tries no more.
    return Sdk(openai.OpenAIError, lost=openai.APIConnectionError, late=openai.APITimeoutError)
