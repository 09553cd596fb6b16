"""The public vectors of tests/vectors/calls.json: what a call does with the answers and faults it meets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from ratelimit_client import (
    AuthenticationFailed,
    Backoff,
    Client,
    DeadlineExceeded,
    IncompleteResponse,
    Limiter,
    ModelNotFound,
    Overloaded,
    QuotaExhausted,
    RequestTooLarge,
    ResponseError,
    RetryPolicy,
    Throttled,
    Timeout,
    TransportError,
)
from ratelimit_client.dialects import names
from ratelimit_client.testing.wires import Connect, Route
from tests.acceptance.library import KEY, Response, at_zero, now_s, tell

FILE = Path(__file__).parent.parent / "vectors" / "calls.json"
CONTENT = json.loads(FILE.read_text(encoding="utf-8"))
VECTORS = CONTENT["vectors"]

OUTCOMES: dict[type[BaseException], str] = {
    Throttled: "throttled",
    Overloaded: "overloaded",
    QuotaExhausted: "quota_exhausted",
    RequestTooLarge: "too_large",
    AuthenticationFailed: "auth",
    ModelNotFound: "model_not_found",
    ResponseError: "response_error",
    TransportError: "transport_error",
    ConnectionResetError: "transport_error",
    IncompleteResponse: "incomplete_response",
    DeadlineExceeded: "deadline_exceeded",
}
FAULTS = {
    *("refused", "black_hole", "reset_before", "reset_after", "close_after"),
    *("cut_body", "endless_body", "not_http", "silent"),
}
MUST = {"id", "sentence", "source", "script", "expect"}
POLICY = {"max_attempts", "max_refusals", "max_hint_s", "max_outage_s", "budget", "backoff"}
REQUEST = {"method", "dialect", "deadline_s", "idempotency_key", "replayable", "connect_s", "idle_s"}
STEP = {"status", "headers", "body", "body_size", "delay_s", "informational", "keep_alive", "fault"}
EXPECT = {"attempts", "waits_s", "outcome", "idempotency_key"}

ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\n\r\n"


def body_of(step: dict[str, Any]) -> bytes:
    body = step.get("body", b"x" * step.get("body_size", 0))
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def headers_of(step: dict[str, Any]) -> dict[str, str]:
    headers = {name.lower(): value for name, value in step.get("headers", [])}
    if not isinstance(step.get("body", ""), str):
        headers.setdefault("content-type", "application/json")
    return headers


def wire_form(step: dict[str, Any]) -> bytes:
    """The answer as bytes, in whole or, where that is the fault, without its last part."""
    cut = step.get("fault") == "cut_body"
    if cut and "status" not in step:
        step = {**step, "status": 200, "body": {"ok": True}}
    body = body_of(step)
    lines = [f"HTTP/1.1 {number} Early\r\n" for number in step.get("informational", [])]
    lines.append(f"HTTP/1.1 {step['status']} Answer")
    lines += [f"{name}: {value}" for name, value in headers_of(step).items()]
    if step["status"] not in (204, 304):
        lines.append(f"content-length: {len(body) + 10 * cut}")
    lines.append("connection: keep-alive" if step.get("keep_alive") else "connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@attrs.define(eq=False)
class Script:
    """A server that answers by the script of a vector; its last step repeats."""

    steps: list[dict[str, Any]]
    request: dict[str, Any]
    starts: list[float] = attrs.field(factory=list)
    ends: list[float] = attrs.field(factory=list)
    keys: list[str | None] = attrs.field(factory=list)
    _tasks: set[asyncio.Task[None]] = attrs.field(factory=set)

    @property
    def next(self) -> dict[str, Any]:
        return self.steps[min(len(self.starts), len(self.steps) - 1)]

    def begin(self) -> dict[str, Any]:
        """An attempt arrives, and meets this."""
        step = self.next
        self.starts.append(now_s())
        return step

    def end(self, later_s: float = 0.0) -> None:
        """The caller knows now, or so much later, what came of it."""
        self.ends.append(now_s() + later_s)

    def waits_s(self) -> list[float]:
        return [start - end for end, start in zip(self.ends, self.starts[1:], strict=False)]

    def route(self, host: str, port: int, number: int) -> Route:
        fault = self.next.get("fault")
        if fault == "refused":
            self.begin()
            self.end()
            return Route(connect=Connect.REFUSE)
        if fault == "black_hole":
            self.begin()
            self.end(self.request["connect_s"])
            return Route(connect=Connect.BLACK_HOLE)
        return Route()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: Any = asyncio.current_task()
        self._tasks.add(task)
        try:
            if self.next.get("fault") == "reset_before":
                self.begin()
                self.end()
                return
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._serve(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        size = re.search(r"content-length: (\d+)", head)
        await reader.readexactly(int(size[1]) if size else 0)
        key = re.search(r"idempotency-key: (\S+)", head)
        self.keys.append(key[1] if key else None)
        step = self.begin()
        await asyncio.sleep(step.get("delay_s", 0))
        match step.get("fault"):
            case "reset_after":
                self.end()
                return False
            case "close_after":
                writer.close()
            case "not_http":
                writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
            case "silent":
                self.end(self.request["idle_s"])
                await asyncio.Event().wait()
            case "endless_body":
                writer.write(ENDLESS)
                await asyncio.Event().wait()
            case _:
                writer.write(wire_form(step))
        self.end()
        if "keep_alive" in step:
            return True
        writer.close()
        await writer.wait_closed()
        return False

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def policy_of(vector: dict[str, Any]) -> RetryPolicy:
    fields = CONTENT["defaults"]["policy"] | vector.get("policy", {})
    return RetryPolicy(**{**fields, "backoff": Backoff(**fields["backoff"])})


async def over_http(vector: dict[str, Any], script: Script) -> Any:
    """The call through a client, against a server of bytes; its reply or error."""
    loop: Any = asyncio.get_running_loop()
    loop.net.route = script.route
    request = script.request
    server = await asyncio.start_server(script.connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    timeout = Timeout(connect_s=request["connect_s"], idle_s=request["idle_s"])
    options: dict[str, Any] = {"dialect": request["dialect"], "retry": policy_of(vector), "timeout": timeout}
    try:
        async with Client(url, api_key=KEY, **options) as client:
            try:
                return await client.request(
                    request["method"],
                    "/v1/chat/completions",
                    json={"model": "m", "messages": []} if request["method"] == "POST" else None,
                    deadline=request.get("deadline_s"),
                    idempotency_key=request.get("idempotency_key"),
                )
            except Exception as error:  # noqa: BLE001 - whatever ends the call is what is looked at
                return error
            finally:
                assert at_zero(client)
    finally:
        server.close()
        await script.stop()


async def one_shot(vector: dict[str, Any], script: Script) -> Any:
    """The call through a loop over attempts whose body cannot be sent again; its answer or error."""
    limiter = Limiter(retry=policy_of(vector), dialect=script.request["dialect"])
    try:
        async for attempt in limiter.attempts():
            async with attempt:
                attempt.replayable = False
                step = script.begin()
                script.end()
                if "fault" in step:
                    raise ConnectionResetError
                response = Response(step["status"], headers_of(step), body_of(step))
                await attempt.check(response)
                return response
    except Exception as error:  # noqa: BLE001 - whatever ends the call is what is looked at
        return error
    finally:
        assert at_zero(limiter)


CALLS = [pytest.param(vector, id=vector["id"]) for vector in VECTORS]


@pytest.mark.parametrize("vector", CALLS)
def test_what_a_call_does(vector: dict[str, Any]) -> None:
    """So many attempts, so far apart, with this end; the idempotency key stays."""
    expect = vector["expect"]
    request = CONTENT["defaults"]["request"] | vector.get("request", {})
    script = Script(vector["script"], request)

    async def story() -> tuple[Any, float]:
        end = await (over_http if request["replayable"] else one_shot)(vector, script)
        return end, now_s()

    end, ended_s = tell(story)

    outcome = OUTCOMES[type(end)] if isinstance(end, BaseException) else "success"
    assert (outcome, len(script.starts)) == (expect["outcome"], expect["attempts"]), (end, script.waits_s())
    for wait_s, (least_s, most_s) in zip(script.waits_s(), expect["waits_s"], strict=True):
        assert least_s - 1e-6 <= wait_s <= most_s + 1e-6, script.waits_s()
    if "status" in expect:
        assert end.status == expect["status"]
    if "retry_after_s" in expect:
        assert end.signals.retry_after_s == pytest.approx(expect["retry_after_s"])
    if "ends_s" in expect:
        least_s, most_s = expect["ends_s"]
        assert least_s - 1e-6 <= ended_s - script.starts[0] <= most_s + 1e-6
    check_keys(script.keys, expect["idempotency_key"])


def check_keys(seen: list[str | None], wanted: str) -> None:
    if wanted == "unseen":
        assert not seen
    elif wanted == "none":
        assert set(seen) == {None}
    elif wanted == "same":
        assert len(set(seen)) == 1
        assert seen[0]
    else:
        assert set(seen) == {wanted}


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_the_form_of_a_vector(vector: dict[str, Any]) -> None:
    """Known members only, of the types that README.md gives."""
    assert MUST <= vector.keys() <= MUST | {"policy", "request"}
    assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", vector["id"])
    assert vector["sentence"].endswith((".", "!"))
    assert vector["source"]
    assert vector.get("policy", {}).keys() <= POLICY
    assert vector.get("request", {}).keys() <= REQUEST
    assert vector.get("request", {}).get("dialect", "auto") in names()
    assert vector["script"]
    for step in vector["script"]:
        assert step.keys() <= STEP
        assert ("fault" in step and step["fault"] in FAULTS) or isinstance(step["status"], int)

    expect = vector["expect"]
    assert EXPECT <= expect.keys() <= EXPECT | {"status", "retry_after_s", "ends_s"}
    assert expect["outcome"] in {"success", *OUTCOMES.values()}
    assert len(expect["waits_s"]) == expect["attempts"] - 1
    assert all(0 <= least_s <= most_s for least_s, most_s in expect["waits_s"])


def test_the_file_is_whole() -> None:
    """One form, no id twice, enough of them, no outcome and no fault missing; the defaults are the library's own."""
    assert CONTENT.keys() == {"form", "about", "defaults", "vectors"}
    assert CONTENT["form"] == 1
    assert len({vector["id"] for vector in VECTORS}) == len(VECTORS) >= 60
    assert {vector["expect"]["outcome"] for vector in VECTORS} == {"success", *OUTCOMES.values()}
    assert {step["fault"] for vector in VECTORS for step in vector["script"] if "fault" in step} == FAULTS
    assert policy_of({}) == RetryPolicy()
