"""Threads without a loop, under the same limiter."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import openai
import pytest

from ratelimit_client import Backoff, Closed, DeadlineExceeded, DeadlineExpiredInQueue, Limiter, RetryPolicy
from ratelimit_client.adapters.httpx import limited_sync_transport
from ratelimit_client.adapters.httpx.openai import sync_http_client
from ratelimit_client.runtime.background import background
from tests import canary
from tests.adapters.httpx.scripted import BODY, MODULES, NO_QUOTA, URL, Said, refusal
from tests.interrupting import interrupted_once
from tests.runtime.torture import at_rest

both = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
QUICK = RetryPolicy(backoff=Backoff(base_s=0.01, cap_s=0.01, floor_s=0.01), max_refusals=2)


@attrs.define(eq=False)
class Stream:
    """The body of an answer, for a thread."""

    said: Said

    def __iter__(self) -> Iterator[bytes]:
        size = max(1, -(-len(self.said.raw) // self.said.parts))
        for start in range(0, len(self.said.raw), size):
            yield self.said.raw[start : start + size]
        if self.said.breaks is not None:
            raise self.said.breaks

    def close(self) -> None:
        self.said.closed += 1


@attrs.define(eq=False)
class Server:
    """Answers in turn; ``before`` is called first, in the thread that sends."""

    answers: list[Any]
    before: Callable[[], object] = lambda: None
    timeouts: list[Any] = attrs.field(factory=list)
    threads: list[str] = attrs.field(factory=list)
    calls: int = 0


def client_of(module: Any, limiter: Limiter, server: Server) -> Any:
    class Inner(module.BaseTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            server.calls += 1
            server.timeouts.append(request.extensions.get("timeout"))
            server.threads.append(threading.current_thread().name)
            answer = server.answers.pop(0)
            server.before()
            if isinstance(answer, Exception):
                raise answer
            stream = type("SaidStream", (Stream, module.SyncByteStream), {})(answer)
            return module.Response(answer.status, headers={"content-type": "application/json"}, stream=stream)

    headers = {"Authorization": f"Bearer {canary.KEY}"}
    return module.Client(transport=limited_sync_transport(module)(limiter, Inner()), headers=headers)


async def nothing() -> None:
    """A few turns later than what was handed to the loop before it."""
    for _ in range(3):
        await asyncio.sleep(0)


def rests(limiter: Limiter) -> None:
    background().run(nothing())
    gc.collect()
    background().run(nothing())
    at_rest(limiter)


@both
@pytest.mark.parametrize(
    ("answers", "calls", "status"),
    [
        ([Said()], 1, 200),
        ([Said(503), Said()], 2, 200),
        ([Said(500)] * 5, 5, 500),
        ([Said(429, NO_QUOTA)], 1, 429),
    ],
)
def test_what_comes_out_is_an_answer(module: Any, answers: list[Said], calls: int, status: int) -> None:
    """
    As for coroutines; and each request is sent by the thread that makes it.
    """
    limiter, server = Limiter(retry=QUICK), Server(list(answers))

    with client_of(module, limiter, server) as client:
        answer = client.post(URL, json=BODY)
        assert (answer.status_code, answer.headers.get("x-should-retry")) == (
            status,
            None if status == 200 else "false",
        )
        assert answer.content == answers[-1].raw
    assert server.calls == calls
    assert set(server.threads) == {threading.current_thread().name}
    rests(limiter)


@both
def test_a_broken_connection_is_told_as_it_was(module: Any) -> None:
    """
    After as many tries as the policy has.
    """
    limiter, server = Limiter(retry=QUICK), Server([module.ConnectError("no")] * 5)

    with client_of(module, limiter, server) as client, pytest.raises(module.ConnectError):
        client.post(URL, json=BODY)
    assert server.calls == 5
    rests(limiter)


@both
@pytest.mark.parametrize("end", ["read", "closed", "dropped", "broken"])
def test_however_a_body_ends_its_place_is_free(module: Any, end: str) -> None:
    """
    Read, closed, forgotten or broken off; the stream within is closed.
    """
    said = Said(breaks=module.ReadError("gone") if end == "broken" else None)
    limiter, server = Limiter(retry=QUICK), Server([said])

    with client_of(module, limiter, server) as client:
        answer = client.send(client.build_request("POST", URL, json=BODY), stream=True)
        background().run(nothing())
        assert limiter.in_flight == 1
        if end == "read":
            answer.read()
        elif end == "closed":
            answer.close()
        elif end == "broken":
            with pytest.raises(module.ReadError):
                answer.read()
        del answer
        said.breaks = None  # its traceback keeps what it went through
        rests(limiter)
    background().close()  # which waits for what was handed to other threads
    assert said.closed


@both
def test_a_deadline_in_the_queue_and_one_in_flight(module: Any) -> None:
    """
    In the queue it was never sent; in flight the socket's timeouts are cut to what is left.
    """
    limiter = Limiter(retry=QUICK, max_in_flight=1)
    go = threading.Event()
    sent = threading.Event()
    server = Server([Said(), Said()], before=lambda: (sent.set(), go.wait()))

    with client_of(module, limiter, server) as client:

        def first() -> None:
            with limiter.call_options(deadline=30):
                client.post(URL, json=BODY)

        thread = threading.Thread(target=first)
        thread.start()
        sent.wait()
        with limiter.call_options(deadline=0.05), pytest.raises(DeadlineExpiredInQueue):
            client.post(URL, json=BODY)
        go.set()
        thread.join()
    assert server.calls == 1
    assert all(3 < each <= 30.1 for name, each in server.timeouts[0].items() if name != "connect")
    rests(limiter)


@both
def test_a_deadline_that_passes_in_flight_is_told_when_the_thread_is_back(module: Any) -> None:
    """
    A thread cannot be cancelled; its answer, which nobody wants any more, is closed.
    """
    said = Said()
    limiter = Limiter(retry=QUICK)
    ended = threading.Event()

    def wait_for_the_end() -> None:
        while limiter.in_flight:
            ended.wait(0.005)

    server = Server([said], before=wait_for_the_end)
    client = client_of(module, limiter, server)
    with client, limiter.call_options(deadline=0.05), pytest.raises(DeadlineExceeded):
        client.post(URL, json=BODY)
    rests(limiter)
    background().close()
    assert said.closed == 1


@pytest.mark.parametrize("where", ["queue", "flight"])
def test_an_interrupted_thread_gives_its_place_back(where: str) -> None:
    """
    Ctrl-C while it waits its turn, or while it sends.
    """
    module = MODULES[0]
    limiter = Limiter(retry=QUICK, max_in_flight=1)
    server = Server([Said(), Said()])

    sent = threading.Event()

    def queued() -> None:
        while not limiter.queued:
            time.sleep(0.005)

    async def take() -> Any:
        return await limiter.permit()

    held = background().run(take()) if where == "queue" else None
    if where == "flight":
        server.before = lambda: (sent.set(), time.sleep(5))
    ready = queued if where == "queue" else sent.wait
    with (
        client_of(module, limiter, server) as client,
        interrupted_once(ready),
        pytest.raises(KeyboardInterrupt),
    ):
        client.post(URL, json=BODY)
    del held
    rests(limiter)
    assert server.calls == (where == "flight")


def test_many_threads_share_the_limits() -> None:
    """
    Forty threads, eight at once: never more.
    """
    module = MODULES[1]
    limiter = Limiter(retry=QUICK, max_in_flight=8)
    inside: list[int] = []
    server = Server([Said() for _ in range(40)], before=lambda: inside.append(limiter.in_flight))

    with client_of(module, limiter, server) as client:
        threads = [threading.Thread(target=client.post, args=(URL,), kwargs={"json": BODY}) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.calls == len(inside) == 40
    assert max(inside) <= 8
    rests(limiter)


def test_the_blocking_sdk_gets_our_errors_as_its_own() -> None:
    """
    Once, and at once.
    """
    limiter = Limiter()

    async def close() -> None:
        limiter.close()

    background().run(close())
    http = sync_http_client(limiter)
    client = openai.OpenAI(api_key=canary.KEY, base_url="http://127.0.0.1:9/v1", http_client=http)
    with client, pytest.raises(Closed) as caught:
        client.models.list()
    assert isinstance(caught.value, openai.OpenAIError)


def test_a_refusal_is_waited_for() -> None:
    """
    In the queue, as the server asked; the thread waits.
    """
    said = refusal()
    said.body = {"error": {"message": "Please try again in 20ms.", "code": "rate_limit_exceeded", "type": "requests"}}
    said.headers = {}
    limiter, server = Limiter(retry=QUICK), Server([said, Said()])

    with client_of(MODULES[1], limiter, server) as client:
        assert client.post(URL, json=BODY).status_code == 200
    assert server.calls == 2
    rests(limiter)
