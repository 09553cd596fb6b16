"""
What the events of each API's streams are called, as tables.

Law of this file: a stream's language is data. A table says which names begin an answer,
end it, fail it or only keep the connection, where the use is told, and what the end of
the bytes means. An event that no table names is part of the answer.

Theory: every stream says the same few things. They differ in where the last word is:

    chat, completions     data: [DONE]; no names
    responses             response.completed, .incomplete or .failed; no [DONE]
    assistants            event: done
    anthropic             message_stop
    audio                 transcript.text.done, speech.audio.done
    gemini                none: every candidate has its finishReason, then the bytes end
    images                none: image_generation.completed, once for each picture
    any other             nobody knows: the bytes end

``[DONE]`` ends all of them, for gateways write it behind streams that have none.

Source: the API references of OpenAI, Anthropic and Google; recorded streams of 2024 to 2026;
openai-node#1964, openai-php#732 and #761 (keepalives and limits that no reference names).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Any

import attrs


class EventKind(enum.Enum):
    """What an event is to the one who reads the stream."""

    __hash__ = object.__hash__

    OPENING = "opening"
    """The server has begun; nothing of the answer is there yet."""

    OUTPUT = "output"
    """Part of the answer, and whatever is not known."""

    USAGE = "usage"
    """What the call used, and no output."""

    LIMITS = "limits"
    """Levels of rate limits."""

    KEEPALIVE = "keepalive"
    """A sign of life."""

    ERROR = "error"
    """The call failed."""

    TERMINAL = "terminal"
    """The last event."""

    AFTER = "after"
    """It comes after the last event or the error, and says nothing that counts."""


_ANYWHERE: Mapping[str, EventKind] = {
    **dict.fromkeys(
        ("ping", "keepalive", "keep_alive", "keep-alive", "response.keepalive", "response.keep_alive"),
        EventKind.KEEPALIVE,
    ),
    **dict.fromkeys(("rate_limits.updated", "response.rate_limits.updated"), EventKind.LIMITS),
    "error": EventKind.ERROR,
}


def _with_those_of_all(names: Mapping[str, EventKind]) -> Mapping[str, EventKind]:
    return {**_ANYWHERE, **names}


def _compiled(path: str | None) -> re.Pattern[str] | None:
    return None if path is None else re.compile(path)


@attrs.frozen(kw_only=True, eq=False)
class StreamDialect:
    """
    The language of one API's streams.

    Args:
        name: of the API.
        path: what the end of its endpoints' paths looks like.
        names: what each name is, where it is more than part of the answer.
        prefixes: how the names of its events begin, and no other API's.
        members: members of its events' data that no other API's have.
        usage_at: where an event tells what the call used.
        usage_in: the events that tell it of the whole call; empty means any.
        total: what the sum is called there.
        answers: the member that lists the answers (choices, candidates) of a chunk.
        finish: the member of an answer that says it is the last of it; given where no
            last event exists.
        refused_at: where a chunk says that no answer will come; the same.
        completes: names after which the stream may end; the same.
        strict: data that is no JSON is an error.
        open_end: nobody knows its last event, so the end of the bytes is as good as one.
    """

    name: str
    path: re.Pattern[str] | None = attrs.field(default=None, converter=_compiled)
    names: Mapping[str, EventKind] = attrs.field(factory=dict, converter=_with_those_of_all)
    prefixes: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    usage_at: tuple[tuple[str, ...], ...] = (("usage",),)
    usage_in: frozenset[str] = frozenset()
    total: str = "total_tokens"
    answers: str = ""
    finish: str = ""
    refused_at: tuple[str, ...] = ()
    completes: frozenset[str] = frozenset()
    strict: bool = True
    open_end: bool = False


def _names(**names: tuple[str, ...]) -> Mapping[str, EventKind]:
    return {name: EventKind(kind) for kind, found in names.items() for name in found}


CHAT = StreamDialect(
    name="chat",
    path=r"/completions/?$",
    members=("choices",),
    usage_at=(("usage",), ("x_groq", "usage")),
    answers="choices",
)

RESPONSES = StreamDialect(
    name="responses",
    path=r"/responses(?:/[^/]+)?/?$",
    names=_names(
        opening=("response.created", "response.queued", "response.in_progress"),
        terminal=("response.completed", "response.incomplete", "response.cancelled"),
        error=("response.failed",),
    ),
    prefixes=("response.",),
    usage_at=(("response", "usage"),),
)

ASSISTANTS = StreamDialect(
    name="assistants",
    path=r"/threads/(?:[^/]+/)?runs(?:/[^/]+/submit_tool_outputs)?/?$",
    names=_names(
        opening=("thread.created", "thread.run.created", "thread.run.queued", "thread.run.in_progress"),
        terminal=("done",),
        error=("thread.run.failed",),
    ),
    prefixes=("thread.",),
    # A step tells only what the step used.
    usage_in=frozenset(f"thread.run.{end}" for end in ("completed", "incomplete", "failed", "cancelled", "expired")),
)

ANTHROPIC = StreamDialect(
    name="anthropic",
    path=r"(?:^|/v1|/anthropic)/messages/?$",
    names=_names(opening=("message_start",), usage=("message_delta",), terminal=("message_stop",)),
    prefixes=("message_start", "message_delta", "message_stop", "content_block_"),
    usage_at=(("message", "usage"), ("usage",)),
)

GEMINI = StreamDialect(
    name="gemini",
    path=r":streamGenerateContent$",
    members=("candidates", "usageMetadata", "promptFeedback"),
    usage_at=(("usageMetadata",),),
    total="totalTokenCount",
    answers="candidates",
    finish="finishReason",
    refused_at=("promptFeedback", "blockReason"),
)

AUDIO = StreamDialect(
    name="audio",
    path=r"/audio/(?:transcriptions|translations|speech)/?$",
    names=_names(terminal=("transcript.text.done", "speech.audio.done")),
    prefixes=("transcript.", "speech."),
)

IMAGES = StreamDialect(
    name="images",
    path=r"/images/(?:generations|edits)/?$",
    prefixes=("image_generation.", "image_edit."),
    completes=frozenset({"image_generation.completed", "image_edit.completed"}),
)

UNKNOWN = StreamDialect(
    name="unknown",
    names=_names(terminal=("done", "message-end", "stream-end")),
    usage_at=(("usage",), ("usageMetadata",), ("response", "usage")),
    strict=False,
    open_end=True,
)
"""Of an endpoint nobody wrote a table for. The names are those of Replicate and Cohere."""

TABLES = (CHAT, RESPONSES, ASSISTANTS, ANTHROPIC, GEMINI, AUDIO, IMAGES)


def stream_dialect_of(path: str) -> StreamDialect | None:
    """The language of the streams that an endpoint sends; None when its path does not tell."""
    path = path.partition("?")[0]
    return next((table for table in TABLES if table.path is not None and table.path.search(path)), None)


def recognised(name: str, data: Any) -> StreamDialect:
    """The language of a stream, by the name and the data of its first event."""
    members = data if type(data) is dict else {}
    for table in TABLES:
        if name.startswith(table.prefixes) or any(member in members for member in table.members):
            return table
    return UNKNOWN
