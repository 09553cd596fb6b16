"""A server at the other end of a transport, in memory: it gives its answers in turn and notes what became of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import attrs
import httpx
import httpx2

from ratelimit_client import Backoff, Limiter, RetryPolicy, per_hour
from ratelimit_client.adapters.httpx import limited_transport
from ratelimit_client.testing import ManualClock, run_virtual
from tests import canary
from tests.runtime.torture import at_rest

MODULES = (httpx, httpx2)
URL = "http://api.test/v1/chat/completions"
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
RATE_LIMITED = {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}
NO_QUOTA = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
QUICK = RetryPolicy(backoff=Backoff(base_s=0.2, cap_s=0.2, floor_s=0.2), max_refusals=2)


@attrs.define(eq=False)
class Said:
    """
    One answer.

    Args:
        status, headers, body: of it; a body that is no bytes is sent as JSON.
        parts: into how many pieces the body is cut, each after *pause_s*.
        breaks: what ends the body instead of its end.
    """

    status: int = 200
    body: Any = attrs.field(factory=lambda: {"id": "1", "choices": [], "usage": USAGE})
    headers: dict[str, str] = attrs.field(factory=dict)
    parts: int = 2
    pause_s: float = 0.0
    breaks: Exception | None = None
    begun: bool = attrs.field(default=False, init=False)
    closed: int = attrs.field(default=0, init=False)

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def refusal(**headers: str) -> Said:
    return Said(429, RATE_LIMITED, {"retry-after": "1", "x-request-id": "req_no", **headers})


class Stream:
    """The body of an answer."""

    def __init__(self, said: Said) -> None:
        self._said = said

    async def __aiter__(self) -> AsyncIterator[bytes]:
        said = self._said
        size = max(1, -(-len(said.raw) // said.parts))
        for start in range(0, len(said.raw), size):
            if said.pause_s:
                await asyncio.sleep(said.pause_s)
            yield said.raw[start : start + size]
        if said.breaks is not None:
            raise said.breaks

    async def aclose(self) -> None:
        self._said.closed += 1
        if self._said.pause_s:
            await asyncio.sleep(self._said.pause_s)


class Scripted:
    """
    The inner transport.

    Args:
        answers: in turn; an exception is raised.
        latency_s: before each.
    """

    def __init__(self, *answers: Said | Exception, latency_s: float = 0.1) -> None:
        self.answers = list(answers)
        self.latency_s = latency_s
        self.requests: list[Any] = []
        self.bodies: list[bytes] = []
        self.timeouts: list[Any] = []
        self.module: Any = None

    async def handle_async_request(self, request: Any) -> Any:
        self.requests.append(request)
        self.timeouts.append(request.extensions.get("timeout"))
        if (trace := request.extensions.get("trace")) is not None:
            for step in ("started", "complete"):
                await trace(f"http11.send_request_headers.{step}", {})
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        said = self.answers.pop(0)
        if isinstance(said, Exception):
            raise said
        self.bodies.append(b"".join([part async for part in request.stream]))
        stream = type("ScriptedStream", (Stream, self.module.AsyncByteStream), {})(said)
        said.begun = True
        headers = {"content-type": "application/json", **said.headers}
        return self.module.Response(said.status, headers=headers, stream=stream)

    async def aclose(self) -> None:
        pass

    async def __aenter__(self) -> Scripted:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass


class LoopClock:
    """The clock of whatever virtual loop runs, for a limiter that is made before it."""

    def __init__(self) -> None:
        self._clock: Any = ManualClock()

    def _now(self) -> Any:
        try:
            self._clock = getattr(asyncio.get_running_loop(), "clock", self._clock)
        except RuntimeError:  # it has ended: its last instant
            pass
        return self._clock

    def monotonic_ns(self) -> int:
        return int(self._now().monotonic_ns())

    def wall_ns(self) -> int:
        return int(self._now().wall_ns())


def limiter_of(**options: Any) -> Limiter:
    return Limiter(per_hour(requests=100), dice=lambda: 0.0, clock=LoopClock(), **{"retry": QUICK, **options})


def client_of(module: Any, limiter: Limiter, server: Scripted, **options: Any) -> Any:
    """A client of *module* whose requests go through *limiter* to *server*."""
    server.module = module
    inner = type("Inner", (module.AsyncBaseTransport,), {})()
    for name in ("handle_async_request", "aclose", "__aenter__", "__aexit__"):
        setattr(inner, name, getattr(server, name))
    transport = limited_transport(module)(limiter, inner, **options)
    return module.AsyncClient(transport=transport, headers={"Authorization": f"Bearer {canary.KEY}"})


def run(main: Callable[[], Coroutine[Any, Any, Any]], limiter: Limiter | None = None) -> float:
    """Run *main* in virtual time; how many seconds it took. The ledger of *limiter* has to balance then."""
    _, loop = run_virtual(main)
    assert loop.pending_timers == 0
    if limiter is not None:
        at_rest(limiter)
    return loop.elapsed_s
