"""
One call and the wire, attempt by attempt.

Law of this file: the limiter hears of an answer as soon as its head is there, and
the caller hears of it when its body is whole. What an attempt cannot use raises,
and the limiter's loop decides what follows.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import attrs
from yarl import URL

from ...core.cost import Cost
from ...core.estimate import Features
from ...core.failure import FailureKind
from ...core.retry import RetryPolicy
from ...core.signals import Signals
from ...dialects.features import tokens_used
from ...errors import (
    Closed,
    ConfigurationError,
    IncompleteResponse,
    QuotaExhausted,
    ResponseError,
    StreamError,
    TransportError,
)
from ...runtime.attempts import Attempt
from ...runtime.desk import Told
from ...runtime.scoped import Scoped
from ...runtime.secret import Secret
from .answer import Answer
from .body import BadBody, meaning
from .credentials import Credentials
from .headers import SHORTEST_KEY, secret
from .reply import Reply
from .tally import Operation, Tally
from .wire import Wire

R = TypeVar("R")

_NO_BODY = frozenset({204, 205})
EXCERPT = 1024
# What an excerpt is cut from, so long that no half of a header is at its end.
_QUOTED = 4 * EXCERPT + 8192


@attrs.define(kw_only=True, eq=False)
class Call:
    """
    A request, ready to be sent as often as it takes.

    Nobody changes it; to have Python see to that would triple what it costs to make one.

    Args:
        method: in capitals.
        url: where it goes.
        raw: the body, or None.
        headers: all of them but the key and the name of the attempt.
        name: what its attempts are numbered after.
        key: which budget it is charged to, in the scope of its sender.
        own: the headers of this call alone; they may say that it is another's.
        cost: as the caller stated it, or None.
        features: what the body shows, where no cost was stated.
        priority, tenant: its place in the queue.
        deadline_s: seconds for all of it, or None.
        policy: what it outlives; None for the limiter's own.
    """

    method: str
    url: URL
    raw: bytes | None
    headers: Mapping[str, str]
    name: str
    key: str = "default"
    own: Mapping[str, str] | None = None
    cost: Cost | None = None
    features: Features | None = None
    priority: int = 0
    tenant: str | None = None
    deadline_s: float | None = None
    policy: RetryPolicy | None = None


class Exchange(Generic[R]):
    """
    What one call remembers between its attempts.

    What it makes of a success is for those derived from it to say.
    """

    __slots__ = (
        "_call",
        "_credentials",
        "_key",
        "_most",
        "_renewed",
        "_scoped",
        "_sent",
        "_stale",
        "_tally",
        "_why",
        "_wire",
    )

    def __init__(
        self, call: Call, wire: Wire, credentials: Credentials, tally: Tally, scoped: Scoped, most: int
    ) -> None:
        self._call = call
        self._scoped = scoped
        self._wire = wire
        self._credentials = credentials
        self._tally = tally
        self._most = most
        self._key: Secret | None = None
        self._sent = 0
        self._stale = False
        self._renewed = False
        self._why: str | None = None

    async def attempt(self, attempt: Attempt) -> R | None:
        """
        Send the call once.

        Returns:
            What came of it; None when the key was refused and there is a new one now, so that
            the attempt is to be made again.

        Raises:
            ResponseError, TransportError, IncompleteResponse: what came instead.
        """
        if self._why is not None:
            self._tally.tried_again(self._call.key, self._why)
            self._why = None
        try:
            try:
                answer = await self._send(attempt)
            except BaseException as error:
                # What a lost connection means, the attempt reads off the error: of a probe it is the answer.
                left = not isinstance(error, Exception) and self._nothing_written(attempt)
                if left or isinstance(error, Closed | ConfigurationError):
                    attempt.unsent()
                raise
            try:
                if 200 <= answer.status < 300:
                    return await self._use(answer, attempt)
                await self._refused(answer, attempt)
            finally:
                answer.close()
        except ResponseError as error:
            self._why = str(error.reason)
            self._tally.went_wrong(str(error.status), error)
            if error.signals is not None:
                self._scoped.heard(error.signals, attempt.ticket.granted_ns)
            if isinstance(error, QuotaExhausted):
                self._tally.ran_out(self._call.key)
            raise
        except (TransportError, IncompleteResponse, StreamError) as error:
            self._tell_of_failure(error)
            raise
        return None

    def _send(self, attempt: Attempt) -> Coroutine[Any, Any, Answer]:
        call = self._call
        self._sent += 1
        self._key = self._credentials.key
        return self._wire.send(
            call.method,
            call.url,
            {**call.headers, "X-Client-Request-Id": f"{call.name}-{self._sent}"},
            call.raw,
            # The pool may hold more connections that the server has hung up on.
            fresh=self._stale,
            written=attempt.written,
        )

    def _nothing_written(self, attempt: Attempt) -> bool:
        return attempt.ticket.written_ns is None and self._wire.tells_written(self._call.raw)

    def _tell_of_failure(self, error: TransportError | IncompleteResponse | StreamError) -> None:
        self._why = str(error.kind)
        self._tally.went_wrong(self._why)
        if isinstance(error, TransportError):
            self._stale = error.stale
            if not error.unsent:
                error.args = (f"{error} (X-Client-Request-Id: {self._call.name}-{self._sent})",)

    async def _refused(self, answer: Answer, attempt: Attempt) -> None:
        """Raise what an answer means that is no success; return when the key was refused and there is a new one."""
        if answer.status == 401 and not self._renewed and await self._credentials.renew(self._key):
            self._renewed = True
            self._why = "auth"
            self._tally.went_wrong(str(answer.status))
            return
        answer.hide(self._secrets())
        if answer.status < 400:
            answer.drop()  # nobody reads its body
            raise _elsewhere(answer, attempt.observe(answer.status, answer.headers))
        await attempt.check(answer)
        raise AssertionError("check raises for every answer that is no success")

    async def _use(self, answer: Answer, attempt: Attempt) -> R:
        """What an answer that is a success by its status brings."""
        raise NotImplementedError

    def _succeeded(self, answer: Answer, attempt: Attempt) -> Told:
        told = attempt.succeeded(answer.status, answer.headers)
        if (seen := told.seen) is not None:
            self._scoped.heard(seen, attempt.ticket.granted_ns)
        return told

    def _secrets(self) -> list[bytes]:
        """What went out with the last attempt and may be in no error, even where the server quotes it."""
        return secrets_of(self._call, self._key)


class Whole(Exchange[Reply]):
    """A call whose answer is wanted whole."""

    __slots__ = ()

    async def _use(self, answer: Answer, attempt: Attempt) -> Reply:
        told = self._succeeded(answer, attempt)
        try:
            raw = await answer.whole(self._most)
            data = self._meaning(answer, raw)
        except BadBody as bad:
            raw = b""  # a traceback that shows locals shows this one
            answer.drop()  # its length may be the lie, and then the next answer would begin within this one
            answer.secrets = self._secrets()
            bad.read = answer.shown(bad.read[:_QUOTED])
            name = answer.shown((told.signals.request_id or "").encode()).decode()
            error = incomplete(bad, answer.status, name or None)
            del told  # this as well, and it holds the headers
        else:
            reply = Reply(
                status=answer.status,
                headers=answer.headers,
                content=raw,
                data=data,
                told=told,
                attempts=attempt.number,
                queue_s=attempt.queue_s,
            )
            if attempt.counts_use() and (used := tokens_used(reply.usage)) is not None:
                attempt.settle(tokens=used)
            return reply
        raise error

    def _meaning(self, answer: Answer, raw: bytes) -> Any:
        method = self._call.method
        if method == "HEAD" or (not raw and answer.status in _NO_BODY):
            return None
        return meaning(raw, answer.headers.get("Content-Type", ""), must_be_data=method != "GET")


def secrets_of(call: Call, key: Secret | None) -> list[bytes]:
    """What goes out with *call* and is to be seen nowhere."""
    secrets = list(secret(call.headers))
    if key is not None and len(value := key.reveal()) >= SHORTEST_KEY:
        secrets.append(value.encode())
    return secrets


def note_use(tally: Tally, call: Call, reply: Reply, key: Secret | None, operation: Operation | None = None) -> None:
    """A call that was added just now brought a reply: what it took and used; which it was, if an example is wanted."""
    reply.latency_s = tally.last_s - reply.queue_s
    tally.used(call.key, reply.usage)
    if tally.marks is not None and tally.marks.due(tally.last_s):
        raw = (reply.request_id or "").encode("utf-8", "surrogateescape")
        quotes = any(secret in raw for secret in secrets_of(call, key))
        tally.marks.note(tally.last_s, None if quotes else reply.request_id)
    if operation is not None:
        _tell_of(operation, call, reply, key)


def _tell_of(operation: Operation, call: Call, reply: Reply, key: Secret | None) -> None:
    secrets = secrets_of(call, key)

    def shown(text: object) -> str | None:
        quotes = not isinstance(text, str) or any(each in text.encode("utf-8", "surrogateescape") for each in secrets)
        return None if quotes else str(text)

    data = reply.data if isinstance(reply.data, dict) else {}
    operation.answered(
        usage=reply.usage,
        attempts=reply.attempts,
        request_id=shown(reply.request_id),
        model=shown(data.get("model")),
        name=shown(data.get("id")),
    )
    operation.ended()


def incomplete(bad: BadBody, status: int, request_id: str | None) -> IncompleteResponse:
    """The error for a success whose body is not whole."""
    return IncompleteResponse(
        f"the server answered {status}, but the body cannot be used: {bad}",
        status=status,
        request_id=request_id,
        body_excerpt=bad.read[: 4 * EXCERPT].decode("utf-8", "replace")[:EXCERPT],
        attempts=1,
        kind=FailureKind.INCOMPLETE if bad.may_pass else FailureKind.OTHER,
    )


def _elsewhere(answer: Answer, signals: Signals) -> ResponseError | TransportError:
    """The error for a redirect, which is never followed: the key and the prompt would go along."""
    if answer.status < 200:
        message = f"the server answered {answer.status}, which nobody asked for"
        return TransportError(message, attempts=1, unsent=False, kind=FailureKind.PROTOCOL, stale=False)

    message = f"the server answered {answer.status} and points to {_host(answer.headers.get('Location'))}"
    return ResponseError(
        f"{message}; redirects are not followed: if that is where the API is now, give it as base_url",
        status=answer.status,
        reason="client_error",
        request_id=signals.request_id,
        body_excerpt="",
        # A copy: the limiter writes its own sentence on errors that are about its very signals.
        signals=attrs.evolve(signals),
    )


def _host(location: str | None) -> str:
    """The host of a redirect and nothing else of it: the rest may carry what was sent."""
    try:
        host = urlsplit(location or "").hostname
    except ValueError:
        host = None
    return f"the host {host!r:.100}" if host else "another place on the same host" if location else "nowhere"
