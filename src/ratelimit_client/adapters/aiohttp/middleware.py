"""
The limiter under a session of somebody else's: an aiohttp client middleware.

    limiter = Limiter()
    async with aiohttp.ClientSession(middlewares=(middleware(limiter),)) as session:
        async with session.post(url, json=body) as response:
            ...

Law of this file: what comes out is a response of aiohttp's or the exception of the last
attempt, as without it; what was never sent, or ended by a deadline, is an error of this
library. A request whose body can be sent once is sent once.

Theory. A middleware stands between the session and the connection, and the session calls
it for every request it makes: the first, each redirect, and one that it repeats on its own
because a kept connection broke. The first two are requests like any other and have turns of
their own. The last would stand beside a policy that has just decided not to go on, so the
session is told the same once more and nothing is sent (see ``sessions``).

An answer that begins well is handed on at once, with its place. Of an error the beginning
is looked at and left where it is; one that is followed by another attempt gives its
connection back before the call waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from ...core.retry import RetryPolicy
from ...core.signals import Reason
from ...errors import (
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    RateLimitClientError,
    ResponseError,
)
from ...runtime.answers import response_error
from ...runtime.attempts import Attempt, Attempts
from ...runtime.limiter import Limiter
from ...runtime.options import CallOptions, options_of
from ...runtime.scoped import Scoped
from ...runtime.senders import Senders
from .asking import asked_of
from .endings import beginning_of, keep_until_its_end
from .senders import scope_of
from .sessions import Round, Rounds

Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


def middleware(
    limiter: Limiter,
    *,
    key: str | Callable[[aiohttp.ClientRequest], str | None] | None = None,
    retry: RetryPolicy | None = None,
) -> Middleware:
    """
    Put the requests of a session under *limiter*.

        session = aiohttp.ClientSession(middlewares=(middleware(limiter),), timeout=ClientTimeout(total=None))

    A request waits its turn and is sent again as the policy says; its place is free when
    the body of the answer has ended. ``limiter.call_options`` says the rest: deadline,
    priority, tenant, cost. docs/middleware.md tells what holds of timeouts and of bodies
    that can be sent once.

    Args:
        key: the budget of a request, or a function of it; None: the ``model`` of its JSON
            body, and of a body that names none the host.
        retry: what a request outlives; None: what the limiter says.
    """
    return Middleware(limiter, key, retry)


class Middleware:
    """What ``middleware`` makes; it may serve several sessions."""

    def __init__(
        self,
        limiter: Limiter,
        key: str | Callable[[aiohttp.ClientRequest], str | None] | None,
        retry: RetryPolicy | None,
    ) -> None:
        self.limiter = limiter
        self._key = key
        self._retry = retry
        self._senders = Senders(limiter)
        self._rounds = Rounds()

    def __repr__(self) -> str:
        return f"<Middleware of {self.limiter!r}>"

    async def __call__(self, request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        """
        The response that the session is to go on with.

        Cancelled in the queue it leaves no trace; cancelled in flight it stays charged if it was written.

        Raises:
            NotAdmitted, CostExceedsQuota, DeadlineExceeded, WrongLoop: as of ``Limiter.attempts``.
            what broke the last attempt, as aiohttp says it.
        """
        this = self._rounds.begin(request, handler)
        if this.ended is not None:
            raise this.ended
        said = options_of(self.limiter)
        deadline_s, of_session = this.deadline_s(said.deadline)
        try:
            return await self._answer(request, handler, this, said, deadline_s)
        except asyncio.CancelledError:
            too_late = this.too_late()
            if too_late is None:
                raise
        except (DeadlineUnreachable, DeadlineExpiredInQueue, DeadlineExceeded) as error:
            if of_session:
                error.args = (this.explained(str(error)),)
            raise
        except RateLimitClientError:
            raise
        except Exception as error:
            this.end(error)
            raise
        raise too_late

    async def _answer(
        self, request: aiohttp.ClientRequest, handler: Handler, this: Round, said: CallOptions, deadline_s: float | None
    ) -> aiohttp.ClientResponse:
        scoped = scope_of(request, self._senders)
        attempts, replayable = self._attempts(request, scoped, said, deadline_s)
        response: aiohttp.ClientResponse | None = None
        try:
            async for attempt in attempts:
                response = None
                async with attempt:
                    response = await _send(request, handler, this, attempt, once=not replayable)
                    if response.status >= 400:
                        await _judge(response, attempt, scoped)
                    elif (seen := attempt.succeeded(response.status, response.headers).seen) is not None:
                        scoped.heard(seen, attempt.ticket.granted_ns)
                    keep_until_its_end(response, attempt)
                    return response
                this.sending = False
                if response is not None and not response.closed:
                    response.release()
        except ResponseError as error:
            # The answer of another call, perhaps, with which the server closed the queue to this one.
            if response is None:
                raise
            error.__traceback__ = None  # it leads here, and would keep what is here until somebody collects it
        assert response is not None
        return response

    def _attempts(
        self, request: aiohttp.ClientRequest, scoped: Scoped, said: CallOptions, deadline_s: float | None
    ) -> tuple[Attempts, bool]:
        key = said.key or (self._key(request) if callable(self._key) else self._key)
        asked = asked_of(request, key, priced=said.cost is not None)
        attempts = self.limiter.attempts(
            scoped.key(asked.key),
            cost=said.cost,
            features=asked.features,
            priority=said.priority or 0,
            tenant=said.tenant,
            deadline=deadline_s,
            policy=self._retry,
        )
        return attempts, asked.replayable


async def _send(
    request: aiohttp.ClientRequest, handler: Handler, this: Round, attempt: Attempt, *, once: bool
) -> aiohttp.ClientResponse:
    """The head of the answer to one attempt."""
    if _is_closed(request):
        attempt.unsent()
        raise RuntimeError("Session is closed")  # as aiohttp says it, but for a request that it has let in already
    request.response = None  # aiohttp sets it as it begins to write
    if getattr(request, "_continue", None) is not None:
        request.update_expect_continue(True)  # the last attempt has used up what it waits with
    this.sending = True
    this.sent += 1
    try:
        response = await handler(request)
    except BaseException:
        begun = _begun(request)
        if not begun:
            attempt.unsent()
        if (begun and (once or this.is_over)) or _is_closed(request):
            attempt.replayable = False
        raise
    if once:
        attempt.replayable = False
    return response


def _is_closed(request: aiohttp.ClientRequest) -> bool:
    """Has its session been closed, which ends its connections as if the server had?"""
    session = getattr(request, "_session", None)
    return session is not None and bool(session.closed)


def _begun(request: aiohttp.ClientRequest) -> bool:
    """Has aiohttp begun to write it?"""
    return request.response is not None


async def _judge(response: aiohttp.ClientResponse, attempt: Attempt, scoped: Scoped) -> None:
    """Raise what an error means; whoever gets it can read it still."""
    raw = b""
    try:
        try:
            raw = await beginning_of(response)
        finally:
            # Also when cancelled while reading: the head of the answer is a fact already.
            signals = attempt.observe(response.status, response.headers, raw or None)
    except BaseException:
        response.close()  # nobody will get it
        raise
    scoped.heard(signals, attempt.ticket.granted_ns)
    if signals.reason is not Reason.OK:
        raise response_error(signals, raw)
