"""
How much a prompt holds: characters, pictures, token numbers, and what only some servers count.

Law of this file: linear in the size of what was written and bounded where that is
not plain text: of parts, tools and schemas at most ``PIECES`` are looked at, and
``DEPTH`` levels of parts in parts. Whatever it is given, it raises nothing.

Theory. Texts are counted by their characters everywhere. Tool definitions, schemas
of answers, calls of tools and sounds are *aside*: some servers count them like
text and some, OpenAI's chat among them, not at all; which, is learnt
(core/estimate.py). A picture and a file have a flat price. Token numbers are exact.

Source: steps of ``remaining`` in recorded answers: 765 for one picture at low and
high detail alike, 1530 for a file. Gemini's documents: 258 for a picture. A second
of sound is ten tokens in OpenAI's documents; its bytes are those of usual
recordings, 16 kB/s compressed and 48 kB/s not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PIECES = 10_000
DEPTH = 8

_PICTURE = 765
_FILE = 1530
_PICTURE_OF_GEMINI = 258

_PICTURES = frozenset({"image_url", "input_image", "image", "computer_screenshot"})
_FILES = frozenset({"input_file", "file", "document"})

_CALLS = frozenset({"tool_use", "server_tool_use", "custom_tool_call"})

# Bytes of sound for one character of text, at four of them to a token.
_BYTES_A_CHAR = 400
_BYTES_A_CHAR_RAW = 1200
_RAW = frozenset({"wav", "pcm16", "audio/wav", "audio/pcm"})

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
        fixed: tokens known exactly, or at a flat price.
        images: pictures.
        hidden: it goes on from something that only the server has.
    """

    __slots__ = ("_left", "_size", "aside", "chars", "fixed", "hidden", "images")

    def __init__(self, size: Callable[[str], int] = len) -> None:
        self._size = size
        self.chars = self.aside = self.fixed = self.images = 0
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
            if calls := item.get("tool_calls"):
                self.weigh(calls)
            return True
        text = item.get("text")
        if isinstance(text, str):
            self.chars += self._size(text)
        elif not self._known_part(item, item.get("type"), depth):
            self._part_of_gemini(item)
        return True

    def _known_part(self, item: dict[Any, Any], kind: object, depth: int) -> bool:
        """What says its type, in the languages of OpenAI and Anthropic."""
        if not isinstance(kind, str):
            if calls := item.get("tool_calls"):
                self.weigh(calls)
            return False
        if kind in _PICTURES:
            self.images += 1
            self.fixed += _PICTURE
        elif kind in _FILES:
            source = item.get("source")
            text = source.get("data") if isinstance(source, dict) and source.get("type") == "text" else None
            if isinstance(text, str):
                self.chars += self._size(text)
            else:
                self.fixed += _FILE
        elif kind == "input_audio":
            sound = item.get("input_audio")
            if isinstance(sound, dict):
                self._sound(sound.get("data"), sound.get("format"))
        elif kind == "item_reference":
            self.hidden = True
        elif kind.endswith("call_output"):
            self.take(item.get("output"), depth - 1)
        elif kind == "function_call":
            self.weigh(item.get("arguments"))
        elif kind in _CALLS:
            self.weigh(item.get("input"))
        elif kind == "thinking":
            self.take(item.get("thinking"), depth - 1)
        return True

    def _part_of_gemini(self, item: dict[Any, Any]) -> None:
        for name in ("inlineData", "inline_data", "fileData", "file_data"):
            data = item.get(name)
            if not isinstance(data, dict):
                continue
            kind = data.get("mimeType", data.get("mime_type"))
            if isinstance(kind, str) and kind.startswith("audio/"):
                self._sound(data.get("data"), kind)
            elif isinstance(kind, str) and kind.startswith("image/"):
                self.images += 1
                self.fixed += _PICTURE_OF_GEMINI
            else:
                self.fixed += _FILE
        for name in ("functionCall", "functionResponse"):
            if name in item:
                self.weigh(item[name])

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
