from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.estimate import Features
from ratelimit_client.dialects.features import CONTINUED, features_of, features_of_form, model_of, tokens_used

PART = {"type": "text", "text": "12345"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:..."}}


@pytest.mark.parametrize(
    ("body", "chars", "output", "fixed", "flat"),
    [
        ({"messages": [{"role": "user", "content": "12345"}, {"role": "system", "content": "678"}]}, 8, 0, 0, 0),
        ({"messages": [{"role": "user", "content": [PART, IMAGE, PART]}]}, 10, 0, 0, 765),
        ({"messages": [{"role": "user", "content": [PART, "67", IMAGE, IMAGE]}], "max_tokens": 9}, 7, 9, 0, 1530),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": []}]}, 0, 0, 0, 0),
        ({"messages": [], "max_completion_tokens": 7, "n": 3}, 0, 21, 0, 0),
        ({"prompt": "12345", "max_tokens": 7, "best_of": 2, "n": 1}, 5, 14, 0, 0),
        ({"prompt": ["12", "345"]}, 5, 0, 0, 0),
        ({"prompt": [1, 2, 3]}, 0, 0, 3, 0),
        ({"prompt": [[1, 2], [3]]}, 0, 0, 3, 0),
        ({"prompt": "def f():", "suffix": "return 1", "echo": True, "max_tokens": 8}, 16, 8, 0, 0),
        ({"max_tokens": 5, "max_completion_tokens": 9}, 0, 9, 0, 0),
        ({"max_tokens": None, "n": None, "messages": None}, 0, 0, 0, 0),
        ({"input": "12345", "instructions": "678", "max_output_tokens": 4}, 8, 4, 0, 0),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "123"}, {"type": "input_image"}]}]},
            3,
            0,
            0,
            765,
        ),
        ({"input": ["12", "345"], "dimensions": 256}, 5, 0, 0, 0),
        ({"input": []}, 0, 0, 0, 0),
        ({"max_tokens": -5, "n": "many"}, 0, 0, 0, 0),
        ({"max_tokens": 10**18}, 0, 0, 0, 0),
        ({"max_tokens": True}, 0, 0, 0, 0),
        ({"messages": {"role": "user"}, "prompt": 5, "input": b"bytes"}, 0, 0, 0, 0),
        ([1, 2], 0, 0, 0, 0),
        (None, 0, 0, 0, 0),
    ],
)
def test_what_a_body_shows(body: Any, chars: int, output: int, fixed: int, flat: int):
    """
    Characters of the text, the most output over all answers, images at their flat price; the rest shows nothing.
    """
    features = features_of(body, "/v1/x")
    assert (features.chars, features.max_output, features.fixed, features.flat) == (chars, output, fixed, flat)
    assert (features.endpoint, features.aside) == ("/v1/x", 0)


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
ENDPOINTS: dict[str, tuple[str, dict[str, Any], Features]] = {
    "chat": (
        "/chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": "12345678"}], "max_tokens": 10, "n": 2},
        Features(8, 20, 0, "/chat/completions"),
    ),
    "chat with tools": ("/c", {"messages": [], "tools": TOOLS}, Features(0, 0, 0, "/c", aside=45)),
    "chat with functions": ("/c", {"functions": [{"name": "f"}]}, Features(0, 0, 0, "/c", aside=5)),
    "chat with a schema": ("/c", {"response_format": SCHEMA}, Features(0, 0, 0, "/c", aside=21)),
    "chat with JSON": ("/c", {"response_format": {"type": "json_object"}}, Features(0, 0, 0, "/c")),
    "chat that reasons": (
        "/c",
        {"messages": [{"role": "user", "content": "1234"}], "reasoning_effort": "high", "max_completion_tokens": 99},
        Features(4, 99, 0, "/c"),
    ),
    "responses": (
        "/responses",
        {"input": "1234", "instructions": "56", "max_output_tokens": 7, "reasoning": {"effort": "low"}},
        Features(6, 7, 0, "/responses"),
    ),
    "responses with a schema": (
        "/r",
        {"input": "1234", "text": {"format": {"type": "json_schema", "schema": {"type": "object"}}, "verbosity": "x"}},
        Features(4, 0, 0, "/r", aside=10),
    ),
    "responses with plain text": ("/r", {"text": {"verbosity": "low"}}, Features(0, 0, 0, "/r")),
    "responses after another": (
        "/r",
        {"input": "1234", "previous_response_id": "resp_1"},
        Features(4, 0, 0, "/r" + CONTINUED),
    ),
    "responses after none": ("/r", {"input": "1234", "previous_response_id": None}, Features(4, 0, 0, "/r")),
    "a conversation": ("/r", {"input": "1", "conversation": {"id": "conv_1"}}, Features(1, 0, 0, "/r" + CONTINUED)),
    "a kept prompt": (
        "/r",
        {"prompt": {"id": "pmpt_1", "variables": {"city": "Paris", "text": {"type": "input_text", "text": "123"}}}},
        Features(8, 0, 0, "/r" + CONTINUED),
    ),
    "a kept prompt without variables": ("/r", {"prompt": {"id": "p"}}, Features(0, 0, 0, "/r" + CONTINUED)),
    "an item referred to": (
        "/r",
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        Features(0, 0, 0, "/r" + CONTINUED),
    ),
    "embeddings of a text": ("/embeddings", {"input": "12345"}, Features(5, 0, 0, "/embeddings")),
    "embeddings of texts": ("/embeddings", {"input": ["12", "345"]}, Features(5, 0, 0, "/embeddings")),
    "embeddings of tokens": ("/embeddings", {"input": [7, 8, 9]}, Features(0, 0, 3, "/embeddings")),
    "embeddings of lists of tokens": ("/embeddings", {"input": [[7], [8, 9], []]}, Features(0, 0, 3, "/embeddings")),
    "a completion": ("/v1/completions", {"prompt": "1234"}, Features(4, 16, 0, "/v1/completions")),
    "completions": (
        "/v1/completions",
        {"prompt": ["12", "34"], "max_tokens": 5, "n": 2, "best_of": 3},
        Features(4, 30, 0, "/v1/completions"),
    ),
    "completions of tokens": ("/completions", {"prompt": [1, 2], "n": 2}, Features(0, 32, 2, "/completions")),
    "completions of lists": ("/completions", {"prompt": [[1, 2], [3]]}, Features(0, 32, 3, "/completions")),
    "a completion of nothing": ("/completions", {"prompt": "12", "max_tokens": 0}, Features(2, 0, 0, "/completions")),
    "a prompt in chat": ("/chat/completions", {"prompt": "12"}, Features(2, 16, 0, "/chat/completions")),
    "moderations": (
        "/moderations",
        {"input": [{"type": "text", "text": "1234"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        Features(4, 0, 0, "/moderations", flat=765, images=1),
    ),
    "pictures of a model that counts none": (
        "/images/generations",
        {"model": "dall-e-3", "prompt": "1234", "n": 2},
        Features(4, 0, 0, "/images/generations", images=2),
    ),
    "a picture of any quality": (
        "/images/generations",
        {"model": "gpt-image-1", "prompt": "1234"},
        Features(4, 6240, 0, "/images/generations", images=1),
    ),
    "squares of low quality": (
        "/v1/images/generations",
        {"model": "gpt-image-1-mini", "prompt": "1234", "n": 3, "quality": "low", "size": "1024x1024"},
        Features(4, 816, 0, "/v1/images/generations", images=3),
    ),
    "a picture of a quality that is none": (
        "/images/generations",
        {"model": "gpt-image-1", "prompt": "12", "quality": ["low"], "size": 7},
        Features(2, 6240, 0, "/images/generations", images=1),
    ),
    "a picture to be changed": (
        "/v1/images/edits",
        {
            "model": "gpt-image-1.5",
            "prompt": "1234",
            "images": [{"file_id": "file-1"}, {"image_url": "https://x/y.png"}],
            "input_fidelity": "high",
            "quality": "low",
            "size": "1536x1024",
        },
        Features(4, 400, 0, "/v1/images/edits", flat=2 * (323 + 6240), images=1),
    ),
    "pictures without a prompt": (
        "/images/variations",
        {"model": "gpt-image-1", "image": "data:...", "n": 2, "size": "1024x1024", "quality": "low"},
        Features(0, 544, 0, "/images/variations", flat=323, images=2),
    ),
    "a prediction": (
        "/c",
        {"messages": [{"role": "user", "content": "12"}], "prediction": {"type": "content", "content": "x" * 4000}},
        Features(2, 0, 0, "/c", aside=4 + 7 + 7 + 4000),
    ),
    "a spoken answer goes on": (
        "/c",
        {"messages": [{"role": "user", "content": "12"}, {"role": "assistant", "audio": {"id": "audio_1"}}]},
        Features(2, 0, 0, "/c" + CONTINUED),
    ),
    "a question about a picture and a file": (
        "/responses",
        {
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "1234"},
                        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                    ],
                },
                {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_image", "file_id": "f"}]},
            ]
        },
        Features(4, 0, 0, "/responses", flat=765 + 1530 + 765, images=2),
    ),
    "speech": (
        "/audio/speech",
        {"model": "tts-1", "input": "12345", "voice": "alloy", "instructions": "678"},
        Features(8, 0, 0, "/audio/speech"),
    ),
    "anthropic": (
        "/v1/messages",
        {
            "system": [{"type": "text", "text": "12", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "345"}, {"type": "image", "source": {}}]},
                {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"city": "Paris"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "6789"}]},
            ],
            "max_tokens": 64,
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        },
        Features(9, 64, 0, "/v1/messages", aside=9 + 4 + 1 + 12 + 4 + 6, flat=765, images=1),
    ),
    "gemini": (
        "/v1beta/models/g:generateContent",
        {
            "systemInstruction": {"parts": [{"text": "12"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "345"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}
            ],
            "generationConfig": {
                "maxOutputTokens": 30,
                "candidateCount": 2,
                "temperature": 0,
                "responseSchema": {"type": "OBJECT"},
            },
        },
        Features(5, 60, 0, "/v1beta/models/g:generateContent", aside=10, flat=258, images=1),
    ),
    "gemini's embedding": ("/e", {"content": {"parts": [{"text": "1234"}]}}, Features(4, 0, 0, "/e")),
    "gemini's embeddings": (
        "/e",
        {"requests": [{"content": {"parts": [{"text": "12"}]}}, {"content": {"parts": [{"text": "34"}]}}]},
        Features(4, 0, 0, "/e"),
    ),
    "gemini with a cache": ("/g", {"contents": [], "cachedContent": "c/1"}, Features(0, 0, 0, "/g" + CONTINUED)),
    "settings that are none": (
        "/g",
        {"generationConfig": [1], "response_format": "json", "text": "plain", "tools": "f"},
        Features(0, 0, 0, "/g", aside=1),
    ),
    "a text where messages belong": ("/c", {"messages": ["1", {"content": "2"}, 3, [4]]}, Features(2, 0, 1, "/c")),
}


@pytest.mark.parametrize(("endpoint", "body", "features"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_every_endpoint_shows_what_it_costs(endpoint: str, body: dict[str, Any], features: Features):
    """One table: endpoint, body, features."""
    assert features_of(body, endpoint) == features


@pytest.mark.parametrize(
    ("fields", "files", "size", "endpoint", "features"),
    [
        ({"model": "whisper-1", "prompt": "1234"}, [], 40_000, "/audio/transcriptions", (4, 0, 100, 0, 0)),
        ({"model": "whisper-1"}, [], 399, "/v1/audio/translations", (0, 0, 0, 0, 0)),
        (None, [("file", "a.mp3")], 4_000, "/audio/transcriptions", (0, 0, 10, 0, 0)),
        ({}, [("file", "A.WAV")], 12_000, "/audio/transcriptions", (0, 0, 10, 0, 0)),
        (
            {"model": "gpt-image-1", "prompt": "12", "n": "2"},
            [("image[]", "a.png"), ("image[]", "b.png"), ("mask", "c.png")],
            9_000_000,
            "/images/edits",
            (2, 12_480, 0, 646, 2),
        ),
        (
            {"model": "gpt-image-1", "input_fidelity": "high", "quality": "low", "partial_images": "3"},
            [("image", "a.png")],
            9,
            "/images/edits",
            (0, 708, 0, 6563, 1),
        ),
        ({"prompt": "12", "n": "many", 5: "6"}, [("image", "a")], 9, "/images/edits", (2, 0, 0, 0, 1)),
        ({"prompt": "7", "n": "9" * 30}, [], 9, "/images/edits", (1, 0, 0, 0, 1)),
        ({"model": "dall-e-2", "n": "3"}, [("image", "a.png")], 9, "/images/variations", (0, 0, 0, 0, 3)),
        ({"purpose": "batch"}, [("file", "a.wav")], 10**9, "/files", (0, 0, 0, 0, 0)),
        (b"raw", [], 10**9, "/files", (0, 0, 0, 0, 0)),
    ],
)
def test_what_a_form_shows(
    fields: Any, files: list[tuple[str, str]], size: int, endpoint: str, features: tuple[int, ...]
):
    """Its numbers are texts; of sound its bytes count, of pictures how many there are, of other files nothing."""
    found = features_of_form(fields, size, endpoint, files)
    assert (found.chars, found.max_output, found.aside, found.flat, found.images) == features
    assert (found.endpoint, found.fixed) == (endpoint, 0)


def test_a_counter_counts_the_texts():
    """Four characters for each of its tokens, wherever a text is; it is told the model, and nonsense counts nothing."""
    asked: list[tuple[str, str]] = []

    def counter(text: str, model: str) -> int:
        asked.append((text, model))
        return {"one two": 2, "three": 1, "bad": -5}[text]

    body = {
        "model": "m",
        "instructions": "three",
        "input": ["one two", "bad", {"role": "user", "content": "three"}, {"content": [{"text": "one two"}]}],
        "max_output_tokens": 7,
    }
    assert features_of(body, "/r", counter) == Features(4 * (1 + 2 + 0 + 1 + 2), 7, 0, "/r")
    assert {model for _, model in asked} == {"m"}
    assert features_of({"input": [1, 2, 3]}, "/e", counter) == Features(0, 0, 3, "/e")
    assert features_of({"n": 2}, "/e", counter) == Features(0, 0, 0, "/e")
    assert features_of({"prompt": "three"}, "/images/edits", counter).chars == 4
    assert features_of_form({"model": "m", "prompt": "one two"}, 0, "/audio/x", (), counter).chars == 8
    assert asked[-1] == ("one two", "m")


PARTS = (
    *("content", "text", "type", "role", "x", "parts", "tool_calls", "input_audio", "data", "format", "source"),
    *("inlineData", "file_data", "mimeType", "output", "arguments", "input", "thinking", "functionCall", "variables"),
    *("maxOutputTokens", "candidateCount", "responseSchema", "stdout", "audio", "functionResponse", "results"),
)
TYPES = (
    *("shell_call_output", "code_interpreter_call", "mcp_call", "file_search_call", "logs", "compaction", "content"),
    *("image_url", "file", "document", "input_audio", "tool_use", "tool_result", "function_call_output", "thinking"),
    *("function_call", "item_reference", "text", "audio/wav", "image/png"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(PARTS), inner | st.sampled_from(TYPES), max_size=3)
    ),
    max_leaves=8,
)
NAMES = (
    *("messages", "input", "prompt", "instructions", "max_tokens", "max_output_tokens", "n", "best_of", "model"),
    *("system", "contents", "content", "requests", "systemInstruction", "generationConfig", "tools", "text"),
    *("response_format", "conversation", "quality", "size", "images", "image", "partial_images", "prediction"),
)
PATHS = ("", "/chat/completions", "/v1/completions", "/images/generations", "/audio/speech")
FIELDS = ("chars", "max_output", "fixed", "excess", "aside", "flat", "images")


@given(st.dictionaries(st.sampled_from(NAMES), JSON), st.sampled_from(PATHS))
def test_no_body_is_an_error(body: dict[str, Any], endpoint: str):
    """
    Whatever a caller wrote, it has features that are whole and not negative, a key, and no exception.
    """
    for features in (features_of(body, endpoint), features_of_form(body, 1000, endpoint)):
        amounts = [getattr(features, name) for name in FIELDS]
        assert all(type(amount) is int and amount >= 0 for amount in amounts)
        assert (features.endpoint or "").removesuffix(CONTINUED) == endpoint
    assert model_of(body)


@given(JSON)
def test_no_json_is_an_error(body: object):
    """A list, a number, a text: they show nothing, or what they can."""
    assert features_of(body).chars >= 0


LARGE = ('"a"', "1", "[1]", "[]", '{"a":1}', '{"role":"u","content":"a"}', '{"content":["a",1]}', '"a",1', '{"a":{}}')


@pytest.mark.parametrize("name", ["messages", "input", "prompt", "tools", "response_format", "contents"])
@pytest.mark.parametrize("piece", LARGE)
def test_a_megabyte_takes_as_long_as_it_is(name: str, piece: str):
    """
    Ten times as much takes at most so many times as long: of whatever shape, and a megabyte no noticeable time.
    """
    took = []
    for size in (100_000, 1_000_000):
        body = json.loads(f'{{"{name}": [{",".join([piece] * (size // (len(piece) + 1)))}]}}')
        took.append(min(timed(body) for _ in range(3)))
    assert took[1] < max(0.1, 40 * took[0])  # about 0.01 s here, a tenth is for slow machines


def timed(body: dict[str, Any]) -> float:
    """Seconds of processor time that its features take."""
    began = time.process_time()
    features_of(body, "/v1/completions")
    return time.process_time() - began


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        ({"total_tokens": 7, "prompt_tokens": 3}, 7),
        ({"prompt_tokens": 3, "completion_tokens": 4}, 7),
        ({"input_tokens": 3, "output_tokens": 4}, 7),
        ({"prompt_tokens": 3}, 3),
        ({"total_tokens": 0}, 0),
        ({"total_tokens": -1}, None),
        ({"total_tokens": 10**18}, None),
        ({"total_tokens": "7"}, None),
        ({"total_tokens": 7.0}, None),
        ({"total_tokens": True}, None),
        ({"input_tokens": "3", "output_tokens": 4}, None),
        ({}, None),
        (None, None),
        ([7], None),
    ],
)
def test_what_an_answer_used(usage: Any, total: int | None):
    """
    A total that can be one, or none.
    """
    assert tokens_used(usage) == total


def test_what_is_no_part_of_a_message_counts_nothing():
    """A number among the parts, or in place of them."""
    body = {"messages": [{"content": [5, "four"]}, {"content": 5}]}
    assert features_of(body).chars == 4
