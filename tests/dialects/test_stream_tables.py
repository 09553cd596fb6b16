"""Whose stream it is: by the endpoint, or by the first event."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from ratelimit_client.dialects.stream_tables import CHAT, TABLES, UNKNOWN, EventKind, StreamDialect, stream_dialect_of
from tests.dialects.streams import BY_NAME, NAMES, kinds, read, stream


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", "chat"),
        ("https://host/v1/chat/completions/?x=/responses", "chat"),
        ("/v1/responses", "responses"),
        ("/v1/responses/resp_1", "responses"),
        ("/v1/threads/t/runs/r/submit_tool_outputs", "assistants"),
        ("/v1/threads/runs", "assistants"),
        ("/v1/threads/t/messages", None),
        ("messages", None),
        ("/messages", "anthropic"),
        ("https://api.anthropic.com/v1/messages", "anthropic"),
        ("https://host/anthropic/messages", "anthropic"),
        ("/v1/audio/translations", "audio"),
        ("/v1/images/edits", "images"),
        ("/v1/models", None),
        ("", None),
    ],
)
def test_whose_stream_an_endpoint_sends(path, expected):
    """By the end of its path, whatever stands before or behind it."""
    found = stream_dialect_of(path)
    assert (found and found.name) == expected


@pytest.mark.parametrize("name", [name for name in NAMES if name != "responses-flat-error"])
def test_a_path_that_does_not_tell(name):
    """The first event tells as much."""
    _, path, expected, tokens = BY_NAME[name]
    reader, events, whole = read(stream(name))
    assert (kinds(events), reader.tokens, whole) == (expected, tokens, "E" not in expected)
    told = stream_dialect_of(path)
    assert reader.dialect is not None
    assert reader.dialect.name == (told.name if told else "unknown")


PAGE = (Path(__file__).parents[2] / "docs" / "streams.md").read_text(encoding="utf-8")


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "-"


def row(table: StreamDialect) -> str:
    """The line of the page's table about one language, without its endpoints."""
    of_its_own = {kind: [name for name in table.names if table.names[name] is kind] for kind in EventKind}
    last = of_its_own[EventKind.TERMINAL]
    cells = [
        "a chunk that only says who speaks" if table is CHAT else listed(of_its_own[EventKind.OPENING]),
        "the end of the bytes" if table.finish or table.completes else listed(last or ["[DONE]"]),
        listed(name for name in of_its_own[EventKind.ERROR] if name != "error"),
        listed(".".join(place) for place in table.usage_at),
    ]
    if table.open_end:
        cells[1] += ", or the end of the bytes"
    return " | ".join(cells)


@pytest.mark.parametrize("table", [*TABLES, UNKNOWN], ids=lambda table: table.name)
def test_the_page_says_what_the_tables_say(table):
    """One row for each language, in their order, made of its table; its endpoints are that language's."""
    lines = [line.strip("| ") for line in PAGE.splitlines() if line.startswith(("| `", "| any other"))]
    rows = [line.split(" | ", 2) for line in lines if line.count(" | ") == 5]
    assert len(rows) == len(TABLES) + 1
    name, endpoints, rest = rows[[*TABLES, UNKNOWN].index(table)]
    assert (name.strip("`"), rest) == ("any other" if table is UNKNOWN else table.name, row(table))
    for endpoint in re.findall("`([^`]+)`", endpoints):
        assert stream_dialect_of(f"https://host/v1{endpoint.removeprefix('/v1')}") is table
