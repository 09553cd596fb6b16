"""
Tokens counted with tiktoken, where a quarter of the characters is too rough.

    from ratelimit_client.adapters.tiktoken import counting

    client.counter = counting()

Law of this file: it counts texts; what a server makes of them is learnt elsewhere. It
ends within a time that is known, whatever the text is and whatever the network does.

Theory. Most servers charge by characters, and the estimate learns how. A tokenizer is
worth its time (some milliseconds for a long prompt, in the event loop) where a server
charges true tokens and the texts are of many languages, or are code.

tiktoken fetches the file of an encoding when it is first used and keeps it in
``TIKTOKEN_CACHE_DIR``, else in the folder for temporary files. It waits for the network
without end, so it is asked in a thread that may be left behind. And a text that is one
long run of spaces overflows its stack, so that texts are counted in pieces; a piece too
many makes one token more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import attrs

from ..errors import ConfigurationError

__all__ = ["Encoding", "counting"]

_FALLBACK: Final = "o200k_base"
_MODELS: Final = 64
_PIECE: Final = 20_000
_PATIENCE_S: Final = 60.0


class Encoding(Protocol):
    """What is needed of a ``tiktoken.Encoding``."""

    def encode_ordinary(self, text: str, /) -> Sequence[int]:
        """The tokens of a text in which nothing is special."""


def counting(encoding: Encoding | None = None, *, patience_s: float = _PATIENCE_S) -> Callable[[str, str], int]:
    """
    A ``counter`` for a client.

    Args:
        encoding: one for all models; by default that of each model as tiktoken knows
            it, the newest for those it does not know. Its first use may load a file
            from the network, as tiktoken does.
        patience_s: seconds such a file may take.

    Raises:
        ConfigurationError: tiktoken is not installed, and no *encoding* was given; of
            the counter: that file could not be loaded.
    """
    if encoding is not None:
        return lambda text, model: _count(encoding, text)
    try:
        import tiktoken
    except ImportError:
        raise ConfigurationError("counting tokens needs tiktoken: pip install 'ratelimit-client[tokens]'") from None
    encodings = _Encodings(tiktoken, patience_s)
    return lambda text, model: _count(encodings.of_model(model), text)


def _count(encoding: Encoding, text: str) -> int:
    if len(text) <= _PIECE:
        return len(encoding.encode_ordinary(text))
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    return sum(len(encoding.encode_ordinary(piece)) for piece in pieces)


@attrs.define(eq=False)
class _Encodings:
    """Those of models; names of models are remembered up to a bound, for they come from users."""

    library: Any
    patience_s: float
    _loaded: dict[str, Encoding] = attrs.field(factory=dict, init=False)
    _of_models: dict[str, Encoding] = attrs.field(factory=dict, init=False)

    def of_model(self, model: str) -> Encoding:
        found = self._of_models.get(model)
        if found is None:
            found = self._named(self._name(model), model)
            if len(self._of_models) < _MODELS:
                self._of_models[model] = found
        return found

    def _name(self, model: str) -> str:
        try:
            return str(self.library.encoding_name_for_model(model))
        except KeyError:
            return _FALLBACK

    def _named(self, name: str, model: str) -> Encoding:
        found = self._loaded.get(name)
        if found is None:
            found = self._loaded[name] = self._load(name, model)
        return found

    def _load(self, name: str, model: str) -> Encoding:
        got: list[Encoding] = []
        failed: list[Exception] = []

        def load() -> None:
            try:
                got.append(self.library.get_encoding(name))
            except Exception as error:  # noqa: BLE001  # what came of a file of others: told below, whatever it is
                failed.append(error)

        thread = threading.Thread(target=load, name="tiktoken", daemon=True)
        thread.start()
        thread.join(self.patience_s)
        if got:
            return got[0]
        why = type(failed[0]).__name__ if failed else f"nothing came within {self.patience_s:g} s"
        whom = f"{model!r:.60}" if model else "models it does not know"
        raise ConfigurationError(
            f"tiktoken cannot load its encoding {name} for {whom}: {why}; "
            "let it load once with a network, or set TIKTOKEN_CACHE_DIR to where its file is"
        ) from (failed[0] if failed else None)
