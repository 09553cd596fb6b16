"""
How much a prompt holds: characters, pictures, token numbers, and what only some servers count.

Law of this file: linear in the size of what was written and bounded where that is
not plain text: of parts, tools and schemas at most ``PIECES`` are looked at, and
``DEPTH`` levels of parts in parts. Whatever it is given, it raises nothing.

Theory. Texts are counted by their characters everywhere. Tool definitions, schemas
of answers, calls of tools and sounds are *aside*: some servers count them like
text and some, OpenAI's chat among them, not at all; which, is learnt
(core/estimate.py). Pictures and files have a *flat* price to begin with; it is
learnt, too. Token numbers are exact.

Source of the flat prices: steps of ``remaining`` in recorded answers of api.openai.com,
where a limiter that cannot look into pictures takes 765 for one of any size, at low
and high detail alike, also for gpt-4o-mini whose usage says 36 848; and 1530 for a
file. A user measured the same:
https://community.openai.com/t/vision-model-rate-limit-documentation-for-usage-estimate-is-wrong/1076053
765 is what the documents say a square of 1024 is to gpt-4o (85 + 4 x 170), and what is
billed differs by size, detail and model:
https://developers.openai.com/api/docs/guides/images-vision#calculating-costs
Gemini's documents: 258 for a small picture, https://ai.google.dev/gemini-api/docs/tokens
A second of sound is ten tokens in OpenAI's documents; its bytes are those of usual
recordings, 16 kB/s compressed and 48 kB/s not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

PIECES = 10_000
DEPTH = 8

_PICTURE: Final = 765
_FILE: Final = 1530
_PICTURE_OF_GEMINI: Final = 258

_PICTURES: Final = frozenset({"image_url", "input_image", "image", "computer_screenshot", "image_generation_call"})
_FILES: Final = frozenset(
    {"input_file", "file", "document", "document_url", "container_upload", "video_url", "audio_url"}
)

# What a call of a tool says, by its type; the answers of tools are text.
_CALLS: Final = {
    **dict.fromkeys(("function_call", "mcp_call"), "arguments"),
    **dict.fromkeys(("tool_use", "server_tool_use", "mcp_tool_use", "custom_tool_call"), "input"),
    **dict.fromkeys(("shell_call", "local_shell_call", "computer_call"), "action"),
    "apply_patch_call": "operation",
    "code_interpreter_call": "code",
    "mcp_list_tools": "tools",
}
# Texts and parts that are not called text, content or parts.
_OTHER_TEXTS: Final = {
    "refusal": "refusal",
    "thinking": "thinking",
    "mcp_call": "output",
    "file_search_call": "results",
    "code_interpreter_call": "outputs",
    "logs": "logs",
}
# They stand for what only the server has.
_REFERENCES: Final = frozenset({"item_reference", "compaction"})
_CALLS_OF_A_MESSAGE: Final = ("tool_calls", "function_call")
_CALLS_OF_GEMINI: Final = ("functionCall", "executableCode", "codeExecutionResult")
_DATA_OF_GEMINI: Final = ("inlineData", "inline_data", "fileData", "file_data")

# Bytes of sound for one character of text, at four of them to a token.
_BYTES_A_CHAR: Final = 400
_BYTES_A_CHAR_RAW: Final = 1200
_RAW: Final = frozenset({"wav", "pcm16", "audio/wav", "audio/pcm"})

_LISTS = (list, tuple)
_NESTED = (dict, list, tuple)


def plain_chars(value: Any) -> int:
    """Characters of a text, of texts, or of messages that are nothing but text; -1 of anything else."""
    if type(value) is str:
        return len(value)
    if type(value) is not list or not value:
        return -1
    if type(value[0]) is str:
        try:
            # Several times as fast as a sum of lengths, and it is all texts or an error.
            return len("".join(value))
        except TypeError:
            return -1
    chars = 0
    for item in value:
        if type(item) is not dict or len(item) > 2:
            return -1
        content = item.get("content")
        if type(content) is not str:
            return -1
        chars += len(content)
    return chars


def sound_chars(size: int, form: object = None) -> int:
    """So many bytes of sound as characters, if each second of it were ten tokens."""
    return size // (_BYTES_A_CHAR_RAW if isinstance(form, str) and form in _RAW else _BYTES_A_CHAR)


class Prompt:
    """
    What was found in the prompt of one call.

    Args:
        size: how many characters a text counts; as many as it has, unless the
            caller knows better.
        chars: characters of text.
        aside: characters of what only some servers count.
        fixed: tokens known exactly.
        flat: tokens of pictures and files, at a flat price for each.
        images: pictures.
        hidden: it goes on from something that only the server has.
    """

    __slots__ = ("_left", "_size", "aside", "chars", "fixed", "flat", "hidden", "images")

    def __init__(self, size: Callable[[str], int] = len) -> None:
        self._size = size
        self.chars = self.aside = self.fixed = self.flat = self.images = 0
        self.hidden = False
        self._left = PIECES

    def take(self, value: Any, depth: int = DEPTH) -> None:
        """A text, a message, or a list of texts, messages, parts or token numbers."""
        if isinstance(value, str):
            self.chars += self._size(value)
        elif isinstance(value, dict):
            self._item(value, depth)
        elif isinstance(value, _LISTS) and value:
            self._take_list(value, depth)

    def _take_list(self, value: list[Any] | tuple[Any, ...], depth: int) -> None:
        first = type(value[0])
        if depth == DEPTH and first is int:
            self.fixed += len(value)
            return
        if first in _LISTS and set(map(type, value)) == {first}:
            self.fixed += sum(map(len, value))
            return
        for item in value:
            if isinstance(item, str):
                self.chars += self._size(item)
            elif isinstance(item, dict):
                content = item.get("content")
                if type(content) is str and len(item) == 2 and "role" in item:
                    self.chars += self._size(content)
                elif not self._item(item, depth):
                    return
            elif self._left <= 0:
                return
            else:
                self._left -= 1
                self.fixed += len(item) if isinstance(item, _LISTS) else 0

    def _item(self, item: dict[Any, Any], depth: int) -> bool:
        """A message, an item of a conversation, or a part; False when there have been too many, or too deep."""
        self._left -= 1
        if self._left < 0 or depth <= 0:
            return False
        content = item.get("content")
        if content is None:
            content = item.get("parts")
        if content is not None:
            self.take(content, depth - 1)
            self._around(item, depth)
            return True
        text = item.get("text")
        if isinstance(text, str):
            self.chars += self._size(text)
            return True
        kind = item.get("type")
        if isinstance(kind, str):
            self._part(item, kind, depth)
        else:
            self._part_of_gemini(item, depth)
        self._around(item, depth)
        return True

    def _around(self, item: dict[Any, Any], depth: int) -> None:
        """What stands beside the content of a message: calls of tools, and what a shell said."""
        for name in _CALLS_OF_A_MESSAGE:
            if calls := item.get(name):
                self.weigh(calls)
        if "stdout" in item:
            self.take([item["stdout"], item.get("stderr")], depth - 1)
        if isinstance(item.get("audio"), dict):
            self.hidden = True  # an answer that was spoken: the server has it

    def _part(self, item: dict[Any, Any], kind: str, depth: int) -> None:
        """What says its type, in the languages of OpenAI and Anthropic."""
        if kind in _PICTURES:
            self._picture(_PICTURE)
            return
        if kind in _FILES:
            self._file(item.get("source"), depth)
            return
        if kind == "input_audio":
            sound = item.get("input_audio")
            if isinstance(sound, dict):
                self._sound(sound.get("data"), sound.get("format"))
            return
        if kind in _REFERENCES:
            self.hidden = True
            return
        if kind in _CALLS:
            self.weigh(item.get(_CALLS[kind]))
        if kind in _OTHER_TEXTS:
            self.take(item.get(_OTHER_TEXTS[kind]), depth - 1)
        elif kind.endswith("call_output"):
            self.take(item.get("output"), depth - 1)

    def _part_of_gemini(self, item: dict[Any, Any], depth: int) -> None:
        for name in _DATA_OF_GEMINI:
            data = item.get(name)
            if not isinstance(data, dict):
                continue
            kind = data.get("mimeType", data.get("mime_type"))
            if isinstance(kind, str) and kind.startswith("audio/"):
                self._sound(data.get("data"), kind)
            elif isinstance(kind, str) and kind.startswith("image/"):
                self._picture(_PICTURE_OF_GEMINI)
            else:
                self.flat += _FILE
        for name in _CALLS_OF_GEMINI:
            if name in item:
                self.weigh(item[name])
        answer = item.get("functionResponse")
        if isinstance(answer, dict):
            self.weigh(answer.get("name"))
            self.weigh(answer.get("response"))
            # Pictures in it are no text, however long they are.
            self.take(answer.get("parts"), depth - 1)

    def _picture(self, price: int) -> None:
        self.images += 1
        self.flat += price

    def _file(self, source: Any, depth: int) -> None:
        """A file, or a document that is written out in its *source*."""
        if isinstance(source, dict) and source.get("type") in ("text", "content"):
            self.take(source.get("data"), depth - 1)
            self.take(source.get("content"), depth - 1)
        else:
            self.flat += _FILE

    def _sound(self, data: object, form: object) -> None:
        if isinstance(data, str):
            # Base64: four characters for three bytes.
            self.aside += sound_chars(3 * len(data) // 4, form)

    def weigh(self, value: Any) -> None:
        """Something structured that only some servers count: the characters of all names and texts in it."""
        todo = [value]
        while todo and self._left > 0:
            self._left -= 1
            one = todo.pop()
            if isinstance(one, str):
                self.aside += len(one)
            elif isinstance(one, dict):
                for name, inner in one.items():
                    self.aside += len(name) if isinstance(name, str) else 0
                    if isinstance(inner, str):
                        self.aside += len(inner)
                    elif isinstance(inner, _NESTED):
                        todo.append(inner)
            elif isinstance(one, _LISTS):
                todo.extend(one[: self._left])
