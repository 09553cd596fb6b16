"""
The opening of a websocket: a request like any other, whose success is no answer but the connection itself.

Law of this file: a handshake that is refused is an answer, with its status, headers and body,
and is judged and tried again like one. One that is granted is checked (RFC 6455, 4.1), and its
connection belongs to one session from then on and to no request after it.

Theory. aiohttp's own ``ws_connect`` follows redirects, with every header of the user's; it
repeats by itself what broke on a kept connection; and of a refusal it keeps no body. So the request goes
out as all others do, and only what comes after the 101 is aiohttp's.

It costs nothing in the limits that are known: no API documents a charge for opening a session,
and none that was recorded shows one; what counts are its responses. It goes through the queue all
the same, at the cost of 0 requests: a key that was told to wait does not open sessions meanwhile.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import attrs
from aiohttp.http_websocket import WS_KEY

from ...core.cost import Cost
from ...core.failure import FailureKind
from ...errors import StreamError, TransportError
from ...runtime.attempts import Attempt
from ...runtime.desk import Told
from ...runtime.scoped import Scoped
from .answer import Answer
from .exchange import Call, Exchange
from .headers import SHORTEST_KEY
from .requests import Requests
from .url import Params

_ASKING: Mapping[str, str] = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
"""What a request says that asks for a websocket, beside its key."""

_FREE = Cost(requests=0)
_SWITCHING = 101


def asking(
    requests: Requests,
    model: str | None,
    *,
    path: str = "/realtime",
    params: Params | None = None,
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
    priority: int = 0,
    tenant: str | None = None,
    deadline: float | None = None,
) -> Callable[[], Call]:
    """What makes the call of a handshake, as often as one is wanted; *headers* are shy."""
    pairs = [] if params is None else list(params.items() if isinstance(params, Mapping) else params)
    if model is not None:
        pairs.insert(0, ("model", model))
    return lambda: requests.call(
        "GET",
        path,
        params=pairs or None,
        headers=headers,
        accept=_ASKING,
        key=key or model or "default",
        cost=_FREE,
        priority=priority,
        tenant=tenant,
        deadline_s=deadline,
    )


@attrs.frozen(kw_only=True, repr=False)
class Shaken:
    """
    A connection that is a websocket now.

    Args:
        answer: the one that said so; whoever has it has the connection.
        attempt: the handshake, which is over: it knows whose limits they are.
        scoped: whose calls the session's are.
        told: what the limiter was told by its head.
        name: the server's name for it, or None.
    """

    answer: Answer
    attempt: Attempt
    scoped: Scoped
    told: Told
    name: str | None


class Handshake(Exchange[Shaken]):
    """A call that asks for a websocket."""

    __slots__ = ("_switched",)

    def _send(self, attempt: Attempt) -> Coroutine[Any, Any, Answer]:
        self._sent += 1
        self._key = self._credentials.key
        return self._shake(attempt)

    async def _shake(self, attempt: Attempt) -> Answer:
        call = self._call
        nonce = base64.b64encode(os.urandom(16))
        own = {"X-Client-Request-Id": f"{call.name}-{self._sent}", "Sec-WebSocket-Key": nonce.decode()}
        answer = await self._wire.upgrade(call.url, {**call.headers, **own}, attempt.written)
        self._switched = answer.status == _SWITCHING
        if self._switched:
            problem = _problem(answer.headers, nonce)
            if problem:
                answer.drop()
                message = f"{call.url.origin()} agreed to a websocket and is none: {problem}"
                raise TransportError(message, attempts=1, unsent=False, kind=FailureKind.PROTOCOL, stale=False)
            answer.status = 200  # what an exchange takes for a success
        return answer

    def _secrets(self) -> list[bytes]:
        return [*super()._secrets(), *_keys_in_protocols(self._call.headers)]

    async def _use(self, answer: Answer, attempt: Attempt) -> Shaken:
        if not self._switched:
            raise StreamError(
                f"the server answered {answer.status} and opened no websocket: is the endpoint one of realtime "
                "sessions?",
                status=answer.status,
                kind=FailureKind.OTHER,
            )
        told = self._succeeded(answer, attempt)
        answer.secrets = self._secrets()
        name = answer.shown((told.signals.request_id or "").encode()).decode() or None
        return Shaken(answer=answer.hand_over(), attempt=attempt, scoped=self._scoped, told=told, name=name)


def _problem(headers: Mapping[str, str], nonce: bytes) -> str:
    """What is wrong with a consent to a websocket; "" when nothing is."""
    if headers.get("Upgrade", "").strip().lower() != "websocket":
        return "it names another protocol"
    if "upgrade" not in headers.get("Connection", "").lower():
        return "it does not say that the connection is one"
    accept = base64.b64encode(hashlib.sha1(nonce + WS_KEY, usedforsecurity=False).digest()).decode()
    if headers.get("Sec-WebSocket-Accept", "").strip() != accept:
        return "it did not answer to this handshake"
    return "" if not headers.get("Sec-WebSocket-Extensions") else "it uses an extension that was not asked for"


def _keys_in_protocols(headers: Mapping[str, str]) -> Iterator[bytes]:
    """The keys among the protocols that are asked for, which is where browsers put them."""
    for name, value in headers.items():
        if name.lower() == "sec-websocket-protocol":
            for part in value.split(","):
                key = part.partition("key.")[2].strip()
                if len(key) >= SHORTEST_KEY:
                    yield key.encode()
