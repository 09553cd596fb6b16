"""
Who talks with a server over a socket, and how servers do.

Law of this file: talks joined later than the rest. Their dice are their own, and they take
the place of plain requests only, so that days without them are what they were. A talker does
what the documents show: it opens a session, says something, asks for a response and reads
on to its end; one that failed is asked for again in the same session.

Theory. One call here is many of the client: the handshake and each response has an end and a
count of its own. What a talker has seen of them is in its ``outcomes``; where an error or a
cancellation came while an event was on its way out, nobody can say whether it had left, and
that is in ``perhaps``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs

from ratelimit_client import Client, StreamError
from ratelimit_client.testing import RealtimeConduct

from .callers import place_of
from .checks.rest import outcome_of
from .records import Record
from .world import Call, Gate, Party, Site

_MOST_TRIES = 60


def with_talks(
    seed: int, sites: tuple[Site, ...], gates: tuple[Gate, ...], parties: tuple[Party, ...], *, calm: bool = False
) -> tuple[tuple[Site, ...], tuple[Party, ...]]:
    """The same, with some of the requests said over sockets, to servers that have their ways with these."""
    dice = random.Random(f"talks {seed}")
    there, who = list(sites), []
    for party in parties:
        number = gates[party.gate].site
        plain = not calm or {quota.unit for quota in there[number].limits} == {"requests"}
        if party.way == "request" and plain and dice.random() < 0.4:
            calls = tuple(
                attrs.evolve(call, turns=1 if calm else dice.choice((1, 1, 2, 4)), quirk="") for call in party.calls
            )
            party = attrs.evolve(party, way="realtime", calls=calls)
            if not calm and "realtime" not in there[number].options:
                there[number] = _talking(dice, there[number])
        who.append(party)
    return tuple(there), tuple(who)


def _talking(dice: random.Random, site: Site) -> Site:
    conduct = RealtimeConduct(
        session_s=dice.choice((3600.0, 3600.0, 60.0, 3.0)),
        refused=dice.choice((0, 0, 0, 1, 5)),
        telling=dice.choice(("true", "true", "true", "empty", "none", "full", "partial", "hostile")),
        early=dice.random() < 0.3,
        pongs=dice.random() < 0.8,
        close_after=dice.choice((None, None, None, (1, 1000), (1, 1001), (2, 1011), (1, 1013), (3, 3000))),
        binary=dice.random() < 0.2,
    )
    return attrs.evolve(site, options={"streaming": dice.choice((0.0, 0.3, 5.0)), **site.options, "realtime": conduct})


@attrs.frozen
class Talker:
    """
    Those of one gate who talk.

    Args:
        record_of: the record of a call.
        opened: is told of a call whose session is open.
    """

    client: Client
    record_of: Callable[[str], Record]
    opened: Callable[[Call], None]

    async def __call__(self, call: Call) -> str:
        record = self.record_of(call.mark)
        record.outcomes, record.perhaps = Counter(), Counter()
        session = self.client.realtime(call.model, **place_of(call))
        try:
            await session.__aenter__()
        except BaseException as error:
            record.outcomes[outcome_of(error)] += 1
            raise
        record.outcomes["success"] += 1
        self.opened(call)
        text = ""
        async with _Left(session):
            for _ in range(call.turns):
                await session.send(_said(call))
                text = await self._answer(session, call, record)
        return text

    async def _answer(self, session: Any, call: Call, record: Record) -> str:
        """The text of the next response that does not fail."""
        for _ in range(_MOST_TRIES):
            wishes: dict[str, Any] = {"metadata": {"row": call.mark}}
            if call.max_tokens is not None:
                wishes["max_output_tokens"] = call.max_tokens
            try:
                await session.send({"type": "response.create", "response": wishes}, tokens=call.tokens)
            except BaseException as error:
                record.perhaps[outcome_of(error)] += 1
                raise
            try:
                text = await self._read(session)
            except BaseException as error:
                record.outcomes[outcome_of(error)] += 1
                raise
            record.outcomes["error" if text is None else "success"] += 1
            if text is not None:
                return text
        raise StreamError(f"{call.mark} gives up: it was refused {_MOST_TRIES} times")

    async def _read(self, session: Any) -> str | None:
        """To the end of a response; None when it failed."""
        text = ""
        async for event in session:
            if session.under_way and not self.client.limiter.in_flight:
                raise AssertionError("a response that is not over holds no place")
            if event["type"] == "response.output_text.delta":
                text += event["delta"]
            elif event["type"] == "response.done":
                return text if event["response"]["status"] == "completed" else None
        raise AssertionError(f"the session ended well in the middle of a response, after {text!r}")


class _Left:
    """Leaves a session that was entered by hand."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *why: Any) -> None:
        await self._session.__aexit__(*why)


def _said(call: Call) -> dict[str, Any]:
    content = [{"type": "input_text", "text": "x" * call.chars}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}
