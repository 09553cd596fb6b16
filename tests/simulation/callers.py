"""
The ways to make a call, one small function each.

Law of this file: each way is written as the documents show it to users, and what comes of
it is put down in a `Record`: the text of the answer, or what was raised. Nothing is judged
here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import aiohttp

from ratelimit_client import Client, Limiter

from .records import Record
from .world import Call, Party

if TYPE_CHECKING:
    from .day import Day

PATH = "/chat/completions"


def body_of(call: Call) -> dict[str, Any]:
    """The request of a call; it bears the call's name, and so does the answer."""
    body: dict[str, Any] = {
        "model": call.model,
        "user": call.mark,
        "messages": [{"role": "user", "content": "x" * call.chars}],
    }
    if call.max_tokens is not None:
        body["max_tokens"] = call.max_tokens
    return body


def place_of(call: Call) -> dict[str, Any]:
    """Where a call stands in the queue, and how long."""
    return {"priority": call.priority, "tenant": call.tenant, "deadline": call.deadline_s}


class Names:
    """Names for calls that are the same in every process."""

    def __init__(self, whose: str) -> None:
        self._whose = whose
        self._count = 0

    def fresh(self) -> str:
        self._count += 1
        return f"rlc-{self._whose}-{self._count:x}"


class Post:
    """A session of the caller's own: one request, as users write it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> None:
        self._session = session
        self._url = url + PATH
        self._headers = headers

    def __call__(self, call: Call) -> Any:
        """What ``async with`` takes: the request of *call*."""
        return self._session.post(self._url, json=body_of(call), headers=self._headers)


def text_of(document: Any) -> str:
    """The text of a chat answer."""
    return str(document["choices"][0]["message"]["content"])


# ---- through a client ------------------------------------------------------------------------


async def request(client: Client, call: Call) -> str:
    reply = await client.post(PATH, json=body_of(call), tokens=call.tokens, **place_of(call))
    return text_of(reply.data)


async def stream(client: Client, call: Call) -> str:
    """Event by event; who wants something of it is patient, or lets it be after the first."""
    text = ""
    place = place_of(call)
    until_s = place.pop("deadline")
    asked = client.stream(PATH, json=body_of(call), tokens=call.tokens, deadline_total=until_s, **place)
    async with asked as events:
        async for event in events:
            text += event.data["choices"][0]["delta"].get("content") or ""
            if not client.limiter.in_flight:
                raise AssertionError("a stream that is not over holds no place")
            if call.quirk == "settles" and call.deadline_s is None:  # to be late would be his own fault
                await asyncio.sleep(0.1)
    return text


def row_of(call: Call) -> dict[str, Any]:
    """A row of ``client.map``."""
    return {"path": PATH, "json": body_of(call), "tokens": call.tokens, **place_of(call)}


OF_ONE_CALL: dict[str, Callable[[Client, Call], Coroutine[Any, Any, str]]] = {"request": request, "stream": stream}


# ---- through a limiter -------------------------------------------------------------------------


def _ask(call: Call) -> dict[str, Any]:
    return {"key": call.model, "tokens": call.tokens, **place_of(call)}


async def _inside(permit: Any, post: Post, call: Call) -> str:
    if call.quirk == "unsent":
        permit.unsent()
        return f"Answer to {call.mark}: nothing was asked."
    async with post(call) as response:
        permit.observe(response.status, response.headers, None if response.status == 200 else await response.read())
        response.raise_for_status()
        text = text_of(await response.json())
    if call.quirk == "settles":
        permit.settle(tokens=len(text) // 2)
        permit.settle(tokens=len(text) // 4)  # it is the last word that counts
    if call.quirk == "finishes":
        permit.finish()
    return text


async def permit(limiter: Limiter, post: Post, call: Call) -> str:
    async with limiter.permit(**_ask(call)) as permit:
        return await _inside(permit, post, call)


async def nowait(limiter: Limiter, post: Post, call: Call) -> str:
    async with limiter.permit_nowait(**_ask(call)) as permit:
        return await _inside(permit, post, call)


async def bare(limiter: Limiter, post: Post, call: Call) -> str:
    """The form for a call that outlives its function; its deadline holds for the queue only."""
    permit = await limiter.permit(**_ask(call))
    error: BaseException | None = None
    try:
        return await _inside(permit, post, call)
    except BaseException as raised:
        error = raised
        raise
    finally:
        permit.finish(error)


async def attempts(limiter: Limiter, post: Post, call: Call) -> str:
    async for attempt in limiter.attempts(**_ask(call)):
        async with attempt, post(call) as response:
            await attempt.check(response)
            text = text_of(await response.json())
            if call.quirk == "settles":
                attempt.settle(tokens=len(text) // 4)
            return text
    raise AssertionError("a loop over attempts ended without a return or a raise")


async def calling(limiter: Limiter, post: Post, call: Call) -> str:
    response = await limiter.call(post, call, **_ask(call))
    async with response:
        return text_of(json.loads(await response.read()))


async def limited(limiter: Limiter, post: Post, call: Call) -> str:
    @limiter.limited(**_ask(call))
    async def whole(one: Call) -> Any:
        async with post(one) as response:
            if response.status != 200:
                response.raise_for_status()
            return await response.json()

    return text_of(await whole(call))


OF_LIMITERS: dict[str, Callable[[Limiter, Post, Call], Awaitable[str]]] = {
    "permit": permit,
    "bare": bare,
    "nowait": nowait,
    "attempts": attempts,
    "call": calling,
    "limited": limited,
}


# ---- many at once --------------------------------------------------------------------------------


async def rows(day: Day, party: Party, records: list[Record]) -> AsyncIterator[Any]:
    """The calls of a party, each when its instant has come."""
    for record in records:
        await asyncio.sleep(max(0.0, record.call.at_s - day.loop.elapsed_s))
        day.begins(record)
        yield record.call if party.way == "items" else row_of(record.call)


async def through_map(
    day: Day, party: Party, records: list[Record], client: Client, limiter: Limiter, post: Any
) -> None:
    """All calls of a party through one map, to its end or until the party leaves."""
    if party.way == "items":

        async def whole(call: Call) -> Any:
            async with post(call) as response:
                if response.status != 200:
                    response.raise_for_status()
                return await response.json()

        results: Any = limiter.map(whole, rows(day, party, records), tokens=lambda call: call.tokens or 1, key=_model)
    else:
        results = client.map(rows(day, party, records))
    try:
        async with asyncio.timeout(party.leaves_s):
            async with results:
                async for result in results:
                    record = records[result.index]
                    try:
                        reply = result.unwrap()
                    except Exception as error:  # noqa: BLE001 - it is put down
                        day.ends(record, error=error)
                    else:
                        day.ends(record, text=text_of(reply if party.way == "items" else reply.data))
    except TimeoutError:
        if party.leaves_s is None:
            raise
    for record in records:
        if record.began_ns is not None and record.ended_ns is None:
            record.cancelled = True
            day.ends(record, error=asyncio.CancelledError())


def _model(call: Call) -> str:
    return call.model
