"""
An SDK's default client, put under a limiter.

Law of this file: the pool of connections is never the narrower gate. What waits for a
connection has had its turn, holds a place, and waits against the SDK's timeout; so the
pool of a default client holds as many as the limiter lets out. A client that somebody set
up himself stays as it is, and a pool that is too small is said.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ...core.retry import RetryPolicy
from ...errors import ConfigurationError
from ...runtime.limiter import Limiter
from .client import is_async, wrap
from .sdk import Sdk

_USUAL = 1000
"""Connections of the SDKs' own default; whoever has that many has not asked for fewer."""


def under(
    limiter: Limiter, base: Any, default: Callable[[], Any], retry: RetryPolicy | None, sdk: Sdk, *, waits: bool
) -> Any:
    """*base*, or what *default* makes, under *limiter*; *waits*: it has to be for coroutines."""
    client = default() if base is None else base
    if is_async(client) is not waits:
        other = "sync_http_client" if waits else "http_client"
        raise ConfigurationError(f"base is for {'threads' if waits else 'coroutines'}: use {other} for it")
    for transport in {client._transport, *client._mounts.values()} - {None}:
        _widen(transport, limiter)
    return wrap(client, limiter, retry=retry, sdk=sdk)


def _widen(transport: Any, limiter: Limiter) -> None:
    pool: Any = getattr(transport, "_pool", None)
    holds = getattr(pool, "_max_connections", None)
    if not isinstance(holds, int) or holds >= limiter.max_in_flight:
        return
    if holds >= _USUAL:
        pool._max_connections = limiter.max_in_flight
        return
    message = (
        f"the client's pool holds {holds} connections and the limiter lets {limiter.max_in_flight} calls out: those in "
        "between wait in the pool, against the client's timeout. Give the pool more, or Limiter(max_in_flight=...) less"
    )
    warnings.warn(message, RuntimeWarning, stacklevel=4)
