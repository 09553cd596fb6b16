"""
Streams in the shapes that have been recorded, and a way to read them whole.

Each file of data/streams is one stream, written for the tests after recorded ones: the
same events and members, other words. ROWS says of each what its events are.
"""

from __future__ import annotations

import json
from pathlib import Path

from ratelimit_client.dialects.sse import EventParser
from ratelimit_client.dialects.streams import EventKind, StreamEvent, StreamReader, stream_dialect_of

STREAMS = Path(__file__).parent / "data" / "streams"
LETTERS = {kind: kind.value[0].upper() for kind in EventKind} | {EventKind.OUTPUT: "+", EventKind.AFTER: "-"}
"""O opening, + output, U usage, L limits, K keepalive, E error, T terminal, - after."""

# The name of a stream, where it comes from, its events, and the tokens the whole call used.
ROWS = [
    ("chat", "/v1/chat/completions", "O+++UT", 11),
    ("chat-azure", "/openai/deployments/x/chat/completions?api-version=1", "OO++T", None),
    ("chat-compatible", "/chat/completions", "+K++T-", 8),
    ("chat-groq", "/openai/v1/chat/completions", "O++T", 13),
    ("chat-error", "/chat/completions", "O+E", None),
    ("chat-openrouter", "/api/v1/chat/completions", "+E-", None),
    ("completions", "/v1/completions", "++T", None),
    ("responses", "/v1/responses", "OO++KL+KT", 15),
    ("responses-incomplete", "/responses/resp_2?stream=true", "O+T", 20),
    ("responses-failed", "/responses", "OOE-", None),
    ("responses-failed-alone", "/responses", "O+E", 12),
    ("responses-flat-error", "/responses", "E", None),
    ("responses-chatgpt", "/backend-api/codex/responses", "OE", None),
    ("assistants", "/v1/threads/runs", "OOO++++T", 42),
    ("assistants-failed", "/threads/thread_1/runs", "O+E-", None),
    ("anthropic", "/v1/messages", "O+K++UT", 40),
    ("anthropic-overloaded", "/messages", "O+E", None),
    ("gemini", "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "++++U", 8),
    ("gemini-blocked", "/v1beta/models/x:streamGenerateContent", "+", 4),
    ("gemini-error", "/v1beta/models/x:streamGenerateContent", "+E", None),
    ("transcription", "/v1/audio/transcriptions", "++T", 19),
    ("speech", "/audio/speech", "+T", 115),
    ("images", "/images/generations", "++", 282),
    ("replicate", "/v1/streams/abc", "++T", None),
    ("plain", "/jobs/1/events", "++", None),
]
BY_NAME = {row[0]: row for row in ROWS}
NAMES = list(BY_NAME)
FAILED = [name for name, _, kinds, _ in ROWS if "E" in kinds]
WITH_A_LAST_EVENT = [name for name, _, kinds, _ in ROWS if "T" in kinds and name != "replicate"]


def stream(name: str) -> bytes:
    return (STREAMS / f"{name}.sse").read_bytes()


def read(document: bytes, path: str = "", **settings: object) -> tuple[StreamReader, list[StreamEvent], bool]:
    """The reader at the end of the bytes, its events, and whether it takes the answer for whole."""
    parser = EventParser()
    reader = StreamReader(stream_dialect_of(path), **settings)
    events = [reader.read(sse) for sse in parser.feed(document)]
    return reader, events, reader.end(parser.end())


def kinds(events: list[StreamEvent]) -> str:
    return "".join(LETTERS[event.kind] for event in events)


def of(*data: object, path: str = "", event: str = "") -> tuple[StreamReader, list[StreamEvent], bool]:
    """The same for events given by their data: JSON of what is no text."""
    name = f"event: {event}\n" if event else ""
    texts = (one if isinstance(one, str) else json.dumps(one) for one in data)
    return read("".join(f"{name}data: {text}\n\n" for text in texts).encode(), path)
