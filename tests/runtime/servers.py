"""Responses as HTTP libraries hand them out, for tests that need no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

RATE_LIMIT_BODY = b'{"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}'
QUOTA_BODY = b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'


class Stream:
    """aiohttp's ``response.content``: a body that is read in pieces, once."""

    def __init__(self, body: bytes) -> None:
        self._left = body
        self.read_bytes = 0

    def at_eof(self) -> bool:
        return not self._left

    async def read(self, size: int = -1) -> bytes:
        await asyncio.sleep(0)
        size = min(size, 1000) if size >= 0 else len(self._left)
        part, self._left = self._left[:size], self._left[size:]
        self.read_bytes += len(part)
        return part


class AiohttpLike:
    """``.status``, ``.content.read(n)``, ``.read()``; a context manager that notes when it is closed."""

    def __init__(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.status = status
        self.headers = headers or {}
        self.content = Stream(body)
        self.closed = False

    async def read(self) -> bytes:
        return await self.content.read()

    async def __aenter__(self) -> AiohttpLike:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True


class HttpxLike:
    """``.status_code``, ``.aread()``, and optionally ``.aiter_bytes()``."""

    def __init__(self, status_code: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.status_code = status_code
        self.headers = headers or {}
        self._body = body

    async def aread(self) -> bytes:
        return self._body


class HttpxStreaming(HttpxLike):
    """A body that comes in pieces, endless if *body* is empty."""

    pieces = 0

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), 1000) if self._body else iter(int, 1):
            self.pieces += 1
            yield self._body[start : start + 1000] or b"x" * 1000

    async def aread(self) -> bytes:
        raise AssertionError("the whole of an endless body was asked for")


class Scripted:
    """A server that gives its answers in turn; an exception is raised, a number is a status."""

    def __init__(self, *answers: Any, latency_s: float = 0.1) -> None:
        self.answers = list(answers)
        self.latency_s = latency_s
        self.calls = 0
        self.responses: list[AiohttpLike] = []

    async def post(self) -> AiohttpLike:
        self.calls += 1
        await asyncio.sleep(self.latency_s)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        response = answer if not isinstance(answer, int) else AiohttpLike(answer)
        self.responses.append(response)
        return response


def refusal(retry_after: str = "1") -> AiohttpLike:
    return AiohttpLike(429, {"retry-after": retry_after, "x-request-id": "req_429"}, RATE_LIMIT_BODY)
