"""
A success told in events: the streams of an OpenAI server.

Law of this file: a stream says what the whole answer would have said, piece by piece,
in the language of its endpoint. Chat and completions send data alone and end with
``[DONE]``; responses name each event, number them, and end with ``response.completed``.
It is pure: the pieces are bytes, and when they go is the business of whoever carries them.

Source: the event streams of OpenAI's own documents. Deltas carry random padding
(``obfuscation``), which is left out so that the same answer is the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

_PIECE = 6
"""Characters of one delta; a token of English has about four, and its space."""
_DONE = b"data: [DONE]\n\n"


@attrs.frozen
class StreamOptions:
    """
    That an answer comes in events.

    Args:
        usage: of a chat: the last chunk tells what was used.
    """

    usage: bool = False


def chat(document: dict[str, Any], stream: StreamOptions) -> Iterator[bytes]:
    """The events of a chat completion."""
    head = {"id": document["id"], "object": "chat.completion.chunk", "created": document["created"]}
    head |= {"model": document["model"], "service_tier": document["service_tier"]}
    rest = {"usage": None} if stream.usage else {}

    def chunk(index: int, delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _data({**head, "choices": [choice], **rest})

    for choice in document["choices"]:
        yield chunk(choice["index"], {"role": "assistant", "content": "", "refusal": None})
        for piece in _pieces(choice["message"]["content"]):
            yield chunk(choice["index"], {"content": piece})
        yield chunk(choice["index"], {}, choice["finish_reason"])
    if stream.usage:
        yield _data({**head, "choices": [], "usage": document["usage"]})
    yield _DONE


def completions(document: dict[str, Any], stream: StreamOptions) -> Iterator[bytes]:
    """The events of a text completion."""
    head = {key: document[key] for key in ("id", "object", "created", "model")}
    for choice in document["choices"]:
        for piece in _pieces(choice["text"]):
            yield _data({**head, "choices": [{**choice, "text": piece, "finish_reason": None}]})
        yield _data({**head, "choices": [{**choice, "text": ""}]})
    if stream.usage:
        yield _data({**head, "choices": [], "usage": document["usage"]})
    yield _DONE


def responses(document: dict[str, Any], stream: StreamOptions) -> Iterator[bytes]:
    """The events of a response."""
    count = 0

    def event(kind: str, **fields: Any) -> bytes:
        nonlocal count
        count += 1
        return f"event: {kind}\n".encode() + _data({"type": kind, "sequence_number": count - 1, **fields})

    begun = {**document, "status": "in_progress", "output": [], "usage": None}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    for index, item in enumerate(document["output"]):
        where = {"item_id": item["id"], "output_index": index, "content_index": 0}
        empty = {**item, "status": "in_progress", "content": []}
        part = item["content"][0]
        yield event("response.output_item.added", output_index=index, item=empty)
        yield event("response.content_part.added", **where, part={**part, "text": ""})
        for piece in _pieces(part["text"]):
            yield event("response.output_text.delta", **where, delta=piece, logprobs=[])
        yield event("response.output_text.done", **where, text=part["text"], logprobs=[])
        yield event("response.content_part.done", **where, part=part)
        yield event("response.output_item.done", output_index=index, item=item)
    yield event("response.completed", response=document)


def failed_chat(error: dict[str, Any]) -> bytes:
    """What a chat says when it breaks in the middle: one error, and then nothing more."""
    return _data(error)


def failed_response(error: dict[str, Any]) -> bytes:
    """What a response says: an ``error`` with the error inside, and then that it failed, which is the same error."""
    inner = error["error"]
    told = {"code": inner["code"] or inner["type"], "message": inner["message"]}
    nested = {"type": "error", "error": inner}
    failed = {"type": "response.failed", "response": {"object": "response", "status": "failed", "error": told}}
    return b"event: error\n" + _data(nested) + b"event: response.failed\n" + _data(failed)


Write = Callable[[dict[str, Any], StreamOptions], Iterator[bytes]]

STREAMS: Mapping[str, tuple[Write, Callable[[dict[str, Any]], bytes]]] = {
    "chat/completions": (chat, failed_chat),
    "completions": (completions, failed_chat),
    "responses": (responses, failed_response),
}
"""Endpoint -> its events, and how it breaks."""


def _data(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
