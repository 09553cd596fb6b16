"""
A realtime session in the hands of its user.

Law of this file: a session is one socket and many calls. What asks for a response waits its
turn in the queue, whatever else is said goes at once; and a session that ended is not
mended but opened anew, as another one, with what did not leave told.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import warnings
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self

from ...core.cost import Cost
from ...core.signals import Signals
from ...errors import ConfigurationError, StreamError
from ...runtime.limiter import Limiter
from . import codec
from .conversation import Conversation
from .door import Door
from .exchange import Call
from .tally import Tally, outcome_of
from .upgrade import Shaken
from .watchdog import Stalled, TaskWatch
from .wire import Wire

Event = dict[str, Any]


class Realtime:
    """
    One session, for ``async with`` and ``async for``.

        async with client.realtime("gpt-realtime") as session:
            await session.send({"type": "response.create"})
            async for event in session:
                print(event["type"])

    Made by ``Client.realtime``, which says what happens while it waits. Entered again after
    its end, it opens another session.
    """

    def __init__(
        self,
        call: Callable[[], Call],
        run: Callable[[Call], Coroutine[Any, Any, Shaken]],
        limiter: Limiter,
        wire: Wire,
        door: Door,
        tally: Tally,
        *,
        heartbeat_s: float | None,
        most: int,
    ) -> None:
        self._make = call
        self._run = run
        self._limiter = limiter
        self._wire = wire
        self._door = door
        self._tally = tally
        self._heartbeat_s = heartbeat_s
        self._most = most
        self._call: Call | None = None
        self._talking: Conversation | None = None
        self._entering = False
        self._left_over: tuple[Mapping[str, Any], ...] = ()
        self._numbers = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- in -----------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._entering or (self._talking is not None and not self._talking.is_over):
            raise RuntimeError("this session is open already: ask the client for another")
        loop = self._loop = asyncio.get_running_loop()
        call = self._call = self._make()
        began, outcome = loop.time(), "success"
        self._entering = True
        try:
            self._door.enter()
            try:
                shaken = await self._run(call)
            except BaseException:
                self._door.leave()
                raise
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._entering = False
            self._tally.add(call.key, outcome, loop.time() - began)
        self._left_over = self.unsent
        self._talking = Conversation(
            shaken,
            self._limiter,
            call.key,
            self._door,
            self._tally,
            self._wire.dog,
            most=self._most,
            heartbeat_s=self._heartbeat_s,
        )
        self._talking.socket.begin()
        return self

    # -- what is said -------------------------------------------------------------------

    async def send(
        self,
        event: Any,
        *,
        cost: Cost | Mapping[str, int] | None = None,
        tokens: int | None = None,
        priority: int | None = None,
        tenant: str | None = None,
        deadline: float | None = None,
    ) -> None:
        """
        Say something to the server.

        A ``response.create`` waits its turn in the queue, as every call does, and holds a place
        from then on until its response is over; all other events go at once. It returns when
        the event has left this program, or when there is room for it.

        Cancelled while it waits for its turn, nothing was said and nothing is charged.

        Args:
            event: what is said; it has a ``type``. A ``response.create`` without an ``event_id`` gets one.
            cost, tokens: whole units that the response costs, if you know; otherwise it is
                estimated from what was said so far and from what the last response used.
            priority, tenant: its place in the queue; those of the session by default.
            deadline: seconds within which it must have left.

        Raises:
            NotAdmitted, CostExceedsQuota, Throttled: it was not sent and is not charged.
            StreamError: the session is over; ``unsent_events`` has what never left.
            ConfigurationError: it is no event, or one that costs nothing was given a cost.
        """
        talking, call = self._entered(), self._call
        assert call is not None
        if not isinstance(event, Mapping) or not isinstance(event.get("type"), str):
            raise ConfigurationError("an event is a dictionary that names its type; nothing was sent")
        if event["type"] == "response.create":
            name = event.get("event_id")
            name = name if isinstance(name, str) else f"{call.name}-{next(self._numbers)}"
            await self._ask(
                talking,
                {**event, "event_id": name},
                name,
                cost=cost,
                tokens=tokens,
                priority=call.priority if priority is None else priority,
                tenant=call.tenant if tenant is None else tenant,
                deadline=deadline,
            )
        else:
            if cost is not None or tokens is not None:
                raise ConfigurationError(f"{event['type']!r:.60} costs nothing: response.create is what is charged")
            if not talking.say(event, codec.encode(event)):
                raise _gone(talking, event)
        await talking.socket.room()
        if talking.is_over and (error := talking.failure()) is not None:  # while it waited
            raise error

    async def _ask(self, talking: Conversation, event: Event, name: str, **wishes: Any) -> None:
        raw = codec.encode(event)
        if talking.is_over:
            raise _gone(talking, event)
        stated = wishes["cost"] is not None or wishes["tokens"] is not None
        features = None if stated else talking.asks.talk.features(event)
        waiting = self._limiter.permit(talking.key, features=features, **wishes)
        # It does not look for silence: it is a way to wake this task when the session ends.
        watch = TaskWatch(talking.dog, itertools.count().__next__)
        talking.queues(watch, event)
        try:
            with watch:
                permit = await waiting
        except Stalled:
            permit = None
        finally:
            talking.queues_no_more(watch)
        if permit is None:
            raise _gone(talking, None)
        talking.asks.asked(permit, name)
        if not talking.say(event, raw):
            talking.asks.taken_back(name)
            permit.unsent()
            permit.finish()
            raise _gone(talking, event)
        permit.written()

    # -- what is heard ------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """
        The next event, as the server wrote it.

        Cancelled, none is lost; the session stays open until it is left.

        Raises:
            StreamError: the server ended the session otherwise than well, or its time was over.
            StreamTruncated: it was lost, or ended in the middle of a response.
        """
        talking = self._entered()
        event = await talking.next()
        if event is not None:
            return event
        error = talking.failure()
        if error is None:
            raise StopAsyncIteration
        raise error

    # -- out --------------------------------------------------------------------------

    async def close(self) -> None:
        """
        End the session: its places are free at once; the server gets a moment to say goodbye. Idempotent.

        Responses under way stay charged. Cancelled, the connection is gone all the same.
        """
        if self._talking is not None:
            await self._talking.socket.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._talking is not None:
            self._talking.socket.drop()  # after an error nobody is there to wait for a goodbye
        await self.close()

    def __del__(self) -> None:
        talking, loop = self._talking, self._loop
        if talking is None or talking.is_over or loop is None:
            return
        warnings.warn(f"{self!r} was dropped: use it with 'async with'", ResourceWarning, stacklevel=2)
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it all that it held
            loop.call_soon_threadsafe(talking.socket.drop)

    # -- what it tells ------------------------------------------------------------------

    def _entered(self) -> Conversation:
        if self._talking is None:
            raise RuntimeError("this session was not entered: use it with 'async with'")
        return self._talking

    @property
    def expires_at(self) -> float | None:
        """When the server will end it, in seconds since 1970; None when it has not said so (yet)."""
        return self._entered().asks.expires_at

    @property
    def unsent(self) -> tuple[Mapping[str, Any], ...]:
        """
        After its end: the events given to ``send`` that never left this program, in order.

        Entered again, it tells those of the session before until this one has ended.
        """
        talking = self._talking
        return talking.unsent if talking is not None and talking.is_over else self._left_over

    @property
    def failure(self) -> Signals | None:
        """
        What the latest response that failed, or the latest error, said; None when a response went well since.

        ``retry_after_s`` is the least wait; a ``response.create`` that is sent again waits for it by itself.
        """
        return self._entered().asks.failure

    @property
    def under_way(self) -> int:
        """Responses asked for, or begun by the server, that are not over."""
        return len(self._entered().asks)

    @property
    def delivered(self) -> int:
        """Events handed out so far."""
        return self._entered().delivered

    @property
    def signals(self) -> Signals:
        """Everything the headers of the handshake say about limits and about who answered."""
        return self._entered().shaken.told.signals

    @property
    def request_id(self) -> str | None:
        """The server's name for the session's handshake: log it, support asks for it."""
        return self._entered().shaken.name

    def __repr__(self) -> str:
        if self._talking is None:
            return "<Realtime, not begun>"
        state = "over" if self._talking.is_over else "open"
        return f"<Realtime: {self._talking.delivered} events delivered, {len(self._talking.asks)} under way, {state}>"


def _gone(talking: Conversation, event: Mapping[str, Any] | None) -> StreamError:
    """The error for what cannot be said any more."""
    found = talking.failure(event if event is not None else {})
    assert found is not None
    if event is None:
        found.unsent_events = talking.unsent
    return found
