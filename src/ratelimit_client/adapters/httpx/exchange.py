"""
One request through the limiter, until there is an answer to hand on.

Law of this file: what comes out is an answer of the server or the exception of its last
attempt. A place is held until the body of the answer has ended, and by nobody else than
the body; whoever drops the one has given back the other.

Theory. ``attempts()`` makes the loop. An answer that begins well is handed on at once,
with its place. An error is read, so that the policy can judge it; the last one is handed
on as it came, and the SDK above makes of it what it always does. That SDK would try again
on its own, and would do so beside a policy that has just decided not to: so the answer
says ``x-should-retry: false``, unless the policy is not to try again at all, or could not,
because the body cannot be sent a second time. Then the SDK is left to its own.

Nothing is awaited between a grant and the request going out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

import attrs

from ...core.retry import RetryPolicy
from ...core.signals import Reason
from ...errors import RateLimitClientError, ResponseError
from ...runtime.answers import ERROR_BODY_S, MAX_ERROR_BODY, response_error
from ...runtime.attempts import Attempt
from ...runtime.limiter import Limiter
from ...runtime.options import CallOptions
from ...runtime.scoped import Scoped
from .asking import asked_of
from .head import Head
from .sdk import Sdk
from .whose import Whose

MOST_OF_AN_ERROR = 2**20
"""Bytes of an error that are handed on. It has to be read before anybody knows whether it is the last."""


class Wire(Protocol):
    """How requests go out here; see transport.py and sync.py."""

    def send(self, request: Any, attempt: Attempt, *, once: bool) -> Awaitable[Any]:
        """The head of the answer. *once*: the request's body can be sent once, and *attempt* is to know if it was."""

    def read(self, response: Any, parts: list[bytes], most: int) -> Awaitable[None]:
        """Append the body to *parts*, packed as it came and at most so many bytes of it, and close it."""

    def body(self, response: Any, attempt: Attempt, request: Any) -> Any:
        """What takes the place of the stream of *response*, and gives the place back at its end."""


@attrs.frozen
class Way:
    """
    What all requests of a transport have in common.

    Args:
        limiter: whom to ask.
        httpx: the module whose requests and responses these are.
        retry: what a call outlives; None for what the limiter says.
        sdk: who is above; None: nobody known.
    """

    limiter: Limiter
    httpx: Any
    retry: RetryPolicy | None = None
    sdk: Sdk | None = None
    _whose: Whose = attrs.field(init=False)

    @_whose.default
    def _of_limiter(self) -> Whose:
        return Whose(self.limiter)

    @property
    def tries_again(self) -> bool:
        """Are there retries of ours?"""
        policy = self.limiter.retry if self.retry is None else self.retry
        return policy.max_attempts > 1 or policy.max_refusals != 0

    async def answer(self, request: Any, wire: Wire, said: CallOptions) -> Any:
        """
        The answer to *request* that is to be handed on.

        Cancelled in the queue it leaves no trace; cancelled in flight its place is free and its charge stays.

        Raises:
            what broke the last attempt, as the HTTP library or the SDK says it; else what ``attempts`` raises.
        """
        refused: Any = None
        try:
            asked = asked_of(request, self.httpx.ByteStream, said)
            scoped = self._whose.of(request)
            async for attempt in self.limiter.attempts(
                scoped.key(asked.key or "default"),
                cost=said.cost,
                features=asked.features,
                priority=said.priority or 0,
                tenant=said.tenant,
                deadline=said.deadline,
                policy=self.retry,
            ):
                async with attempt:
                    response = await wire.send(request, attempt, once=not asked.replayable)
                    if response.status_code < 400:
                        if not attempt.unread(response.status_code):
                            seen = attempt.observe(response.status_code, Head(response.headers))
                            scoped.heard(seen, attempt.ticket.granted_ns)
                        response.stream = wire.body(response, attempt, request)
                        attempt.hold()
                        return response
                    refused = response
                    await self._refused(response, wire, attempt, scoped)
        except ResponseError as error:
            # The answer of another call, perhaps, with which the server closed the queue to this one.
            if refused is None:
                raise self._as_sdk(error) from error.__cause__
            error.__traceback__ = None  # it leads here, and would keep what is here until somebody collects it
        except RateLimitClientError as error:
            raise self._as_sdk(error) from error.__cause__
        except Exception as error:
            gone = None if self.sdk is None or not self.tries_again else self.sdk.gone(error, request)
            if gone is None:
                raise
            raise gone from error
        if self.tries_again and attempt.replayable:
            refused.headers["x-should-retry"] = "false"
        return refused

    def _as_sdk(self, error: RateLimitClientError) -> RateLimitClientError:
        """An error of ours, which is to be one of the SDK's as well."""
        if self.sdk is None:
            return error
        return self.sdk.own(error).with_traceback(error.__traceback__)

    async def _refused(self, response: Any, wire: Wire, attempt: Attempt, scoped: Scoped) -> None:
        """Read an error and raise what it means; its body can be read again afterwards."""
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(ERROR_BODY_S):
                await wire.read(response, parts, MOST_OF_AN_ERROR)
        except Exception:  # noqa: BLE001 - whatever is wrong with the body of an error, its head stands
            pass
        finally:
            # Also when cancelled while reading: the head of the answer is a fact already.
            raw = b"".join(parts)
            response.stream = self.httpx.ByteStream(raw)
            body = self._plain(response, raw)
            signals = attempt.observe(response.status_code, response.headers, body or None)
        scoped.heard(signals, attempt.ticket.granted_ns)
        if signals.reason is not Reason.OK:
            raise response_error(signals, body)

    def _plain(self, response: Any, raw: bytes) -> bytes:
        """The first of an error's body, unpacked if it was packed."""
        if raw and "content-encoding" in response.headers:
            copy = self.httpx.Response(
                response.status_code, headers=response.headers, stream=self.httpx.ByteStream(raw)
            )
            try:
                raw = copy.read()
            except Exception:  # noqa: BLE001 - what cannot be unpacked names no reason
                return b""
        return raw[:MAX_ERROR_BODY]
