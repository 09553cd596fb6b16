"""
What a call pays in tokens, as a server estimates it before it works on the call.

Law of this file: a rule is a function of an `Ask`, the few numbers of a request that
a charge can depend on; it returns whole tokens. Nothing is given back later: the
headers never show what a call really used.

Source: decrements of ``remaining`` in recorded answers of api.openai.com. Until about
March 2025 a chat call paid a quarter of its characters and its ``max_tokens``; since
then a quarter of its characters and one to four more. The documents still describe
the larger of the two. Texts in a list of token numbers are counted exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

CHARS_PER_TOKEN = 4
TOKENS_PER_IMAGE = 765
DEFAULT_MAX_TOKENS = 16


@attrs.frozen
class Ask:
    """
    What a call asks for, as far as its charge depends on it.

    Args:
        model: as the call names it.
        chars: characters of all texts of the prompt.
        max_tokens: the most it wants back, or None when it does not say.
        n: how many answers it wants.
        endpoint: path behind the base URL ("chat/completions").
        texts: messages, or texts to embed.
        tokens: prompt tokens that came as numbers, counted exactly.
        images: pictures in the prompt.
    """

    model: str
    chars: int = 0
    max_tokens: int | None = None
    n: int = 1
    endpoint: str = "chat/completions"
    texts: int = 1
    tokens: int = 0
    images: int = 0


Charge = Callable[[Ask], int]


def by_characters(ask: Ask) -> int:
    """A quarter of the characters and a few more: OpenAI since April 2025. ``max_tokens`` costs nothing."""
    return prompt_tokens(ask) + _extra(ask) + max(0, ask.n - 1)


def by_characters_and_output(ask: Ask) -> int:
    """A quarter of the characters and ``n x max_tokens``: OpenAI until March 2025. No ``max_tokens`` counts as 16."""
    if ask.endpoint == "embeddings":
        return prompt_tokens(ask)
    wanted = DEFAULT_MAX_TOKENS if ask.max_tokens is None else ask.max_tokens
    return prompt_tokens(ask) + _extra(ask) + ask.n * wanted


def by_the_larger(ask: Ask) -> int:
    """The larger of a quarter of the characters and ``max_tokens``: what OpenAI's documents say."""
    return max(1, prompt_tokens(ask), ask.max_tokens or 0)


def exactly(ask: Ask) -> int:
    """The prompt and nothing else; with ``tokens`` given and no ``chars``, just those."""
    return prompt_tokens(ask)


def prompt_tokens(ask: Ask) -> int:
    """A quarter of the characters, rounded up; token numbers as they are; a flat sum for each picture."""
    return -(-ask.chars // CHARS_PER_TOKEN) + ask.tokens + ask.images * TOKENS_PER_IMAGE


def _extra(ask: Ask) -> int:
    # Recorded: 1 to 4 more in chat, about 20 more in Responses, none for embeddings.
    if ask.endpoint == "chat/completions":
        return min(4, 1 + ask.texts)
    return 20 if ask.endpoint == "responses" else 0 if ask.endpoint == "embeddings" else 1
