"""
From an HTTP library's response to what the scheduler and the caller need.

Law of this file: an answer is read through the few names that HTTP libraries
share, never through their types, and of an error's body at most 64 KiB is read,
for at most a few seconds: the rest could be endless, and the reason stands at its
beginning. An error text is an excerpt, never the whole body.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ..core.signals import Reason, Signals
from ..errors import (
    AuthenticationFailed,
    ModelNotFound,
    Overloaded,
    QuotaExhausted,
    RequestTooLarge,
    ResponseError,
    Throttled,
)

MAX_ERROR_BODY = 64 * 1024
"""Bytes of an error body that are read; every known error text ends far earlier."""

ERROR_BODY_S = 10.0
"""Seconds an error body may take; headers have told the most important part by then."""

_EXCERPT_CHARS = 1024
_QUOTED_CHARS = 300

_KIND: Mapping[Reason, type[ResponseError]] = {
    Reason.RATE_LIMITED: Throttled,
    Reason.OVERLOADED: Overloaded,
    Reason.QUOTA_EXHAUSTED: QuotaExhausted,
    Reason.TOO_LARGE: RequestTooLarge,
    Reason.AUTH: AuthenticationFailed,
    Reason.MODEL_NOT_FOUND: ModelNotFound,
}

_ADVICE: Mapping[Reason, str] = {
    Reason.QUOTA_EXHAUSTED: "no wait helps: check plan and billing of the account",
    Reason.TOO_LARGE: "the server will never accept a call of this size: split it",
    Reason.AUTH: "check the API key, the organization and the project",
    Reason.MODEL_NOT_FOUND: "check the name of the model and whether this key may use it",
}


def status_of(response: Any) -> int:
    """The HTTP status, whichever of the two names it goes by."""
    status = getattr(response, "status_code", None)
    if status is None:
        status = getattr(response, "status", None)
    if not isinstance(status, int):
        message = f"cannot check {type(response).__name__!r}: it has neither .status nor .status_code"
        raise TypeError(message)
    return status


def looks_like_response(value: Any) -> bool:
    """Has *value* what ``check`` needs?"""
    status = getattr(value, "status_code", None) or getattr(value, "status", None)
    return isinstance(status, int) and hasattr(value, "headers") and (hasattr(value, "read") or hasattr(value, "aread"))


async def error_body(response: Any) -> bytes:
    """
    The first 64 KiB of an error's body, or as much of it as arrived in time.

    A body that cannot be read costs nothing but its text: the status and the
    headers still count. Cancellation passes through.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(ERROR_BODY_S), contextlib.aclosing(_pieces(response)) as pieces:
            async for part in pieces:
                parts.append(part[: MAX_ERROR_BODY - size])
                size += len(parts[-1])
                if size >= MAX_ERROR_BODY:
                    break
    except Exception:  # noqa: BLE001 - whatever a library raises for a broken error body, the answer itself stands
        pass
    return b"".join(parts)


async def _pieces(response: Any) -> AsyncGenerator[bytes, None]:
    """The body piece by piece, by the first way the response offers."""
    content: Any = getattr(response, "content", None)
    if hasattr(content, "at_eof") and not content.at_eof():  # aiohttp; at_eof: read already, and kept by read()
        while part := await content.read(MAX_ERROR_BODY):
            yield part
    elif hasattr(response, "aiter_bytes"):  # httpx, read or not
        async for part in response.aiter_bytes():
            yield part
    else:
        whole = response.aread() if hasattr(response, "aread") else response.read()
        if inspect.isawaitable(whole):
            whole = await whole
        yield whole.encode() if isinstance(whole, str) else bytes(whole or b"")


async def discard(response: Any) -> None:
    """Close a response that nobody will get: what was not read of it would hold its connection."""
    with contextlib.suppress(Exception):  # whatever a library raises here, the outcome is known already
        # httpx has both, and the plain one is not for asyncio.
        ended = response.aclose() if hasattr(response, "aclose") else response.close()
        if inspect.isawaitable(ended):
            await ended


def response_error(signals: Signals, body: bytes = b"") -> ResponseError:
    """The error for an answer that was no success; attempts and waits are filled in by who knows them."""
    kind = _KIND.get(signals.reason, ResponseError)
    excerpt = body[: 4 * _EXCERPT_CHARS].decode("utf-8", "replace")[:_EXCERPT_CHARS]
    return kind(
        sentence(signals),
        status=signals.status,
        reason=str(signals.reason),
        request_id=signals.request_id,
        body_excerpt=excerpt,
        signals=signals,
    )


def sentence(signals: Signals, *, attempts: int = 1, waited_s: float = 0.0, because: str = "") -> str:
    """What happened, in whose words, what we did and what to do."""
    said = f": {_one_line(signals.message)}" if signals.message else ""
    parts = [f"the server answered {signals.status} ({str(signals.reason).replace('_', ' ')}){said}"]
    if signals.unit is not None:
        parts.append(f"limit named: {_one_line(signals.unit)}")
    if signals.retry_after_s is not None:
        parts.append(f"it asks to wait {signals.retry_after_s:g} s")
    if attempts > 1:
        parts.append(f"gave up after {attempts} attempts and {waited_s:.1f} s of waiting")
    if because:
        parts.append(because)
    advice = _ADVICE.get(signals.reason)
    if advice is not None:
        parts.append(advice)
    if signals.request_id:
        parts.append(f"request id {_one_line(signals.request_id)}")
    return "; ".join(parts)


def _one_line(text: str) -> str:
    """A server's words inside our sentence: no line breaks, nothing unprintable, not too long."""
    line = " ".join(text.split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= _QUOTED_CHARS else line[: _QUOTED_CHARS - 3] + "..."
