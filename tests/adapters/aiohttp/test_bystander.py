"""What an answer says of itself, read beside whoever it is for."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from ratelimit_client.adapters.aiohttp.answer import Answer
from ratelimit_client.adapters.aiohttp.bystander import Bystander, bystander_of
from ratelimit_client.core.signals import Reason, Signals

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
JSON = json.dumps({"choices": [{"text": 'a "usage": {"total_tokens": 9} b'}], "usage": USAGE, "z": 1}).encode()
EVENTS = (
    b"".join(
        b"data: " + json.dumps(data).encode() + b"\n\n"
        for data in (
            {"choices": [{"index": 0, "delta": {"content": "a"}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": USAGE},
        )
    )
    + b"data: [DONE]\n\n"
)
LIMITS = (
    b'data: {"type": "rate_limits.updated", "rate_limits": [{"name": "requests", "limit": 9, "remaining": 8}]}\n\n'
    b'data: {"error": {"code": "rate_limit_exceeded", "message": "no"}}\n\n'
)


def of(kind: str, coding: str = "", heard: list[Signals] | None = None) -> Bystander:
    headers: Any = CIMultiDict({"Content-Type": kind} | ({"Content-Encoding": coding} if coding else {}))
    content: Any = aiohttp.streams.EMPTY_PAYLOAD
    line: Any = None
    said: list[Signals] = [] if heard is None else heard
    return bystander_of(Answer(200, headers, content, line), "/v1/chat/completions", "http://x", None, said.append, 0.0)


def after(bystander: Bystander, pieces: Iterable[bytes]) -> tuple[int | None, bool]:
    for piece in pieces:
        bystander.take(piece)
    bystander.end()
    return bystander.tokens, bystander.whole


def cut(raw: bytes, *at: int) -> list[bytes]:
    marks = sorted({0, len(raw), *(place % (len(raw) + 1) for place in at)})
    return [raw[start:end] for start, end in pairwise(marks)]


@pytest.mark.parametrize(
    ("kind", "coding", "raw"),
    [
        ("application/json", "", JSON),
        ("application/json; charset=utf-8", "gzip", gzip.compress(JSON)),
        ("application/json", "identity", JSON),
        ("text/event-stream", "", EVENTS),
        ("text/event-stream; charset=utf-8", "gzip", gzip.compress(EVENTS)),
    ],
    ids=["json", "packed-json", "identity", "events", "packed-events"],
)
@given(at=st.lists(st.integers(0, 10_000), max_size=6))
def test_usage_is_found_however_the_bytes_come(kind: str, coding: str, raw: bytes, at: list[int]):
    """
    The total of the whole call, in any pieces; a text that speaks of usage is none.
    """
    assert after(of(kind, coding), cut(raw, *at)) == (7, True)


@pytest.mark.parametrize(
    "usage", [None, {}, {"total_tokens": -1}, {"total_tokens": 10**18}, {"total_tokens": "7"}, [], "x"]
)
def test_what_is_no_number_of_tokens_is_none(usage: Any):
    """
    Then the estimate stands.
    """
    assert after(of("application/json"), [json.dumps({"usage": usage}).encode()]) == (None, True)


@pytest.mark.parametrize(
    ("kind", "coding"),
    [("application/json", "br"), ("audio/mpeg", ""), ("", ""), ("text/html", "gzip"), ("application/json", "gzip")],
)
def test_what_cannot_be_read_goes_by(kind: str, coding: str):
    """
    A packing nobody asked for, a kind without usage, and what is no gzip though it says so.
    """
    assert after(of(kind, coding), [JSON, JSON]) == (None, True)


def test_a_stream_that_was_cut_is_told():
    """
    It ended, and without its last event; one that failed has said so itself.
    """
    assert after(of("text/event-stream"), [EVENTS[:-20]])[1] is False
    assert after(of("text/event-stream"), [LIMITS])[1] is True


def test_what_events_say_of_limits_is_heard():
    """
    Levels and the error, each once and as it comes.
    """
    heard: list[Signals] = []
    bystander = of("text/event-stream", heard=heard)

    for piece in cut(LIMITS, 50, 120):
        bystander.take(piece)

    assert [signals.reason for signals in heard] == [Reason.OK, Reason.RATE_LIMITED]
    assert heard[0].readings["requests"].remaining == 8


@given(
    st.lists(st.binary(max_size=100), max_size=5),
    st.sampled_from(["application/json", "text/event-stream"]),
    st.booleans(),
)
def test_no_bytes_raise_anything(pieces: list[bytes], kind: str, packed: bool):
    """
    Whatever comes, it goes by.
    """
    after(of(kind, "gzip" if packed else ""), pieces)


def test_of_a_long_answer_the_end_is_kept():
    """
    Memory does not grow with it.
    """
    bystander: Any = of("application/json")

    for _ in range(1000):
        bystander.take(b"x" * 10_000)
    bystander.take(JSON[-100:])

    assert len(bystander._inner._end) < 40_000
    assert after(bystander, []) == (7, True)


def test_an_event_loop_is_not_needed():
    """
    It is told everything it knows.
    """
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert after(of("application/json"), [JSON]) == (7, True)
