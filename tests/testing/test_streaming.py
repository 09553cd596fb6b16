"""The model server's streams say what its whole answers say, piece by piece, in each endpoint's language."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import aiohttp
import pytest

from ratelimit_client import per_minute
from ratelimit_client.testing import Answer, Faults, ModelServer, run_virtual, serve_model

CHAT = ("chat/completions", {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "n": 2})
TEXT = ("completions", {"model": "gpt-4o", "prompt": "hello"})
RESPONSE = ("responses", {"model": "gpt-4o", "input": "hello"})
ALL = [CHAT, TEXT, RESPONSE]
NAMES = [name for name, _ in ALL]


def ask(server: ModelServer, endpoint: str, body: dict[str, Any], **fields: Any) -> Answer:
    raw = json.dumps({**body, "metadata": {"row": "a"}, **fields}).encode()
    return server.handle("POST", f"/v1/{endpoint}", {}, raw, now_ns=0)


def told(raw: bytes) -> list[tuple[str, Any]]:
    """(event name, data) of each event; data that is no JSON as text."""
    found = []
    for block in raw.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        data = lines["data"]
        found.append((lines.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return found


@pytest.mark.parametrize(("endpoint", "body"), ALL, ids=NAMES)
def test_the_pieces_make_the_whole(endpoint: str, body: dict[str, Any]) -> None:
    """What the events carry, put together, is what the same call gets in one piece."""
    server = ModelServer(per_minute(requests=100))
    whole = ask(server, endpoint, body).json()
    events = told(ask(server, endpoint, body, stream=True).body)
    if endpoint == "responses":
        text = "".join(data["delta"] for name, data in events if name == "response.output_text.delta")
        assert text == whole["output"][0]["content"][0]["text"]
        assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
        assert all(name == data["type"] for name, data in events)
        assert events[-1][0] == "response.completed"
        assert events[-1][1]["response"]["usage"] == whole["usage"]
    else:
        texts: Counter[int] = Counter()
        parts: dict[int, str] = {}
        for _, data in events[:-1]:
            for choice in data["choices"]:
                piece = choice["text"] if endpoint == "completions" else choice["delta"].get("content", "")
                parts[choice["index"]] = parts.get(choice["index"], "") + piece
                texts[choice["index"]] += choice["finish_reason"] == "stop"
        key = "text" if endpoint == "completions" else "message"
        wanted = [choice[key] if key == "text" else choice[key]["content"] for choice in whole["choices"]]
        assert [parts[index] for index in sorted(parts)] == wanted
        assert set(texts.values()) == {1}
        assert events[-1] == ("", "[DONE]")
        assert not any(data.get("usage") for _, data in events[:-1])


@pytest.mark.parametrize(("endpoint", "body"), [CHAT, TEXT], ids=NAMES[:2])
def test_usage_comes_last_when_it_is_asked_for(endpoint: str, body: dict[str, Any]) -> None:
    """In a chunk of its own without choices, before the end."""
    server = ModelServer(per_minute(requests=100))
    whole = ask(server, endpoint, body).json()
    events = told(ask(server, endpoint, body, stream=True, stream_options={"include_usage": True}).body)
    assert events[-2][1]["choices"] == []
    assert events[-2][1]["usage"] == whole["usage"]


@pytest.mark.parametrize("ending", ["truncated", "stream_error", "unfinished"])
@pytest.mark.parametrize(("endpoint", "body"), ALL, ids=NAMES)
def test_a_stream_breaks_in_its_middle(endpoint: str, body: dict[str, Any], ending: str) -> None:
    """Half of the events come; then an error in the language of the endpoint, or nothing."""
    server = ModelServer(per_minute(requests=100), faults=Faults(**{ending: 1.0}))
    answer = ask(server, endpoint, body, stream=True)
    assert not answer.ok
    events = told(answer.body)
    assert not any(data == "[DONE]" or data.get("type") == "response.completed" for _, data in events)
    errors = [data for _, data in events if "error" in data or data.get("type") == "response.failed"]
    assert len(errors) == (0 if ending != "stream_error" else 2 if endpoint == "responses" else 1)


def test_faults_of_streams_are_none_of_other_answers() -> None:
    """An answer in one piece cannot end in its middle as if that were all."""
    server = ModelServer(per_minute(requests=100), faults=Faults(stream_error=0.5, unfinished=0.5))
    assert ask(server, *CHAT).ok


def test_a_refusal_is_no_stream() -> None:
    """An error before the first event comes as JSON, with its status."""
    server = ModelServer(per_minute(requests=1))
    ask(server, *CHAT, stream=True)
    refused = ask(server, *CHAT, stream=True)
    assert (refused.status, refused.headers["content-type"]) == (429, "application/json")
    assert json.loads(refused.body)["error"]["code"] == "rate_limit_exceeded"


def test_events_come_evenly_in_time() -> None:
    """The head comes with the first event, the last when the stream was to have taken its time."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with (
            serve_model(per_minute(requests=100), latency=2, streaming=10) as url,
            aiohttp.ClientSession() as client,
        ):
            began = loop.time()
            async with client.post(f"{url}/{CHAT[0]}", json={**CHAT[1], "stream": True}) as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                assert loop.time() - began == pytest.approx(2, abs=0.1)
                first = await response.content.readuntil(b"\n\n")
                assert loop.time() - began == pytest.approx(2, abs=0.1)
                rest = await response.read()
            assert loop.time() - began == pytest.approx(12, abs=0.1)
            assert told(first + rest)[-1][1] == "[DONE]"
            assert len(url.tally.answered) == 1

    run_virtual(main)


def test_a_client_that_leaves_in_the_middle_is_no_success() -> None:
    """Its call stays charged, and counts as left."""

    async def main() -> None:
        async with serve_model(per_minute(requests=100), streaming=10) as url:
            async with aiohttp.ClientSession() as client:
                response = await client.post(f"{url}/{CHAT[0]}", json={**CHAT[1], "stream": True})
                await response.content.readuntil(b"\n\n")
                response.close()
                await asyncio.sleep(5)
            assert url.tally.broken_off["left"] == 1

    run_virtual(main)


def test_a_stream_that_is_cut_off_does_not_end_well() -> None:
    """The chunk that says "this was all" does not come."""

    async def main() -> None:
        async with (
            serve_model(per_minute(requests=100), faults=Faults(truncated=1.0)) as url,
            aiohttp.ClientSession() as client,
        ):
            response = await client.post(f"{url}/{CHAT[0]}", json={**CHAT[1], "stream": True})
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()

    run_virtual(main)
