"""
Tokens counted with tiktoken, where a quarter of the characters is too rough.

    from ratelimit_client.adapters.tiktoken import counting

    client.counter = counting()

Law of this file: it counts texts; what a server makes of them is learnt elsewhere.

Theory. Most servers charge by characters, and the estimate learns how. A tokenizer is
worth its time (some milliseconds for a long prompt, in the event loop) where a server
charges true tokens and the texts are of many languages, or are code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from ..errors import ConfigurationError

_FALLBACK = "o200k_base"
_MODELS = 64


class Encoding(Protocol):
    """What is needed of a ``tiktoken.Encoding``."""

    def encode_ordinary(self, text: str, /) -> Sequence[int]:
        """The tokens of a text in which nothing is special."""


def counting(encoding: Encoding | None = None) -> Callable[[str, str], int]:
    """
    A ``counter`` for a client.

    Args:
        encoding: one for all models; by default that of each model as tiktoken knows
            it, the newest for those it does not know. Its first use may load a file
            from the network, as tiktoken does.

    Raises:
        ConfigurationError: tiktoken is not installed, and no *encoding* was given; of
            the counter: that file could not be loaded.
    """
    if encoding is not None:
        return lambda text, model: len(encoding.encode_ordinary(text))
    try:
        import tiktoken
    except ImportError:
        raise ConfigurationError("counting tokens needs tiktoken: pip install 'ratelimit-client[tokens]'") from None

    @lru_cache(_MODELS)
    def of_model(model: str) -> Encoding:
        known: Encoding
        try:
            try:
                known = tiktoken.encoding_for_model(model)
            except KeyError:
                known = tiktoken.get_encoding(_FALLBACK)
        except OSError as error:
            message = f"tiktoken cannot load its encoding for {model!r:.60}: {type(error).__name__}"
            raise ConfigurationError(f"{message}; give counting() one, or let it load once with a network") from error
        return known

    return lambda text, model: len(of_model(model).encode_ordinary(text))
