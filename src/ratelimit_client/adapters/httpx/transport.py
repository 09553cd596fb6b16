"""
A transport that asks the limiter before each request, for httpx and for what is made like it.

    client = httpx.AsyncClient(transport=LimitedTransport(limiter))

Law of this file: it is a transport around another one, and nothing of httpx is imported:
the module whose client is to use it is given. So the same code serves httpx and httpx2.

Theory. A client's timeouts are a matter of the transport within, which is asked when the
turn of a request has come: waiting in the queue counts against none of them. Redirects
and authentication flows are the client's own and above, so each hop is a request of its
own here, with its own turn. What the queue is to know beside the request, such as a
deadline, comes from ``limiter.call_options``.

Where a limiter counts on hearing when a request was written, because a ``Client`` of this
library uses it as well, httpcore tells it through the request's ``trace`` extension. That
takes a thirtieth of an SDK's call and improves nothing that could be measured, so by
itself this transport does not ask for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Coroutine
from functools import cache
from types import TracebackType
from typing import Any, Self

from ...core.retry import RetryPolicy
from ...runtime.attempts import Attempt
from ...runtime.limiter import Limiter
from ...runtime.options import options_of
from .bodies import Body, OneShot
from .exchange import Way
from .head import Head
from .sdk import Sdk
from .trace import Trace, says_when_written
from .usage import bystander_of


class Limited:
    """
    The part that all such transports share.

    Args:
        limiter: whose queue, limits and retries these are.
        inner: the transport that sends; None: a plain one whose pool holds as many
            connections as the limiter lets requests out. One that is given should hold
            as many, since what waits there waits against a timeout.
        retry: what a request outlives; None: what the limiter says.
        sdk: whose errors those of this library should be as well.
    """

    _httpx: Any
    """The module."""
    _body: type
    _one_shot: type

    def __init__(
        self, limiter: Limiter, inner: Any = None, *, retry: RetryPolicy | None = None, sdk: Sdk | None = None
    ) -> None:
        self.limiter = limiter
        self.inner = self._plain_one(limiter.max_in_flight) if inner is None else inner
        self._way = Way(limiter, self._httpx, retry, sdk)
        self._can_trace = says_when_written(self.inner)

    @property
    def _traces(self) -> bool:
        """Does somebody count on hearing when a request was written?"""
        return self._can_trace and self.limiter.counts_on_written

    @classmethod
    def _plain_one(cls, connections: int) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        inner = getattr(self, "inner", None)  # a traceback may ask an unfinished one
        return f"<{type(self).__name__} around {type(inner).__name__}: {self.limiter!r}>" if inner else "<unfinished>"


class LimitedAsync(Limited):
    """For an ``AsyncClient``; the arguments are those of ``Limited``."""

    @classmethod
    def _plain_one(cls, connections: int) -> Any:
        limits = cls._httpx.Limits(max_connections=connections, max_keepalive_connections=min(connections, 100))
        return cls._httpx.AsyncHTTPTransport(limits=limits)

    def handle_async_request(self, request: Any) -> Coroutine[Any, Any, Any]:
        """
        The answer that the caller is to see, when the limits let the request go.

        It waits its turn and is sent again as the policy says. Cancelled in the queue it
        leaves no trace; cancelled in flight its connection is closed and it stays charged
        if a byte of it was written. The place is free when the body has ended.

        Raises:
            NotAdmitted, CostExceedsQuota, DeadlineExceeded, WrongLoop: as of ``Limiter.attempts``.
            what the inner transport raised of the last attempt.
        """
        return self._way.answer(request, self, options_of(self.limiter))

    # -- the wire ------------------------------------------------------------------------

    def send(self, request: Any, attempt: Attempt, *, once: bool) -> Awaitable[Any]:
        """The head of the answer to one attempt."""
        if once or (self._can_trace and self.limiter.counts_on_written):
            return self._send_watched(request, attempt, once=once)
        sent: Awaitable[Any] = self.inner.handle_async_request(request)
        return sent

    async def _send_watched(self, request: Any, attempt: Attempt, *, once: bool) -> Any:
        given, stream = request.extensions, request.stream
        trace = Trace(attempt, given.get("trace"))
        if once:
            request.stream = self._one_shot(stream, attempt)
        if self._traces:
            request.extensions = {**given, "trace": trace.heard}
        try:
            return await self.inner.handle_async_request(request)
        except BaseException as error:
            if trace.nothing_written and not isinstance(error, Exception):
                attempt.unsent()
            raise
        finally:
            trace.over()
            request.extensions, request.stream = given, stream

    async def read(self, response: Any, parts: list[bytes], most: int) -> None:
        """The body of an error."""
        left = most
        stream: AsyncIterator[bytes] = response.stream
        try:
            async for part in stream:
                parts.append(part[:left])
                left -= len(part)
                if left <= 0:
                    break
        finally:
            await response.stream.aclose()

    def body(self, response: Any, attempt: Attempt, request: Any) -> Any:
        """The body of a success."""
        bystander = bystander_of(Head(response.headers), request.url.path) if attempt.counts_use() else None
        return self._body(response.stream, attempt, bystander)

    # -- around the inner one --------------------------------------------------------------

    async def aclose(self) -> None:
        """Close the inner transport; the limiter stays open."""
        await self.inner.aclose()

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.inner.__aexit__(kind, error, trace)


@cache
def limited_transport(httpx: Any) -> Any:
    """The ``LimitedTransport`` for clients of the module *httpx*."""
    stream = httpx.AsyncByteStream
    names = {
        "__module__": __name__,
        "__doc__": LimitedAsync.__doc__,
        "_httpx": httpx,
        "_body": type("LimitedBody", (Body, stream), {}),
        "_one_shot": type("OneShotBody", (OneShot, stream), {}),
    }
    return type("LimitedTransport", (LimitedAsync, httpx.AsyncBaseTransport), names)
