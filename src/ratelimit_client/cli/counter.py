"""
``--counter``: by what the tokens of a row are estimated.

Law of this file: what cannot be had is said before the first call. Later nothing
stops a run: a model whose own encoding cannot be loaded is counted by the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..errors import ConfigurationError
from .voice import Voice

CHARACTERS: Final = "characters"
TIKTOKEN: Final = "tiktoken"


def counter_of(options: Mapping[str, Any], voice: Voice) -> Callable[[str, str], int] | None:
    """
    Counts tokens of a text for a model; None where characters do.

    Raises:
        ConfigurationError: tiktoken is not installed, or its newest encoding cannot be loaded.
    """
    if options["counter"] == CHARACTERS:
        return None
    from ..adapters.tiktoken import counting

    count = counting()
    count("", "")
    lost: set[str] = set()

    def steady(text: str, model: str) -> int:
        if model not in lost:
            try:
                return count(text, model)
            except ConfigurationError as error:
                lost.add(model)
                voice.say(f"{error}. Until then its tokens are counted by the newest encoding", level="warning")
        return count(text, "")

    return steady
