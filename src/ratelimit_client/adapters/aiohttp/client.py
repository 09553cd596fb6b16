"""
Calls to one API, under its limits.

Law of this file: everything a call needs is ready before it takes its place in
the queue (the body as bytes, the URL, the key), so that nothing is awaited
between its turn and its first byte; and whatever a call brings is a ``Reply``
that is whole, or one error of this library.

One request, top to bottom: ``request`` prepares, ``send`` runs the attempts of
the limiter, each attempt goes out through the wire, the head of the answer is
shown to the limiter as soon as it is there, then the body is read to its end and
checked, and what it says it used is settled.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import aiohttp

from ... import __version__
from ...core.cost import Cost
from ...core.retry import RetryPolicy
from ...dialects.dialect import Dialect
from ...dialects.features import Counter
from ...dialects.registry import AUTO, detect
from ...errors import ConfigurationError
from ...runtime.limiter import Limiter, QuotaLike
from ...runtime.mapping import Results
from .body import MOST_MESSAGE_BYTES
from .credentials import Credentials, KeySource
from .door import Door
from .exchange import Call, Whole, note_use
from .headers import shy, standing
from .life import Life
from .payload import Content
from .reply import Reply
from .requests import KeyOf, Requests
from .sending import Sender
from .tally import Tally, tell_end
from .timeouts import HEARTBEAT_S, IDLE_CONSUMER_S, Timeout
from .url import OPENAI, Base, Params, endpoint, quiet
from .whose import Whose
from .wire import Wire

if TYPE_CHECKING:  # streams and sessions are loaded by whoever wants one
    from .opening import Opened
    from .realtime import Realtime
    from .stream import Stream
    from .upgrade import Shaken

__all__ = ["Call", "Client", "Reply", "Timeout"]

_DEFAULT_RETRY = RetryPolicy()
_DEFAULT_TIMEOUT = Timeout()
_AGENT = f"ratelimit-client/{__version__}"


class Client(Life):
    """
    An HTTP client that keeps within a server's limits.

        async with Client() as client:
            reply = await client.post("/chat/completions", json={"model": ..., "messages": [...]})

    Leaving ``async with`` drains it and closes it; after an error it is closed at once.
    Without, call ``close()``. It serves one event loop at a time, as its limiter does.

    Args:
        base_url: where the API is; ``OPENAI_BASE_URL``, else OpenAI's own address.
        api_key: text, or a sync or async callable (rotation, a vault): asked again after
            60 s, and once after a 401. Default ``OPENAI_API_KEY``; "" for none.
        organization, project: default ``OPENAI_ORG_ID`` and ``OPENAI_PROJECT_ID``.
        limiter: one to share with others; otherwise the client makes its own from
            *quotas*, *shared*, *name*, *dialect*, *max_in_flight* and *retry*.
            Clients of one limiter that differ in origin, organization, project or key
            have a budget each, until answers say that they are one organization's.
        retry: which outcomes a call outlives; by default what the limiter's ``retry`` says.
        quotas, shared, name, dialect, max_in_flight: as of ``Limiter``.
        timeout: for connecting and for silence; for the whole there is ``deadline``.
        headers: sent with every request; their values are shown nowhere, for they may be keys.
        default_query: sent with every request, such as Azure's ``api-version``.
        session: an ``aiohttp.ClientSession`` of yours, for a proxy or a certificate
            authority; it is used with no redirects and stays open when the client closes.
        allow_insecure: let plain http leave this machine.

    Raises:
        ConfigurationError: no key for an API that needs one, a base URL that would show
            it, a header that may not be sent, or quotas beside a *limiter*.
        InvalidQuota, LookupError: as of ``Limiter``.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: KeySource | None = None,
        organization: str | None = None,
        project: str | None = None,
        limiter: Limiter | None = None,
        quotas: QuotaLike | Mapping[str, QuotaLike] = (),
        shared: QuotaLike = (),
        name: str = "default",
        dialect: str | Dialect = "auto",
        max_in_flight: int | None = None,
        retry: RetryPolicy = _DEFAULT_RETRY,
        timeout: Timeout = _DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
        default_query: Params | None = None,
        session: aiohttp.ClientSession | None = None,
        allow_insecure: bool = False,
    ) -> None:
        headers = shy(headers)
        try:
            self._credentials = Credentials(os.environ.get("OPENAI_API_KEY") if api_key is None else api_key)
        finally:
            del api_key  # a traceback that shows locals shows this one
        base_url = quiet(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI)
        self._base = Base(base_url, default_query=default_query, allow_insecure=allow_insecure)
        if self._base.is_openai and not self._credentials.given:
            message = f"{self._base.origin} needs a key: set OPENAI_API_KEY, or pass api_key="
            raise ConfigurationError(message)

        self._standing = standing(
            os.environ.get("OPENAI_ORG_ID") if organization is None else organization,
            os.environ.get("OPENAI_PROJECT_ID") if project is None else project,
            headers,
            _AGENT,
        )
        self._wire = Wire(self._base, self._credentials, timeout, session)
        self._own_limiter = limiter is None
        self._policy = None if limiter is None or retry is _DEFAULT_RETRY else retry
        if limiter is None:
            limiter = Limiter(
                quotas,
                shared=shared,
                name=name,
                dialect=_told(dialect, self._base),
                max_in_flight=max_in_flight,
                retry=retry,
            )
        elif quotas or shared or max_in_flight is not None:
            raise ConfigurationError("a client with a limiter of its own takes its quotas and max_in_flight from there")
        self._whose = Whose(limiter, self._base, self._credentials, self._standing)
        self._limiter = limiter
        limiter.reports_written()
        self._requests = Requests(self._base, self._standing, self._policy)
        self._door = Door()
        self.tally = Tally()
        """What became of its calls so far; the metrics are made of it."""
        self._sender = Sender(limiter, self._whose, self._wire, self._credentials, self._door, self.tally)

    # -- calls --------------------------------------------------------------------------

    def post(self, path: str, **arguments: Any) -> Coroutine[Any, Any, Reply]:
        """``request("POST", path, ...)``: arguments, reply and errors are the same."""
        return self.request("POST", path, **arguments)

    def get(self, path: str, **arguments: Any) -> Coroutine[Any, Any, Reply]:
        """``request("GET", path, ...)``: arguments, reply and errors are the same."""
        return self.request("GET", path, **arguments)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Any = None,
        files: Any = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        cost: Cost | Mapping[str, int] | None = None,
        tokens: int | None = None,
        priority: int = 0,
        tenant: str | None = None,
        deadline: float | None = None,
        idempotency_key: str | None = None,
    ) -> Reply:
        """
        A 2xx answer, whole, when the limits let the call go.

        It waits its turn in the queue and is tried again as the retry policy says; a
        POST, too, so one that was cut off may be done twice unless the server knows its
        idempotency key. Cancelled in the queue it leaves no trace; cancelled in flight
        its connection is closed, its place is free, and it stays charged if a byte of it was written.

        Args:
            method: GET, POST, ...
            path: of the endpoint, with or without ``/v1``; parameters go into *params*.
            json: the body, as values, or as bytes that are JSON already.
            data: bytes, text or form fields. *files*: name -> bytes, an open file, or
                (file name, content[, type]).
            headers: of this call alone.
            key: whose budget it is charged to; the ``model`` of a JSON body or of a form by default.
            cost, tokens: whole units it costs, if you know; otherwise it is estimated from the body.
            priority: -2 to 2, lower first. *tenant*: whom the queue shares fairly with others.
            deadline: seconds for all of it, queue and retries included.
            idempotency_key: the same for all attempts; one is made up otherwise.

        Raises:
            ResponseError: the final answer was no success.
            NotAdmitted: it was never sent and is not charged (``Closed``, ``QueueFull``,
                a deadline that cannot be kept or passed in the queue).
            CostExceedsQuota: it could never go.
            DeadlineExceeded: it was sent, and time ran out.
            TransportError, IncompleteResponse: no answer, or not all of it.
            ConfigurationError: what was given makes no request, or there is no key.
            WrongLoop: calls are under way on another event loop.
        """
        headers = shy(headers)
        return await self.send(
            await self._requests.of(
                method,
                path,
                json=json,
                data=data,
                files=files,
                params=params,
                headers=headers,
                key=key,
                cost=cost,
                tokens=tokens,
                priority=priority,
                tenant=tenant,
                deadline=deadline,
                idempotency_key=idempotency_key,
            )
        )

    def stream(
        self,
        method: str,
        path: str | None = None,
        *,
        deadline: float | None = None,
        deadline_total: float | None = None,
        idle_consumer_s: float | None = IDLE_CONSUMER_S,
        **arguments: Any,
    ) -> Stream:
        """
        The events of a streamed answer, as they come.

            async with client.stream("/chat/completions", json={...}) as stream:
                async for event in stream:
                    print(event.data["choices"])

        Entering waits for its turn, as ``request`` does, and until the first of the answer
        is there; until then what fails is tried again. Its place in flight and its
        connection are held until it has ended: exhausted, left, cancelled, failed, or
        dropped. Reading is as fast as events are taken: who takes none lets the server wait.

        Args:
            method: GET, POST, ...; with a path alone it is POST.
            deadline: seconds until the first of the answer, queue and retries included.
            deadline_total: seconds for all of it.
            idle_consumer_s: who takes no event for so long loses the stream; None for no bound.
            arguments: as of ``request``. A JSON body that does not say ``stream`` says it then.

        Raises (on entering):
            what ``request`` does; StreamError: the answer is no stream.

        Raises (while iterating):
            StreamError: the server said that the call failed; what came before was delivered.
            StreamTruncated: it ended without its last event, or the server fell silent.
            DeadlineExceeded: *deadline_total* has passed.
        """
        from .stream import Stream

        if path is None:
            method, path = "POST", method
        if deadline_total is not None:
            deadline = deadline_total if deadline is None else min(deadline, deadline_total)
        arguments["headers"] = shy(arguments.get("headers"))
        return Stream(
            self._requests.of(method, path, deadline=deadline, streamed=True, **arguments),
            self._open_stream,
            self._door,
            self.tally,
            total_s=deadline_total,
            idle_consumer_s=idle_consumer_s,
        )

    async def _open_stream(self, call: Call) -> Opened:
        from .opening import Opening
        return await self._sender.run(call, Opening)

    def realtime(
        self,
        model: str | None = None,
        *,
        heartbeat_s: float | None = HEARTBEAT_S,
        max_message_bytes: int = MOST_MESSAGE_BYTES,
        **arguments: Any,
    ) -> Realtime:
        """
        A realtime session over a websocket: events in, events out, and responses within the limits.

            async with client.realtime("gpt-realtime") as session:
                await session.send({"type": "response.create"})
                async for event in session:
                    if event["type"] == "response.done":
                        break

        Entering waits for its turn, costs nothing, and is tried again as the retry policy says. The
        session holds no place in flight; each response does, from its ``response.create`` (see
        ``Realtime.send``) to its ``response.done``. A response that fails leaves the session open.

        Args:
            model: of the session, as a parameter of the URL.
            heartbeat_s: silence after which the server is asked for a sign of life; None: never.
            max_message_bytes: a larger message ends the session.
            arguments: of the handshake: ``path`` ("/realtime"), ``params`` (``call_id``, or
                Azure's ``api-version``), ``headers``, and ``deadline``; and of the responses,
                too: ``key`` (the model by default), ``priority`` and ``tenant``.

        Raises (on entering):
            what ``request`` does; StreamError: the answer opens no websocket.

        Raises (while iterating, or from ``send``):
            StreamError: the session was ended; ``close_code``, ``expired`` and ``unsent_events`` say how.
        """
        from .realtime import Realtime
        from .upgrade import asking

        arguments["headers"] = shy(arguments.get("headers"))
        return Realtime(
            asking(self._requests, model, **arguments),
            self._shake_hands,
            self._limiter,
            self._wire,
            self._door,
            self.tally,
            heartbeat_s=heartbeat_s,
            most=max_message_bytes,
        )

    async def _shake_hands(self, call: Call) -> Shaken:
        from .upgrade import Handshake
        return await self._sender.run(call, Handshake)

    def call(self, method: str, path: str, content: Content | None = None, **rest: Any) -> Call:
        """What ``send`` takes: a request checked and ready; arguments as of ``Requests.call``."""
        return self._requests.call(method, path, content, **rest)

    async def send(self, call: Call) -> Reply:
        """Run a call that was made with ``call``; otherwise as ``request``."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        operation = self.tally.begin(call)
        try:
            self._door.enter()
            try:
                reply = await self._sender.run(call, Whole)
            finally:
                self._door.leave()
        except BaseException as error:
            self.tally.add(call.key, tell_end(error, operation), loop.time() - began)
            raise
        self.tally.add(call.key, "success", loop.time() - began)
        note_use(self.tally, call, reply, self._credentials.key, operation)
        return reply

    def map(
        self,
        rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        ordered: bool = False,
        on_error: Literal["yield", "raise"] = "yield",
    ) -> Results[Mapping[str, Any], Reply]:
        """
        Many calls, as fast as the limits allow: an async context manager and iterator of ``Result``.

            async with client.map(rows) as results:
                async for result in results:
                    print(result.index, result.unwrap().data)

        Args:
            rows: dicts of arguments for ``request``, or lines of a batch file (``method``,
                ``url``, ``body``); taken as needed, 64 beyond those in flight, and none
                without a place for its result (see ``Limiter.map``).
            ordered: results in the order of the rows; at most 1024 are in flight or held.
            on_error: "yield" a result that holds the error, or "raise" it.

        A row that makes no request is a result with a ``ConfigurationError``. Leaving
        the block early cancels the calls under way and waits until they have ended.
        """
        return self._limiter.results(self._run_row, rows, ordered=ordered, on_error=on_error)

    async def _run_row(self, row: Mapping[str, Any]) -> Reply:
        if "url" in row:
            method = row.get("method") or "POST"
            return await self.request(str(method), endpoint(row["url"]), json=row.get("body"))
        if unknown := [name for name in row if name not in _OF_A_ROW]:
            raise ConfigurationError(
                f"a row has no {unknown[0]!r:.60}: it holds arguments of request(), or a batch line"
            )
        return await self.request(**{"method": "POST", **row})

    # -- what it is made of -------------------------------------------------------------

    @property
    def counter(self) -> Counter | None:
        """Counts tokens to estimate with, ``counter(text, model) -> int``. None: by characters."""
        return self._requests.counter

    @counter.setter
    def counter(self, counter: Counter | None) -> None:
        self._requests.counter = counter

    @property
    def key_of(self) -> KeyOf | None:
        """The key of calls that name none, made of the model and the tokens they ask with. None: the model."""
        return self._requests.key_of

    @key_of.setter
    def key_of(self, key_of: KeyOf | None) -> None:
        self._requests.key_of = key_of

    @property
    def limiter(self) -> Limiter:
        """The limiter all calls go through."""
        return self._limiter

    def __repr__(self) -> str:
        limiter = getattr(self, "_limiter", None)  # a traceback may ask an unfinished one
        if limiter is None:
            return "<Client, unfinished>"
        scope = f" @{self._whose.number}" if self._whose.number > 1 else ""
        return f"<Client {self._base}{scope}: {limiter!r}>"


_OF_A_ROW = frozenset(inspect.signature(Client.request).parameters) - {"self"}


def _told(dialect: str | Dialect, base: Base) -> str | Dialect:
    """Where the address says whose API it is, nothing is left to find out."""
    if dialect != AUTO:
        return dialect
    found = detect(url=str(base))
    return found if found.is_vendors else dialect
