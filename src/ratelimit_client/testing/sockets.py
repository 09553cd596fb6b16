"""
Realtime sessions of the model server on a socket.

Law of this file: it decides nothing, as the app it belongs to. It hands on what the client says,
waits as long as each step says and carries it out. It hears while it waits, in the one task of the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from . import front
from .answers import Answer
from .model_server import ModelServer
from .realtime import PATH, Session, Step, seconds

_MOST_BYTES = 16 * 2**20
_GOING_AWAY = 1001
_LOST = 1006
_ROW = "x-row"


def wants_session(server: ModelServer, request: web.BaseRequest) -> bool:
    """Whether a request asks for a realtime session."""
    return request.path == server.base_path + PATH and request.headers.get("Upgrade", "").lower() == "websocket"


def shake_hands(server: ModelServer, request: web.BaseRequest, *, now_ns: int) -> Session | Answer:
    """The session that a handshake opens, or the answer that refuses it."""
    model = request.query.get("model")
    refusal = front.refuse_session(server, request.headers, model, now_ns=now_ns)
    return refusal or Session(server, model or "", request.headers.get(_ROW), now_ns=now_ns)


class Speaker:
    """
    One session on a socket.

    Args:
        session: what is said.
        now_ns, wall_s: the clocks of the app.
    """

    def __init__(self, session: Session, now_ns: Callable[[], int], wall_s: Callable[[], float]) -> None:
        self._session = session
        self._now_ns = now_ns
        self._wall_s = wall_s
        self._socket = web.WebSocketResponse(autoping=False, max_msg_size=_MOST_BYTES)
        self._ahead: deque[Step] = deque()
        self._due_ns = 0

    async def run(self, request: web.BaseRequest) -> web.StreamResponse:
        """Until either side ends it, or its time is over."""
        socket = self._socket
        try:
            await socket.prepare(request)
        except ConnectionResetError:  # the client is gone already; one that is half made could not be ended
            return web.Response()
        try:
            async with asyncio.timeout(self._session.conduct.session_s) as limit:
                await self._say(self._session.begin(wall_s=self._wall_s()))
                while not socket.closed:
                    await self._next(request)
        except TimeoutError:
            if not limit.expired():
                raise
            with contextlib.suppress(ConnectionResetError):
                await self._say(self._session.expired())
                await socket.close(code=_GOING_AWAY, drain=False)
        except ConnectionResetError:  # the client is gone
            pass
        finally:
            self._leave()
        return socket

    async def _next(self, request: web.BaseRequest) -> None:
        """What comes first: a message, or the time of what is to be said."""
        wait_s = seconds(self._due_ns - self._now_ns()) if self._ahead else None
        if wait_s is not None and wait_s <= 0:
            step = self._ahead.popleft()
            if self._ahead:
                self._due_ns = self._now_ns() + self._ahead[0].wait_ns
            await self._do(step, request)
            return
        try:
            message = await self._socket.receive(wait_s)
        except TimeoutError:
            if wait_s is None or self._due_ns > self._now_ns():  # it is the session's
                raise
            return
        if message.type is WSMsgType.PING:
            if self._session.conduct.pongs:
                await self._socket.pong(message.data)
        elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            await self._hear(message.data, request)

    async def _hear(self, raw: str | bytes, request: web.BaseRequest) -> None:
        steps = self._session.hear(raw, now_ns=self._now_ns())
        if any(step.answer is not None for step in steps):
            self._ahead.extend(steps)
            self._due_ns = self._now_ns() + self._ahead[0].wait_ns
            return
        for step in steps:
            if step.stops:
                self._leave()
            await self._do(step, request)

    async def _do(self, step: Step, request: web.BaseRequest) -> None:
        if step.event is not None:
            await self._say(self._session.told(step.event, now_ns=self._now_ns()))
        if step.close == _LOST:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError
        if step.close is not None:
            await self._socket.close(code=step.close, drain=False)

    async def _say(self, event: dict[str, Any]) -> None:
        text = json.dumps(event, separators=(",", ":"))
        if self._session.conduct.binary:
            await self._socket.send_bytes(text.encode())
        else:
            await self._socket.send_str(text)

    def _leave(self) -> None:
        """What is ahead is not said."""
        answer = next((step.answer for step in self._ahead if step.answer is not None), None)
        if answer is not None:
            self._session.server.left(answer)
        self._ahead.clear()
