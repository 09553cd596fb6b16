"""
A ready client, whoever made it, put under a limiter.

Law of this file: what a client was set up with stays: proxies, connections, certificates,
timeouts, hooks. Its transports are wrapped where they hang, and nothing else is touched.

Theory. A client that is given a ``transport=`` forgets the proxies of the environment, and
the SDKs' defaults with it. So the client is made as ever, and then each of its transports
is wrapped: the one for most addresses, and those that are mounted for some, which is what
a proxy is. Both hang in attributes that begin with an underscore and have been called so
since the mounts of httpx 0.18.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from ...core.retry import RetryPolicy
from ...errors import ConfigurationError
from ...runtime.limiter import Limiter
from .sdk import Sdk
from .sync import LimitedSync, limited_sync_transport
from .transport import LimitedAsync, limited_transport

C = TypeVar("C")

_MODULES = ("httpx", "httpx2")


def wrap(client: C, limiter: Limiter, *, retry: RetryPolicy | None = None, sdk: Sdk | None = None) -> C:
    """
    *client* itself, every request of which now asks *limiter* first.

        client = wrap(httpx.AsyncClient(proxy=..., http2=True), limiter)

    Its pool should hold as many connections as *limiter* lets out at once: what waits
    there has been let out already, and waits against the client's timeout.

    Args:
        client: a ``Client`` or an ``AsyncClient`` of httpx or httpx2.
        retry: what its requests outlive; None: what the limiter says.
        sdk: whose errors those of this library should be as well.

    Raises:
        ConfigurationError: it is no such client, or under a limiter already.
    """
    module, waits = _made_of(client)
    kind: Any = limited_transport(module) if waits else limited_sync_transport(module)
    it: Any = client
    transports = {id(each): each for each in (it._transport, *it._mounts.values()) if each is not None}
    for each in transports.values():
        if isinstance(each, LimitedAsync | LimitedSync):
            raise ConfigurationError(f"this {type(client).__name__} is under a limiter already: {each.limiter!r}")
    wrapped = {key: kind(limiter, each, retry=retry, sdk=sdk) for key, each in transports.items()}
    it._transport = wrapped[id(it._transport)]
    for pattern, each in it._mounts.items():
        it._mounts[pattern] = None if each is None else wrapped[id(each)]
    return client


def is_async(client: object) -> bool:
    """
    Is *client* for coroutines?

    Raises:
        ConfigurationError: it is no client.
    """
    return _made_of(client)[1]


def _made_of(client: object) -> tuple[Any, bool]:
    """The module that *client* is of, and whether it is for coroutines."""
    for name in _MODULES:
        module = sys.modules.get(name)
        if module is not None and isinstance(client, module.AsyncClient | module.Client):
            return module, isinstance(client, module.AsyncClient)
    raise ConfigurationError(f"{type(client).__name__!r:.60} is neither a Client nor an AsyncClient of httpx or httpx2")
