"""
The key is in no error.

Each kind the library can raise is raised, with a key at hand that can be recognised, and searched: its texts, its
chain, its pickle, its copy, and the locals of its frames two levels deep.
"""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ratelimit_client import Client, Limiter, RetryPolicy, Timeout, errors, per_day, per_minute
from ratelimit_client.adapters.redis import RedisStore
from ratelimit_client.errors import RateLimitClientError
from ratelimit_client.runtime.secret import Secret
from tests.adapters.aiohttp.rawserver import Move, RawServer, Step, answer
from tests.adapters.aiohttp.sockets import TEXT, Peer, SocketServer, frame, goodbye
from tests.canary import KEY, clean
from tests.reaching import frames, places_of_the_key, printed
from tests.redis_server import free_port

Story = Callable[[], Coroutine[Any, Any, object]]


def body(kind: str, message: str = "No.") -> bytes:
    return b'{"error":{"message":"%s","type":"%s","code":"%s"}}' % (message.encode(), kind.encode(), kind.encode())


def refusing(status: str, kind: str, **options: Any) -> Story:
    """A call whose answer is a no."""
    return ending([answer(body(kind), status=status)], **options)


def ending(steps: list[Step], *, deadline: float | None = None, tokens: int | None = None, **options: Any) -> Story:
    """One call against a server that does *steps*."""

    async def story() -> object:
        options.setdefault("retry", RetryPolicy.none())
        async with RawServer(steps) as server, Client(server.url, api_key=KEY, **options) as client:
            return await client.post("/v1/x", json={"model": "m"}, deadline=deadline, tokens=tokens)

    return story


def without_store(*, checked: bool) -> Story:
    """A store with a password, where nobody listens: asked before the first call, or by it."""

    async def story() -> object:
        store = RedisStore(f"redis://:{KEY}@127.0.0.1:{free_port()}/0", on_store_failure="stop")
        try:
            if checked:
                return await store.check()
            async with Limiter(per_minute(requests=5), store=store).permit():
                return None
        finally:
            await store.close()

    return story


def session_that_ends(last: bytes) -> Story:
    """A realtime session in a response, whose server says *last* and hangs up."""

    async def end(peer: Peer) -> None:
        await peer.event()
        await peer.write(last)
        peer.close()

    async def story() -> object:
        async with (
            SocketServer(end) as server,
            Client(server.url, api_key=KEY) as client,
            client.realtime("m") as session,
        ):
            await session.send({"type": "response.create"})
            return [event async for event in session]

    return story


def making(**options: Any) -> Story:
    """A client that cannot be made."""

    async def story() -> object:
        return Client(**{"base_url": "https://api.example/v1", "api_key": KEY, **options})

    return story


def queueing(call: Callable[[Client], Coroutine[Any, Any, object]], **options: Any) -> Story:
    """A call beside one that is in flight and stays there."""

    async def story() -> object:
        async with RawServer([Move.SILENCE]) as server:
            client = Client(server.url, api_key=KEY, retry=RetryPolicy.none(), **options)
            first = asyncio.create_task(client.post("/v1/x", json={}))
            await until(lambda: len(server.requests) == 1)
            try:
                return await call(client)
            finally:
                first.cancel()
                await asyncio.wait([first])
                await client.close()

    return story


async def until(true: Callable[[], bool]) -> None:
    """Return when it is: what a server has received, or a thread has done."""
    while not true():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)


async def post(client: Client, **options: Any) -> object:
    return await client.post("/v1/x", json={}, **options)


async def post_two(client: Client) -> object:
    async with asyncio.TaskGroup() as group:
        return [group.create_task(post(client)) for _ in range(2)]


async def post_elsewhere(client: Client) -> object:
    """From another thread and loop, while the client is busy on this one."""
    caught: list[BaseException] = []

    def elsewhere() -> None:
        try:
            asyncio.run(post(client))  # type: ignore[arg-type]
        except RateLimitClientError as error:
            caught.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await until(lambda: not thread.is_alive())
    raise caught[0]


async def take_one(client: Client) -> object:
    return client.limiter.permit_nowait()


async def closed(client: Client) -> object:
    await client.close()
    return await post(client)


PATIENT = Timeout(idle_s=0.1)

ENDS: list[tuple[str, Story]] = [
    ("InvalidQuota", making(quotas="as many as you like")),
    ("ConfigurationError", making(base_url="http://plain.example")),
    ("ConfigurationError", making(base_url=f"https://user:{KEY}@api.example")),
    ("ConfigurationError", making(api_key=f"{KEY}\n{KEY}")),
    ("ConfigurationError", making(headers={"api-key": f"{KEY}\r\nHost: evil"})),
    ("ConfigurationError", making(organization="org\u2028")),
    ("CostExceedsQuota", ending([answer()], tokens=5, quotas=per_minute(tokens=1))),
    ("WrongLoop", queueing(post_elsewhere)),
    ("QueueFull", queueing(post_two, limiter=Limiter(max_in_flight=1, max_queue=1))),
    ("WouldBlock", queueing(take_one, max_in_flight=1)),
    ("Closed", queueing(closed)),
    ("DeadlineUnreachable", queueing(lambda client: post(client, deadline=0.01), quotas=per_day(requests=1))),
    ("DeadlineExpiredInQueue", queueing(lambda client: post(client, deadline=0.01), max_in_flight=1)),
    ("DeadlineExceeded", ending([Move.SILENCE], deadline=0.05)),
    ("DeadlineExceeded", ending([answer(b"{", length=9), Move.SILENCE], deadline=0.05)),
    ("ResponseError", refusing("400 X", "invalid_request_error")),
    ("ResponseError", ending([answer(status="307 X", location="https://evil.example/")])),
    ("Throttled", refusing("429 X", "rate_limit_exceeded", retry=RetryPolicy(max_attempts=1, max_refusals=0))),
    ("Overloaded", refusing("503 X", "server_error")),
    ("QuotaExhausted", refusing("429 X", "insufficient_quota")),
    ("RequestTooLarge", refusing("413 X", "request_too_large")),
    ("AuthenticationFailed", refusing("401 X", "invalid_api_key")),
    ("ModelNotFound", refusing("404 X", "model_not_found")),
    ("TransportError", ending([Move.CLOSE])),
    ("TransportError", ending([Move.RESET])),
    ("TransportError", ending([Move.SILENCE], timeout=PATIENT)),
    ("TransportError", ending([b"no HTTP\r\n\r\n"])),
    ("IncompleteResponse", ending([answer(b"{")])),
    ("IncompleteResponse", ending([answer(b"{", length=9), Move.SILENCE], timeout=PATIENT)),
    ("StreamError", session_that_ends(goodbye(1008, f"Bearer {KEY}"))),
    ("StreamTruncated", session_that_ends(frame(TEXT, KEY.encode()))),
    ("StreamTruncated", session_that_ends(b"")),
    ("StoreUnavailable", without_store(checked=True)),
    ("StoreUnavailable", without_store(checked=False)),
]


def end_of(story: Story) -> BaseException:
    """What *story* raises, the frames of the library included."""
    try:
        found = asyncio.run(story())  # type: ignore[arg-type]
    except RateLimitClientError as error:
        return error
    except BaseExceptionGroup as group:
        return group.exceptions[0]
    raise AssertionError(f"it ended well: {found!r}")


@pytest.mark.parametrize(("kind", "story"), ENDS, ids=[f"{n}-{kind}" for n, (kind, _) in enumerate(ENDS)])
def test_an_error_shows_no_key(kind: str, story: Story):
    """
    Nor does what it hangs on, a local of any frame two levels deep, its pickle, or its copy.
    """
    error = end_of(story)

    assert kind == type(error).__name__
    assert any(frames(error)), "there is nothing to search"
    assert places_of_the_key(error) == []
    clean(pickle.dumps(error.with_traceback(None)), "a pickle")
    assert places_of_the_key(copy.deepcopy(error)) == []


QUOTES: list[tuple[str, list[Step]]] = [
    ("in a message", [answer(body("invalid_api_key", f"Incorrect API key provided: {KEY}."), status="401 X")]),
    ("in a page", [answer(f"<p>Authorization: Bearer {KEY}</p>".encode(), status="502 X", kind="text/html")]),
    ("where JSON was due", [answer(f"<p>Bearer {KEY}</p>".encode(), kind="text/html")]),
    ("in JSON cut short", [answer(f'{{"key":"{KEY}"'.encode())]),
    ("in a redirect", [answer(status="307 X", location=f"https://{KEY}.evil.example/?key={KEY}")]),
    ("in the reason", [answer(body("x"), status=f"418 {KEY}")]),
    ("in a request id", [answer(body("x"), status="400 X", x_request_id=KEY)]),
    ("in a header that is none", [b"HTTP/1.1 200 OK\r\nX-Echo: Bearer %s\0\r\n\r\n" % KEY.encode()]),
    ("in a status line that is none", [b"HTTQ/1.1 200 Bearer %s\r\n\r\n" % KEY.encode()]),
    ("in a chunk size", [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n" % KEY.encode()]),
]


@pytest.mark.parametrize(("where", "steps"), QUOTES, ids=[where for where, _ in QUOTES])
def test_a_server_that_quotes_the_key_is_not_repeated(where: str, steps: list[Step]):
    """
    The error it ends in masks the key; so does all that a traceback prints, locals included.
    """
    clean(printed(end_of(ending(steps))), f"the error: {where}")


def test_every_kind_of_error_is_in_the_table():
    """
    Each class of the tree that the library raises; one that is raised from now on has to join.
    """
    kinds = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, RateLimitClientError)
    }

    assert {kind for kind, _ in ENDS} == kinds - {"RateLimitClientError", "NotAdmitted"}


def test_the_search_finds_a_key_two_levels_deep():
    """
    In a local, an attribute of it, an element of that; in a cause; but not within a Secret.
    """

    class Careless:
        def __init__(self, key: str) -> None:
            self.headers = [Secret(key), {"Authorization": f"Bearer {key}"}]

        def __repr__(self) -> str:
            return "<Careless>"

    # Code that is not the tests': with their frames left out, there would be nothing to search.
    code = compile("def fails(local):\n    raise ValueError('no')\n", "elsewhere.py", "exec")
    names: dict[str, Any] = {}
    exec(code, names)

    def places(local: object) -> list[str]:
        with pytest.raises(ValueError, match="no") as caught:
            names["fails"](local)
        return places_of_the_key(caught.value)

    assert places(Careless(KEY)) == ["ValueError in fails: local, level 1", "ValueError in fails: local, level 2"]
    assert places(Secret(KEY)) == places("harmless") == []
    outer = RuntimeError("outer")
    outer.__cause__ = OSError(KEY)
    assert places_of_the_key(outer) == ["OSError"]
