"""
The key is nowhere but on the wire.

Every way a call can end is walked with a key that can be recognised, while all
loggers are at DEBUG; then everything the ends left behind is searched: texts,
representations, tracebacks with the locals of every frame, pickles.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import logging
import pickle
import traceback
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from ratelimit_client import Client, Limiter, RetryPolicy, Timeout, per_minute
from ratelimit_client.adapters.prometheus import watch
from ratelimit_client.errors import RateLimitClientError, TransportError
from ratelimit_client.runtime.secret import Fingerprint, Secret
from tests import canary
from tests.adapters.aiohttp.rawserver import Move, RawServer, answer, chunked
from tests.adapters.aiohttp.running import on_real_sockets

CANARY = canary.KEY
SECRET = canary.TOKEN[10:22]  # a piece of it

ENDS: dict[str, list[Any]] = {
    "success": [answer(b'{"a":1}')],
    "refusal": [answer(b"{}", status="429 X")],
    "401": [answer(b"{}", status="401 X")],
    "redirect": [answer(status="307 X", location="http://evil.example/")],
    "reset": [Move.RESET],
    "end": [Move.CLOSE],
    "silence": [Move.SILENCE],
    "no HTTP": [b"hello\r\n\r\n"],
    "cut body": [answer(b"{", length=9), 0.01, Move.CLOSE],
    "silent body": [answer(b"{", length=9), Move.SILENCE],
    "bad chunk": [chunked(b"{"), 0.01, b"zz\r\n"],
    "cut JSON": [answer(b"{")],
}


class Keeps(logging.Handler):
    """A log that is kept in memory."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.args!r} {record.exc_info!r}")


@pytest.fixture
def log() -> Iterator[Keeps]:
    """Everything any logger says."""
    handler, root = Keeps(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


def shown(error: BaseException) -> str:
    """All that a crash reporter would send: the error, what it hangs on, and the locals of all frames."""
    seen = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(seen.format()) + repr(error) + str(error) + repr(vars(error))


def inside(error: BaseException) -> Iterator[str]:
    """The representation of every object that can be reached from *error* in a few steps, frames included."""
    known: set[int] = set()
    layer: list[Any] = [error]
    for _ in range(7):
        layer = [found for found in gc.get_referents(*layer) if id(found) not in known]
        known.update(map(id, layer))
        yield from (found for found in layer if type(found) is str)


@pytest.mark.parametrize("end", ENDS)
def test_the_key_is_nowhere(end: str, log: Keeps):
    """
    However a call ends.
    """

    async def story() -> list[Any]:
        left: list[Any] = []
        server = RawServer(ENDS[end])
        async with server:
            client = client_of(server.url)
            async with client:
                left.append(await ended(client))
            left += [repr(client), repr(client.limiter), repr(vars(client)), repr(client.limiter.statistics())]
        return left

    (outcome, *texts) = on_real_sockets(story)
    if isinstance(outcome, RateLimitClientError):
        assert outcome.__cause__ is outcome.__context__ is None
        assert SECRET not in shown(outcome)
        assert SECRET not in shown(pickle.loads(pickle.dumps(outcome)))
        assert SECRET not in shown(copy.deepcopy(outcome))
    for text in [*texts, repr(outcome), *log.lines]:
        assert SECRET not in text


def client_of(url: str) -> Client:
    return Client(url, api_key=CANARY, timeout=Timeout(idle_s=0.1), retry=RetryPolicy.none())


async def ended(client: Client) -> Any:
    try:
        return await client.post("/v1/x", json={})
    except RateLimitClientError as error:
        return error


@pytest.mark.parametrize("steps", [[Move.SILENCE], [answer(b"{", length=9), Move.SILENCE]])
def test_a_cancelled_call_shows_no_key(steps: list[Any]):
    """
    A cancellation or a deadline passes through the frames of aiohttp, whose locals hold the headers; they are not kept.
    """

    async def story() -> list[BaseException]:
        errors: list[BaseException] = []
        server = RawServer(steps)
        async with server:
            url = server.url
            async with Client(url, api_key=CANARY) as client:
                for call in (
                    asyncio.wait_for(client.post("/v1/x", json={}), 0.05),
                    client.post("/v1/x", json={}, deadline=0.05),
                ):
                    try:
                        await call
                    except TimeoutError as error:
                        errors.append(error)
        return errors

    for error in on_real_sockets(story):
        while error is not None:
            assert SECRET not in shown(error)
            error = error.__cause__ or error.__context__  # type: ignore[assignment]


@pytest.mark.parametrize("theirs", [False, True])
def test_the_key_is_taken_away_as_the_head_is_there(theirs: bool):
    """
    While the body is read nothing the call or the client can reach holds the header any more, on connections of our
    own and on a session of the user's.
    """

    async def story() -> None:
        searched = asyncio.Event()
        middle = [answer(b'{"a":', length=7), searched, b"1}"]
        async with contextlib.AsyncExitStack() as stack:
            server = await stack.enter_async_context(RawServer(middle))
            session = await stack.enter_async_context(aiohttp.ClientSession()) if theirs else None
            client = await stack.enter_async_context(Client(server.url, api_key=CANARY, session=session))
            call = asyncio.create_task(client.post("/v1/x", json={}))
            while not server.requests:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
            for _ in range(20):  # the head is on its way, in a loop of which the server is a part
                await asyncio.sleep(0.002)
            assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"
            found = set(texts_within(call, client, but=asyncio.get_running_loop()))
            assert "/v1/x" in found  # the search went deep enough
            # The key itself stands in its Secret, and in this module.
            assert [text for text in found if SECRET in text and text != CANARY] == []
            searched.set()
            await call

    on_real_sockets(story)


def texts_within(*roots: Any, but: object) -> Iterator[str]:
    """Every text and every piece of bytes that can be reached; the loop, on which the server runs too, is left out."""
    known: set[int] = {id(but), *map(id, roots)}
    layer: list[Any] = list(roots)
    while layer:
        layer = [found for found in gc.get_referents(*layer) if id(found) not in known]
        known.update(map(id, layer))
        yield from (str(found) for found in layer if isinstance(found, str))
        yield from (bytes(found).decode("latin-1") for found in layer if isinstance(found, bytes | bytearray))
        layer = [found for found in layer if not isinstance(found, type | ModuleType | FunctionType)]


def test_what_an_error_can_reach():
    """
    Not even a search through everything an error refers to finds the key in the clear, but for the Secret itself.
    """

    async def story() -> BaseException:
        server = RawServer([Move.CLOSE])
        async with server:
            client = client_of(server.url)
            async with client:
                error = await ended(client)
        assert isinstance(error, BaseException)
        return error.with_traceback(None)

    assert [text for text in inside(on_real_sockets(story)) if SECRET in text] == []


def test_a_session_of_the_users_is_told_the_key_no_earlier():
    """
    Its own Authorization is replaced for the request and is not sent beside ours; redirects stay off.
    """

    async def story() -> None:
        async with (
            RawServer([answer()], [answer(status="302 X", location="/elsewhere")]) as server,
            aiohttp.ClientSession(headers={"Authorization": "Bearer theirs"}) as session,
        ):
            options: dict[str, Any] = {
                "session": session,
                "quotas": per_minute(requests=60),
                "retry": RetryPolicy.none(),
            }
            async with Client(server.url, api_key=CANARY, **options) as client:
                await client.post("/v1/x", json={})
                await ended(client)
            async with Client(server.url, api_key="", **options) as client:
                await ended(client)
            assert not session.closed
        sent = [request.headers["authorization"] for request in server.requests]
        assert sent == [f"Bearer {CANARY}"] * 2 + ["Bearer theirs"]
        assert session._default_headers["Authorization"] == "Bearer theirs"

    on_real_sockets(story)


def test_nothing_shows_whose_a_budget_is(log: Keeps):
    """
    Of clients that share a limiter, the name of a key tells the number of its scope: no key, no fingerprint of one, and
    no organization or project, as sent or as named, in any name, text, event or metric.
    """
    events: list[Any] = []
    registry = CollectorRegistry()
    keys = [CANARY, CANARY + "-2"]

    async def story() -> list[str]:
        limiter = Limiter(on_event=events.append)
        named = [answer(openai_organization=f"org-7b1d0c5e-{number}") for number in (1, 2, 1)]
        shown: list[str] = []
        async with RawServer(*([each] for each in named)) as server:
            for key in (*keys, keys[0]):
                options: dict[str, Any] = {"project": "proj_7b1d0c5e"} if key == keys[0] else {}
                async with Client(server.url, api_key=key, limiter=limiter, **options) as client:
                    watch(client, registry)
                    await client.post("/v1/x", json={"model": "gpt-4o"})
                    whose = vars(client._whose) | {"_standing": None}  # what is sent is no secret of the client's own
                    shown += [repr(client), repr(whose), repr(whose["_first"]._caller)]
        names = list(limiter.statistics().keys)
        assert names == ["gpt-4o", "gpt-4o @2"]
        shown += [repr(limiter), repr(vars(limiter)), repr(limiter.statistics()), repr(limiter.waiting()), *names]
        shown += [repr(scope) for scope in limiter._scopes._sent.values()]
        return [*shown, *(str(limiter.explain(key=name)) for name in names)]

    texts = [*on_real_sockets(story), repr(events), generate_latest(registry).decode(), *log.lines]
    fingerprints = [Fingerprint.of([Secret(key)]) for key in keys]
    fingerprints += [Fingerprint.of([each.hex()]) for each in fingerprints]
    secrets = [SECRET, *(str(bytes(each))[2:-1] for each in fingerprints), *(each.hex() for each in fingerprints)]
    whole = "\n".join(texts)
    assert "gpt-4o @2" in whole
    assert [secret for secret in secrets if secret in whole] == []
    assert len(set(fingerprints)) == 4


def of_ours(error: BaseException) -> BaseException:
    """*error* without the frame of the test, which may hold what is the test's own."""
    assert error.__traceback__ is not None
    return error.with_traceback(error.__traceback__.tb_next)


@pytest.mark.parametrize("where", ["client", "call"])
@pytest.mark.parametrize("large", [False, True])
def test_a_key_that_is_a_header_of_the_users_is_not_shown_either(where: str, large: bool):
    """
    Azure's key is an ordinary header, of the client or of one call: it reaches the server, and no traceback or repr.
    """

    async def story() -> tuple[BaseException, str, str]:
        theirs = {"api-key": CANARY}
        async with (
            RawServer([Move.CLOSE]) as server,
            Client(
                server.url, api_key="", retry=RetryPolicy.none(), headers=theirs if where == "client" else None
            ) as client,
        ):
            body = b"x" * (2**20 if large else 1)
            with pytest.raises(TransportError) as caught:
                await client.post("/v1/x", data=body, headers=theirs if where == "call" else None)
            return of_ours(caught.value), server.requests[0].headers["api-key"], repr(vars(client))

    error, sent, client = on_real_sockets(story)
    assert sent == CANARY
    assert SECRET not in shown(error)
    assert SECRET not in client


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://plain.example"},
        {"api_key": CANARY + "\n" + CANARY},
        {"quotas": "as many as you like"},
        {"limiter": Limiter(), "quotas": "1/s"},
        {"headers": {"Host": "elsewhere"}},
        {"headers": {"api-key": CANARY + "\n"}},
    ],
    ids=["base_url", "api_key", "quotas", "limiter", "header", "header value"],
)
def test_a_client_that_could_not_be_made_shows_no_key(options: dict[str, Any]):
    """
    Its constructor's locals are searched like any others, and can be printed although it is unfinished.
    """
    with pytest.raises(RateLimitClientError) as caught:
        Client(**{"base_url": "https://api.example", "api_key": CANARY} | options)
    error = of_ours(caught.value)
    if "quotas" not in options:  # a quota that could not be made cannot be printed
        assert SECRET not in shown(error)
    assert "unfinished" in repr(error.__traceback__.tb_frame.f_locals["self"])  # type: ignore[union-attr]
