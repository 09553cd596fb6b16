"""
The live page and what it asks for, by HTTP, for whichever server has the connection.

Law of this file: no answer may be kept, none may be read by another origin, and the page may
load nothing and speak to nobody but the server that it came from.
"""

from __future__ import annotations

import asyncio
from typing import Final

import attrs
from aiohttp import web

from .document import document
from .live import Live

SLOWEST_READER_S: Final = 10.0
READS: Final = ("GET", "HEAD")

STATE, EVENTS = "state.json", "events"
"""Beside the page."""

_ALWAYS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
STREAM: Final = {**_ALWAYS, "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}


@attrs.frozen
class Answer:
    """One that is there as a whole."""

    body: bytes
    headers: dict[str, str]


def answer_to(live: Live, name: str) -> Answer | None:
    """To a GET of *name*, which is what comes after the path of the page; None: there is nothing."""
    if name == "":
        page = document()
        policy = {"Content-Security-Policy": page.policy}
        return Answer(page.body, {**_ALWAYS, **policy, "Content-Type": "text/html; charset=utf-8"})
    if name == STATE:
        return Answer(live.state(), {**_ALWAYS, "Content-Type": "application/json"})
    return None


async def respond(
    live: Live, request: web.BaseRequest, name: str, *, patience_s: float = SLOWEST_READER_S
) -> web.StreamResponse | None:
    """
    The same by aiohttp, events included, all of it written; None: there is nothing.

    Args:
        patience_s: how long a listener may take for an event.
    """
    if name != EVENTS:
        found = answer_to(live, name)
        return None if found is None else await whole(request, web.Response(body=found.body, headers=found.headers))
    response = web.StreamResponse(headers=STREAM)
    try:
        await response.prepare(request)
        if request.method != "HEAD":
            with live.listening() as listener:
                async for event in listener:
                    async with asyncio.timeout(patience_s):
                        await response.write(event)
        await response.write_eof()
    except ConnectionError:  # the listener left, or the page was closed
        pass
    except TimeoutError:
        cut_off(request)
    return response


async def whole(request: web.BaseRequest, response: web.Response) -> web.Response:
    """*response*, written; to one who does not read it there is an end."""
    try:
        async with asyncio.timeout(SLOWEST_READER_S):
            await response.prepare(request)
            await response.write_eof()
    except ConnectionError:  # the reader left, or the page was closed
        pass
    except TimeoutError:
        cut_off(request)
    return response


def cut_off(request: web.BaseRequest) -> None:
    """End the connection, whatever is still to be written."""
    if request.transport is not None:
        request.transport.abort()
