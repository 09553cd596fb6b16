from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.dialects.prompts import DEPTH, PIECES, Prompt, plain_chars, sound_chars


@pytest.mark.parametrize(
    ("value", "chars"),
    [
        ("12345", 5),
        ("", 0),
        (["12", "345"], 5),
        ([{"role": "user", "content": "12"}, {"role": "user", "content": "345"}], 5),
        ([{"content": "12"}], 2),
        ([], -1),
        (None, -1),
        (5, -1),
        ({"content": "12"}, -1),
        (("12",), -1),
        (["12", 3], -1),
        ([1, 2], -1),
        ([{"content": "12"}, "345"], -1),
        ([{"content": [{"text": "12"}]}], -1),
        ([{"role": "assistant", "content": "12", "tool_calls": []}], -1),
    ],
)
def test_what_is_nothing_but_text(value: Any, chars: int):
    """Its characters at once; of anything else nothing, for a closer look."""
    assert plain_chars(value) == chars


WAV = {"type": "input_audio", "input_audio": {"data": "A" * 16_000, "format": "wav"}}
MP3 = {"type": "input_audio", "input_audio": {"data": "A" * 16_000, "format": "mp3"}}
IMAGE = {"type": "image", "source": {}}
PARTS: dict[str, tuple[Any, tuple[int, int, int, int]]] = {
    # (chars, aside, flat, images)
    "a text": ({"type": "text", "text": "12345"}, (5, 0, 0, 0)),
    "a text of gemini": ({"text": "12345"}, (5, 0, 0, 0)),
    "a picture": ({"type": "image_url", "image_url": {"url": "data:..."}}, (0, 0, 765, 1)),
    "a picture in responses": ({"type": "input_image", "image_url": "data:..."}, (0, 0, 765, 1)),
    "a picture of anthropic": ({"type": "image", "source": {"type": "base64", "data": "AA"}}, (0, 0, 765, 1)),
    "a screenshot": (
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "x"}},
        (0, 0, 765, 1),
    ),
    "a file": ({"type": "file", "file": {"file_id": "x"}}, (0, 0, 1530, 0)),
    "a file in responses": ({"type": "input_file", "file_id": "x"}, (0, 0, 1530, 0)),
    "a document": ({"type": "document", "source": {"type": "base64", "data": "AA"}}, (0, 0, 1530, 0)),
    "a document of text": ({"type": "document", "source": {"type": "text", "data": "1234"}}, (4, 0, 0, 0)),
    "a document of parts": (
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "12"}, IMAGE]}},
        (2, 0, 765, 1),
    ),
    "a document of nothing": ({"type": "document", "source": 5}, (0, 0, 1530, 0)),
    "sound": (MP3, (0, 30, 0, 0)),
    "sound as it is": (WAV, (0, 10, 0, 0)),
    "no sound": ({"type": "input_audio", "input_audio": "x"}, (0, 0, 0, 0)),
    "sound without data": ({"type": "input_audio", "input_audio": {"format": ["wav"]}}, (0, 0, 0, 0)),
    "a call of a tool": ({"type": "function_call", "name": "f", "arguments": "{}"}, (0, 2, 0, 0)),
    "a call of a tool of anthropic": ({"type": "tool_use", "name": "f", "input": {"a": "bc"}}, (0, 3, 0, 0)),
    "what a tool said": ({"type": "function_call_output", "call_id": "1", "output": "1234"}, (4, 0, 0, 0)),
    "what a tool showed": (
        {"type": "tool_result", "content": [{"type": "text", "text": "12"}, {"type": "image", "source": {}}]},
        (2, 0, 765, 1),
    ),
    "a refusal": ({"type": "refusal", "refusal": "1234"}, (4, 0, 0, 0)),
    "an old call of a function": (
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        (0, 4 + 1 + 9 + 2, 0, 0),
    ),
    "a call of a shell": ({"type": "shell_call", "action": {"commands": ["ls"]}}, (0, 8 + 2, 0, 0)),
    "what a shell said": (
        {"type": "shell_call_output", "output": [{"stdout": "123", "stderr": "45", "outcome": {"type": "exit"}}]},
        (5, 0, 0, 0),
    ),
    "what code said": (
        {"type": "bash_code_execution_tool_result", "content": {"stdout": "123", "stderr": None, "content": []}},
        (3, 0, 0, 0),
    ),
    "code and what it said": (
        {"type": "code_interpreter_call", "code": "1+1", "outputs": [{"type": "logs", "logs": "12"}, IMAGE]},
        (2, 3, 765, 1),
    ),
    "a patch": ({"type": "apply_patch_call", "operation": {"diff": "+1"}}, (0, 4 + 2, 0, 0)),
    "a call of a remote tool": ({"type": "mcp_call", "arguments": "{}", "output": "1234"}, (4, 2, 0, 0)),
    "the tools of a remote server": (
        {"type": "mcp_list_tools", "tools": [{"name": "f", "description": "12"}]},
        (0, 4 + 1 + 11 + 2, 0, 0),
    ),
    "a call of one of them": ({"type": "mcp_tool_use", "input": {"a": "bc"}}, (0, 3, 0, 0)),
    "what a search found": ({"type": "file_search_call", "queries": ["x"], "results": [{"text": "12"}]}, (2, 0, 0, 0)),
    "a picture that was made": ({"type": "image_generation_call", "result": "A" * 99_999}, (0, 0, 765, 1)),
    "a film": ({"type": "video_url", "video_url": {"url": "x"}}, (0, 0, 1530, 0)),
    "a thought": ({"type": "thinking", "thinking": "1234", "signature": "x"}, (4, 0, 0, 0)),
    "a thought that is hidden": ({"type": "reasoning", "encrypted_content": "x" * 99}, (0, 0, 0, 0)),
    "calls without a word": ({"role": "assistant", "tool_calls": [{"id": "ab"}]}, (0, 4, 0, 0)),
    "calls and a word": ({"role": "assistant", "content": "1", "tool_calls": [{"id": "ab"}]}, (1, 4, 0, 0)),
    "a name": ({"role": "user", "name": "Ann", "content": "12"}, (2, 0, 0, 0)),
    "a picture of gemini": ({"inlineData": {"mimeType": "image/png", "data": "AA"}}, (0, 0, 258, 1)),
    "the same, spelt otherwise": ({"file_data": {"mime_type": "image/png", "file_uri": "x"}}, (0, 0, 258, 1)),
    "sound of gemini": ({"inline_data": {"mime_type": "audio/mp3", "data": "A" * 16_000}}, (0, 30, 0, 0)),
    "sound at an address": ({"fileData": {"mimeType": "audio/mp3", "fileUri": "x"}}, (0, 0, 0, 0)),
    "a file of gemini": ({"inlineData": {"mimeType": "application/pdf", "data": "AA"}}, (0, 0, 1530, 0)),
    "a file of no kind": ({"inlineData": {"mimeType": 7}}, (0, 0, 1530, 0)),
    "no file": ({"inlineData": "x"}, (0, 0, 0, 0)),
    "a call of gemini": ({"functionCall": {"name": "f", "args": {"a": 1}}}, (0, 10, 0, 0)),
    "code of gemini": ({"executableCode": {"code": "1+1"}}, (0, 4 + 3, 0, 0)),
    "what a tool of gemini said and showed": (
        {
            "functionResponse": {
                "name": "f",
                "response": {"a": "bc"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "A" * 99_999}}],
            }
        },
        (0, 1 + 3, 258, 1),
    ),
    "what nobody of gemini said": ({"functionResponse": "x"}, (0, 0, 0, 0)),
    "what is new": ({"type": "hologram", "beam": "x"}, (0, 0, 0, 0)),
    "what is nothing": ({}, (0, 0, 0, 0)),
}


@pytest.mark.parametrize(("part", "found"), PARTS.values(), ids=PARTS)
def test_what_a_part_holds(part: Any, found: tuple[int, int, int, int]):
    """By itself, in a list, and in a message: the same."""
    for value in (part, [part], ({"role": "user", "content": [part]},)):
        prompt = Prompt()
        prompt.take(value)
        assert (prompt.chars, prompt.aside, prompt.flat, prompt.images) == found
        assert not prompt.hidden
        assert not prompt.fixed


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg_1"},
        {"type": "compaction", "encrypted_content": "x" * 99},
        {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
        {"role": "assistant", "content": "1", "audio": {"id": "audio_1"}},
    ],
)
def test_what_only_the_server_has_is_hidden(item: dict[str, Any]):
    """Something before it, or an answer that was spoken."""
    prompt = Prompt()
    prompt.take([item])
    assert prompt.hidden


def test_only_at_the_top_are_numbers_tokens():
    """A list of numbers is a prompt of tokens; inside a message it is nothing known."""
    prompt = Prompt()
    prompt.take([1, 2, 3])
    assert prompt.fixed == 3
    prompt.take([{"content": [1, 2, 3]}])
    assert prompt.fixed == 3


def test_lists_beside_texts_are_tokens():
    """A batch of texts and of token numbers."""
    prompt = Prompt()
    prompt.take(["12", [1, 2, 3], None])
    assert (prompt.chars, prompt.fixed) == (2, 3)


@pytest.mark.parametrize("piece", [{"text": "a"}, ["a"], None])
def test_not_everything_is_looked_at(piece: Any):
    """Beyond so many pieces that are no plain text the rest counts nothing."""
    prompt = Prompt()
    prompt.take(["", *[piece] * (PIECES + 10), {"text": "last"}])
    assert prompt.chars + prompt.fixed <= PIECES
    prompt.weigh("more")
    assert prompt.aside == 0


def test_plain_messages_are_looked_at_without_end():
    """They cost next to nothing."""
    prompt = Prompt()
    prompt.take([{"text": "x"}, *[{"role": "user", "content": "ab"}] * (2 * PIECES)])
    assert prompt.chars == 1 + 4 * PIECES


def test_parts_in_parts_end_somewhere():
    """However deep they are, there is no recursion to fail."""
    deep: Any = {"text": "x"}
    for _ in range(5000):
        deep = {"content": [deep]}
    prompt = Prompt()
    prompt.take([deep, {"text": "not lost"}])
    assert prompt.chars == 8
    for depth, chars in ((DEPTH - 1, 1), (DEPTH, 0)):
        nested: Any = {"text": "x"}
        for _ in range(depth):
            nested = {"content": [nested]}
        prompt = Prompt()
        prompt.take([nested])
        assert prompt.chars == chars


def test_what_is_structured_weighs_its_names_and_texts():
    """At any depth; numbers weigh nothing, and names that are none."""
    prompt = Prompt()
    deep: Any = "xy"
    for _ in range(5000):
        deep = [deep]
    prompt.weigh({"ab": ["c", {"d": "ef", "g": 5, 6: None}], "h": (1, "i")})
    assert prompt.aside == 2 + 1 + 1 + 2 + 1 + 1 + 1
    prompt.weigh(deep)
    assert prompt.aside == 11


@pytest.mark.parametrize(("form", "chars"), [("mp3", 60), (None, 60), (5, 60), ("wav", 20), ("audio/pcm", 20)])
def test_sound_counts_by_its_length(form: object, chars: int):
    """A second and a half of it: fifteen tokens if compressed, five of so many bytes if not."""
    assert sound_chars(24_000, form) == chars
