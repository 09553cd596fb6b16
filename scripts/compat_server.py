"""
The server of `make compat`: the model server, and what two of the frameworks ask for besides.

Law of this file: quotas are those of the model server and decide everything. Added is the
language of Anthropic's messages, and JSON that fits a schema for callers that parse it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from ratelimit_client.testing import Answer, Ask, Caller, ModelApp, ModelServer

MESSAGES = "/v1/messages"
_ERRORS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}


class CompatApp(ModelApp):
    """The handler; the arguments are those of `ModelApp`."""

    def decide(self, request: web.BaseRequest, body: bytes, *, now_ns: int) -> Answer:
        """An answer of the model server, whose text is JSON where a schema is asked for."""
        answer = super().decide(request, body, now_ns=now_ns)
        if answer.kind is None and (schema := _schema_of(body)) is not None:
            document = answer.json()
            for choice in document["choices"]:
                choice["message"]["content"] = json.dumps(fitting(schema, answer.answer_text))
            answer.document = document
        return answer

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.path != MESSAGES:
            return await super().handle(request)
        asked = json.loads(await request.read())
        question = str(asked["messages"][-1]["content"])
        ask = Ask(model=asked["model"], chars=len(question))
        answer = self.server.decide(ask, Caller(question), now_ns=time.monotonic_ns())
        await asyncio.sleep(answer.latency_ns / 1e9)
        headers = anthropic_headers(answer)
        if answer.kind is not None:
            error = {"type": _ERRORS.get(answer.status, "api_error"), "message": answer.json()["error"]["message"]}
            return web.json_response({"type": "error", "error": error}, status=answer.status, headers=headers)
        message = anthropic_message(answer)
        if not asked.get("stream"):
            return web.json_response(message, headers=headers)
        events = (f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in told(message))
        return web.Response(text="".join(events), content_type="text/event-stream", headers=headers)


def _schema_of(body: bytes) -> Any:
    if b'"json_schema"' not in body:
        return None
    wanted = json.loads(body).get("response_format") or {}
    return (wanted.get("json_schema") or {}).get("schema")


def fitting(schema: dict[str, Any], text: str) -> dict[str, str]:
    """An object of *schema*, all of whose properties are texts."""
    return dict.fromkeys(schema["properties"], text)


# ---- Anthropic's language ----------------------------------------------------------------------


def anthropic_headers(answer: Answer) -> dict[str, str]:
    """The limits as Anthropic tells them: a reset is the instant when the bucket is full, to the second."""
    headers = {"request-id": answer.request_id}
    for each in answer.shown:
        full = datetime.now(UTC) + timedelta(seconds=each.reset_ns / 1e9)
        start = f"anthropic-ratelimit-{each.unit}-"
        headers[start + "limit"] = str(each.limit)
        headers[start + "remaining"] = str(each.remaining)
        headers[start + "reset"] = full.strftime("%Y-%m-%dT%H:%M:%SZ")
    if answer.wait_s is not None:
        headers["retry-after"] = str(math.ceil(answer.wait_s))
    return headers


def anthropic_message(answer: Answer) -> dict[str, Any]:
    """The JSON of a success."""
    text = answer.answer_text
    return {
        "id": f"msg_{answer.number:024x}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": answer.ask.chars // 4 + 1, "output_tokens": len(text) // 4 + 1},
    }


def told(message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same in events: their names and their data."""
    text, usage = message["content"][0]["text"], message["usage"]
    half = len(text) // 2
    begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield "message_start", {"message": begun}
    yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
    yield "ping", {}
    for piece in (text[:half], text[half:]):
        yield "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield "content_block_stop", {"index": 0}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield "message_delta", {"delta": end, "usage": {"output_tokens": usage["output_tokens"]}}
    yield "message_stop", {}


@contextlib.asynccontextmanager
async def serving(server: ModelServer) -> AsyncIterator[str]:
    """Serve *server* on a free port of loopback; gives where, without a path."""
    runner = web.ServerRunner(CompatApp(server).aiohttp_server(), shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
