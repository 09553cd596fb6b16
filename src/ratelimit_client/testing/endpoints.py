"""
The endpoints of an OpenAI server: what a request body asks for, what an answer says.

Law of this file: an endpoint is a row of a table, beside two pure functions. ``read``
turns a parsed body into an `Ask` or says what is wrong with it; ``write`` makes the
JSON of a success. Answers are deterministic: the same request number and the same
mark give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from .charging import DEFAULT_MAX_TOKENS, Ask, prompt_tokens

Body = Mapping[str, Any]


class BadRequest(ValueError):
    """The body is not what the endpoint takes; ``param`` names the part at fault."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@attrs.frozen
class Facts:
    """What the JSON of a success is made of."""

    number: int
    created_s: int
    model: str
    ask: Ask
    text: str


@attrs.frozen
class Endpoint:
    """
    One row of the table.

    Args:
        path: behind the base URL.
        read: body -> `Ask`; raises `BadRequest`.
        write: `Facts` -> JSON of a success.
        metered: a call is charged, and its answer shows the limits.
    """

    path: str
    read: Callable[[Body], Ask]
    write: Callable[[Facts], dict[str, Any]]
    metered: bool = True


# ---- reading ---------------------------------------------------------------------------------


def read_chat(body: Body) -> Ask:
    """The `Ask` of ``/chat/completions``."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("Invalid 'messages': expected a non-empty array.", "messages")
    chars, images = _contents(messages, "messages")
    wanted = body.get("max_completion_tokens")
    return Ask(
        model=_model(body),
        chars=chars,
        max_tokens=_count(body, "max_tokens") if wanted is None else _count(body, "max_completion_tokens"),
        n=_count(body, "n") or 1,
        texts=len(messages),
        images=images,
    )


def read_responses(body: Body) -> Ask:
    """The `Ask` of ``/responses``."""
    source = body.get("input")
    if isinstance(source, str):
        chars, images, texts = len(source), 0, 1
    elif isinstance(source, list) and source:
        (chars, images), texts = _contents(source, "input"), len(source)
    else:
        raise BadRequest("Missing required parameter: 'input'.", "input")
    instructions = body.get("instructions")
    chars += len(instructions) if isinstance(instructions, str) else 0
    wanted = _count(body, "max_output_tokens")
    return Ask(_model(body), chars, wanted, endpoint="responses", texts=texts, images=images)


def read_completions(body: Body) -> Ask:
    """The `Ask` of ``/completions``."""
    chars, tokens, texts = _prompt(body, "prompt")
    wanted = _count(body, "max_tokens")
    return Ask(
        _model(body),
        chars,
        DEFAULT_MAX_TOKENS if wanted is None else wanted,
        n=_count(body, "n") or 1,
        endpoint="completions",
        texts=texts,
        tokens=tokens,
    )


def read_embeddings(body: Body) -> Ask:
    """The `Ask` of ``/embeddings``."""
    chars, tokens, texts = _prompt(body, "input")
    return Ask(_model(body), chars, endpoint="embeddings", texts=texts, tokens=tokens)


def read_moderations(body: Body) -> Ask:
    """The `Ask` of ``/moderations``, which needs no model."""
    chars, tokens, texts = _prompt(body, "input")
    model = body.get("model") or "omni-moderation-latest"
    return Ask(str(model), chars, endpoint="moderations", texts=texts, tokens=tokens)


def _model(body: Body) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter")
    return model


def _count(body: Body, name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadRequest(f"Invalid '{name}': expected an integer of at least 1.", name)
    return value


def _contents(items: Iterable[Any], name: str) -> tuple[int, int]:
    """Characters and pictures of chat messages or input items."""
    chars = images = 0
    for item in items:
        if not isinstance(item, dict):
            raise BadRequest(f"Invalid type for '{name}': expected objects.", name)
        content = item.get("content")
        if isinstance(content, str):
            chars += len(content)
        elif isinstance(content, list):
            for part in content:
                text = part.get("text") if isinstance(part, dict) else None
                if isinstance(text, str):
                    chars += len(text)
                else:
                    images += 1
    return chars, images


def _prompt(body: Body, name: str) -> tuple[int, int, int]:
    """(characters, token numbers, texts) of a text, a list of texts, token numbers, or lists of them."""
    source = body.get(name)
    if isinstance(source, str):
        return len(source), 0, 1
    if isinstance(source, list) and source:
        if all(isinstance(each, str) for each in source):
            return sum(map(len, source)), 0, len(source)
        if all(isinstance(each, int) for each in source):
            return 0, len(source), 1
        if all(isinstance(each, list) for each in source):
            return 0, sum(map(len, source)), len(source)
        if all(isinstance(each, dict) for each in source):
            return _contents([{"content": source}], name)[0], 0, len(source)
    raise BadRequest(f"Invalid '{name}': expected a text, a list of texts or token numbers.", name)


# ---- writing ---------------------------------------------------------------------------------


def answer_tokens(facts: Facts) -> int:
    """What one text of an answer is said to have used."""
    used = -(-len(facts.text) // 4)
    return used if facts.ask.max_tokens is None else min(used, facts.ask.max_tokens)


def _usage(facts: Facts, used: int) -> dict[str, Any]:
    prompt = max(1, prompt_tokens(facts.ask))
    return {"prompt_tokens": prompt, "completion_tokens": used, "total_tokens": prompt + used}


def write_chat(facts: Facts) -> dict[str, Any]:
    """The JSON of a chat completion."""
    message = {"role": "assistant", "content": facts.text, "refusal": None}
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": "stop"} for index in range(facts.ask.n)
    ]
    return {
        "id": f"chatcmpl-{facts.number:024x}",
        "object": "chat.completion",
        "created": facts.created_s,
        "model": facts.model,
        "choices": choices,
        "usage": _usage(facts, answer_tokens(facts) * facts.ask.n),
        "service_tier": "default",
    }


def write_responses(facts: Facts) -> dict[str, Any]:
    """The JSON of a response."""
    content = [{"type": "output_text", "text": facts.text, "annotations": []}]
    message = {"type": "message", "id": f"msg_{facts.number:024x}", "status": "completed", "role": "assistant"}
    usage = _usage(facts, answer_tokens(facts))
    return {
        "id": f"resp_{facts.number:024x}",
        "object": "response",
        "created_at": facts.created_s,
        "status": "completed",
        "error": None,
        "model": facts.model,
        "output": [{**message, "content": content}],
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        },
    }


def write_completions(facts: Facts) -> dict[str, Any]:
    """The JSON of a text completion."""
    count = facts.ask.n * facts.ask.texts
    choices = [
        {"text": facts.text, "index": index, "logprobs": None, "finish_reason": "stop"} for index in range(count)
    ]
    return {
        "id": f"cmpl-{facts.number:024x}",
        "object": "text_completion",
        "created": facts.created_s,
        "model": facts.model,
        "choices": choices,
        "usage": _usage(facts, answer_tokens(facts) * count),
    }


def write_embeddings(facts: Facts) -> dict[str, Any]:
    """The JSON of embeddings: eight numbers each, which is enough to be told apart."""
    seed = sum(facts.text.encode())
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": [((seed * (index + 7) + k * 37) % 200 - 100) / 100 for k in range(8)],
        }
        for index in range(facts.ask.texts)
    ]
    prompt = max(1, prompt_tokens(facts.ask))
    usage = {"prompt_tokens": prompt, "total_tokens": prompt}
    return {"object": "list", "data": data, "model": facts.model, "usage": usage}


def write_moderations(facts: Facts) -> dict[str, Any]:
    """The JSON of a moderation: nothing is ever flagged."""
    result = {"flagged": False, "categories": {"violence": False}, "category_scores": {"violence": 0.0}}
    return {"id": f"modr-{facts.number:024x}", "model": facts.model, "results": [result] * facts.ask.texts}


def write_model(name: str, created_s: int) -> dict[str, Any]:
    """One entry of ``/models``."""
    return {"id": name, "object": "model", "created": created_s, "owned_by": "model-server"}


ENDPOINTS: Mapping[str, Endpoint] = {
    each.path: each
    for each in (
        Endpoint("chat/completions", read_chat, write_chat),
        Endpoint("responses", read_responses, write_responses),
        Endpoint("completions", read_completions, write_completions),
        Endpoint("embeddings", read_embeddings, write_embeddings),
        # Recorded: moderations carry no rate-limit header.
        Endpoint("moderations", read_moderations, write_moderations, metered=False),
    )
}
