"""
What the body of a call shows of its cost before it is made.

Law of this file: a body is read as far as servers are known to charge for it,
never deeper, and never with an exception: what is not understood counts nothing.

Theory. Servers charge at admission, by characters, because counting tokens would
cost them more than it is worth: about chars/4 of every text part, plus what the
caller allows as output (times the number of answers), plus a flat amount for each
image. Tool definitions and JSON schemas are not counted in chat. Arrays of token
numbers count exactly. How these parts weigh is learnt elsewhere (core/estimate.py).
"""

from __future__ import annotations

from typing import Any

from ..core.estimate import Features

# Seen as the step of `remaining` for one image, low and high detail alike.
_TOKENS_OF_AN_IMAGE = 765
_CHARS_OF_A_TOKEN = 4
_MOST = 10**9

_TEXTS = frozenset({"messages", "input", "prompt", "instructions", "system"})
_OUTPUT = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
_ANSWERS = frozenset({"n", "best_of"})
_IMAGES = frozenset({"image_url", "input_image", "image", "input_file"})


def features_of(body: object, endpoint: str = "") -> Features:
    """
    The features of a JSON body.

    Args:
        body: the parsed JSON of a request; anything but an object shows nothing.
        endpoint: the path it goes to, since servers charge differently at each.
    """
    if not isinstance(body, dict):
        return Features(chars=0, endpoint=endpoint)

    chars = images = output = 0
    answers = 1
    for name, value in body.items():
        if name in _TEXTS:
            more_chars, more_images = _measure(value)
            chars += more_chars
            images += more_images
        elif name in _OUTPUT:
            output = max(output, whole_tokens(value))
        elif name in _ANSWERS:
            answers = max(answers, whole_tokens(value))

    return Features(
        chars=min(chars, _MOST),
        max_output=min(output * answers, _MOST),
        fixed=images * _TOKENS_OF_AN_IMAGE,
        endpoint=endpoint,
    )


def model_of(body: object, default: str = "default") -> str:
    """The ``model`` of a JSON body, which is the key its budget is kept under."""
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) and model else default


def tokens_used(usage: object) -> int | None:
    """
    The total of a ``usage`` object, or None when it says nothing usable.

    Servers have sent it missing, negative, as text and as 10**18.
    """
    if not isinstance(usage, dict):
        return None
    total = usage.get("total_tokens")
    if total is None:
        parts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")]
        known = [part for part in parts if part is not None]
        total = sum(known) if known and all(type(part) is int for part in known) else None
    return total if type(total) is int and 0 <= total <= _MOST else None


def _measure(value: Any) -> tuple[int, int]:
    """(characters, images) of a text, a list of texts, of messages, or of token numbers."""
    if isinstance(value, str):
        return len(value), 0
    if not isinstance(value, list | tuple):
        return 0, 0
    if value and type(value[0]) is int:
        return _CHARS_OF_A_TOKEN * len(value), 0

    chars = images = 0
    for item in value:
        if isinstance(item, dict):
            content = item.get("content")
            if isinstance(content, str):
                chars += len(content)
            elif content is None:
                more_chars, more_images = _measure_part(item)
                chars += more_chars
                images += more_images
            elif isinstance(content, list | tuple):
                for part in content:
                    more_chars, more_images = _measure_part(part)
                    chars += more_chars
                    images += more_images
        elif isinstance(item, str):
            chars += len(item)
        elif isinstance(item, list | tuple):
            # A batch of token arrays.
            chars += _CHARS_OF_A_TOKEN * len(item)
    return chars, images


def _measure_part(part: Any) -> tuple[int, int]:
    """One part of a message: text, an image, or something that is not counted."""
    if isinstance(part, str):
        return len(part), 0
    if not isinstance(part, dict):
        return 0, 0
    text = part.get("text")
    if isinstance(text, str):
        return len(text), 0
    kind = part.get("type")
    return 0, int(isinstance(kind, str) and kind in _IMAGES)


def whole_tokens(value: object) -> int:
    """A number of tokens as a body gives it; 0 for whatever is none."""
    return value if type(value) is int and 0 <= value <= _MOST else 0
