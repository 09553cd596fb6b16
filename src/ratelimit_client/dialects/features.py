"""
What the body of a call shows of its cost before it is made.

Law of this file: a body is read as far as servers are known to charge for it,
never deeper, and never with an exception: what is not understood counts nothing.

Theory. Servers charge at admission, by characters, because counting tokens would
cost them more than it is worth: about chars/4 of every text part, plus what the
caller allows as output (times the number of answers), plus a flat amount for each
picture and file. Arrays of token numbers count exactly. Tool definitions and schemas are kept
apart, since only some servers count them. A call that goes on from what the server
has kept shows nothing of that, so such calls are charged by a rule of their own.
How these parts weigh is learnt elsewhere (core/estimate.py).

The names are those of OpenAI, Anthropic and Gemini; none of them means two things.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from ..core.estimate import Features
from .pictures import tokens_given, tokens_made
from .prompts import Prompt, plain_chars, sound_chars

MOST_TOKENS = 10**9
"""More than any call has: what a body or a usage says beyond it is not believed."""
_MOST = MOST_TOKENS
_A_NUMBER = re.compile(r"[0-9]{1,9}")
_RAW_SOUND = re.compile(r".*\.(?:wav|pcm)", re.IGNORECASE)

# What the documents say of an endpoint that nobody gave a bound.
_OUTPUT_OF_A_COMPLETION = 16

CONTINUED = " (continued)"
"""Behind the endpoint of calls that go on from what the server has kept."""

_TEXT: Final = 0
_OUTPUT: Final = 1
_ANSWERS: Final = 2
_PROMPT: Final = 3
_ASIDE: Final = 4
_SCHEMA: Final = 5
_CONFIG: Final = 6
_HIDDEN: Final = 7

_KINDS = {
    **dict.fromkeys(("messages", "input", "instructions", "system", "suffix"), _TEXT),
    **dict.fromkeys(("content", "contents", "requests", "systemInstruction", "system_instruction"), _TEXT),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens"), _OUTPUT),
    **dict.fromkeys(("n", "best_of"), _ANSWERS),
    "prompt": _PROMPT,
    **dict.fromkeys(("tools", "functions", "prediction"), _ASIDE),
    **dict.fromkeys(("response_format", "text"), _SCHEMA),
    **dict.fromkeys(("generationConfig", "generation_config"), _CONFIG),
    **dict.fromkeys(("previous_response_id", "conversation", "cachedContent", "cached_content"), _HIDDEN),
}
_OF_A_CONFIG = {
    **dict.fromkeys(("maxOutputTokens", "max_output_tokens"), _OUTPUT),
    **dict.fromkeys(("candidateCount", "candidate_count"), _ANSWERS),
    **dict.fromkeys(("responseSchema", "response_schema", "responseJsonSchema", "response_json_schema"), _ASIDE),
}

_NUMBERS_OF_A_FORM = frozenset(
    {"partial_images", *(name for name, kind in _KINDS.items() if kind in (_OUTPUT, _ANSWERS))}
)
_PICTURES_OF_A_BODY = ("images", "image")

Counter = Callable[[str, str], int]
"""How many tokens a text is for a model: ``counter(text, model)``."""


def features_of(body: object, endpoint: str = "", counter: Counter | None = None) -> Features:
    """
    The features of a JSON body.

    Args:
        body: the parsed JSON of a request; anything but an object shows nothing.
        endpoint: the path it goes to, since servers charge differently at each.
        counter: counts tokens better than a quarter of the characters does; how the
            server's charge differs from its count is learnt like everything else.
    """
    if not isinstance(body, dict):
        return Features(0, 0, 0, endpoint)
    if "/images/" in endpoint:
        return _of_pictures(body, endpoint, _pictures_of(body), counter)

    chars = output = 0
    answers = 1
    others: list[tuple[int, Any]] | None = None
    for name, value in body.items():
        kind = _KINDS.get(name)
        if kind is None:
            continue
        if kind == _TEXT:
            found = plain_chars(value) if counter is None else -1
            if found >= 0:
                chars += found
                continue
        elif kind == _OUTPUT:
            if type(value) is int and output < value <= _MOST:
                output = value
            continue
        elif kind == _ANSWERS:
            if type(value) is int and answers < value <= _MOST:
                answers = value
            continue
        if value:
            if others is None:
                others = []
            others.append((kind, value))

    if others is not None:
        return _of_more(body, endpoint, _prompt(body, counter), chars, output, answers, others)
    output *= answers
    return Features(chars if chars < _MOST else _MOST, output if output < _MOST else _MOST, 0, endpoint)


def _prompt(body: Mapping[str, Any], counter: Counter | None) -> Prompt:
    """An empty one; with a *counter* a text's size is that of its tokens, in characters: four of them a token."""
    if counter is None:
        return Prompt()
    model = model_of(body, "")
    return Prompt(lambda text: 4 * whole_tokens(counter(text, model)))


def _of_more(
    body: Mapping[str, Any],
    endpoint: str,
    prompt: Prompt,
    chars: int,
    output: int,
    answers: int,
    others: Iterable[tuple[int, Any]],
) -> Features:
    """The features of a body that is more than plain text and its bounds; *chars* and the rest are what was seen."""
    for kind, value in others:
        if kind == _TEXT:
            prompt.take(value)
        elif kind == _PROMPT:
            prompt.take(value)
            if isinstance(value, dict):
                # One that is kept at the server: its id, and what is put into it here.
                prompt.hidden = True
                variables = value.get("variables")
                prompt.take(list(variables.values()) if isinstance(variables, dict) else None)
            elif endpoint.rpartition("/")[2] == "completions":
                output = output if "max_tokens" in body else _OUTPUT_OF_A_COMPLETION
                answers *= _number_of(value)
        elif kind == _ASIDE:
            prompt.weigh(value)
        elif kind == _SCHEMA:
            _take_schema(prompt, value)
        elif kind == _CONFIG:
            output, answers = _configured(prompt, value, output, answers)
        else:
            prompt.hidden = True
    return Features(
        min(chars + prompt.chars, _MOST),
        min(output * answers, _MOST),
        min(prompt.fixed, _MOST),
        endpoint + CONTINUED if prompt.hidden else endpoint,
        aside=min(prompt.aside, _MOST),
        flat=min(prompt.flat, _MOST),
        images=min(prompt.images, _MOST),
    )


def _of_pictures(body: Mapping[str, Any], endpoint: str, given: int, counter: Counter | None) -> Features:
    """Pictures to be made or changed: what is made counts as output, and each of those *given* has its price."""
    prompt = _prompt(body, counter)
    prompt.take(body.get("prompt"))
    made = max(1, whole_tokens(body.get("n")))
    return Features(
        min(prompt.chars, _MOST),
        min(made * tokens_made(body), _MOST),
        0,
        endpoint,
        flat=min(given * tokens_given(body), _MOST),
        images=made,
    )


def _pictures_of(body: Mapping[str, Any]) -> int:
    """How many pictures a JSON body gives to be changed."""
    pictures = next((body[name] for name in _PICTURES_OF_A_BODY if body.get(name)), ())
    return len(pictures) if isinstance(pictures, list | tuple) else 1


def features_of_form(
    fields: object,
    size: int,
    endpoint: str = "",
    files: Sequence[tuple[str, str]] = (),
    counter: Counter | None = None,
) -> Features:
    """
    The features of a form.

    Args:
        fields: names and values; the numbers in it may be texts, as forms have them.
        size: bytes of all of it, which are those of the sound where that is what is sent.
        endpoint: the path it goes to.
        files: of each, the name of its field and its own.
        counter: as of ``features_of``.
    """
    shown = {}
    if isinstance(fields, Mapping):
        for name, value in fields.items():
            number = isinstance(value, str) and name in _NUMBERS_OF_A_FORM and _A_NUMBER.fullmatch(value)
            shown[name] = int(value) if number else value
    if "/images/" in endpoint:
        return _of_pictures(shown, endpoint, sum(field.startswith("image") for field, _ in files), counter)
    features = features_of(shown, endpoint, counter)
    if "/audio/" in endpoint:
        form = "wav" if any(_RAW_SOUND.fullmatch(name) for _, name in files) else None
        features = attrs.evolve(features, aside=min(features.aside + sound_chars(size, form), _MOST))
    return features


def _number_of(prompts: Any) -> int:
    """How many prompts they are: of several, each is answered."""
    several = isinstance(prompts, list | tuple) and type(prompts[0]) is not int
    return len(prompts) if several else 1


def _take_schema(prompt: Prompt, value: Any) -> None:
    """The schema of a ``response_format``, or of a ``text`` with one; that an answer is text says nothing."""
    if isinstance(value, dict):
        form = value.get("format")
        for inner in (form if isinstance(form, dict) else value).values():
            if isinstance(inner, dict):
                prompt.weigh(inner)


def _configured(prompt: Prompt, value: Any, output: int, answers: int) -> tuple[int, int]:
    """The most output and the number of answers, as Gemini's settings have them."""
    if isinstance(value, dict):
        for name, setting in value.items():
            kind = _OF_A_CONFIG.get(name)
            if kind == _OUTPUT:
                output = max(output, whole_tokens(setting))
            elif kind == _ANSWERS:
                answers = max(answers, whole_tokens(setting))
            elif kind == _ASIDE:
                prompt.weigh(setting)
    return output, answers


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


def whole_tokens(value: object) -> int:
    """A number of tokens as a body gives it; 0 for whatever is none."""
    return value if type(value) is int and 0 <= value <= _MOST else 0
