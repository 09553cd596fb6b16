"""
A value that can be used and cannot be seen.

Law of this file: whatever prints, formats, logs, copies or serialises a Secret
gets ``sk-...abcd`` at most. The value leaves through :meth:`Secret.reveal` alone,
which is easy to search for; call it in the last frame before the wire and keep
what it returns in no attribute and no long-lived local.

A copy or a pickle of a Secret holds the mask and no value: a job file, a worker
process or a crash report that got hold of one got nothing.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, NoReturn

from ..errors import ConfigurationError

_SALT = os.urandom(32)
"""Fingerprints are of no use to another process: nobody can try out keys on one that got away."""

_SHOWN_FROM = 16
"""Shorter values are masked whole: seven characters of fifteen would be half of the key."""


class Secret:
    """
    An API key, kept out of sight.

    >>> Secret("sk-proj-0123456789abcdef")
    Secret('sk-...cdef')

    Args:
        value: the secret itself; white space around it is dropped, because a key
            read from a file ends in a newline.

    Raises:
        ConfigurationError: it is empty, or holds characters that no header may
            hold. The message does not show it.
    """

    __slots__ = ("_mask", "_value")

    def __init__(self, value: str) -> None:
        # First, because a traceback may ask an unfinished one for its repr.
        self._value: str | None = None
        self._mask = "..."
        stripped = value.strip()
        complaint = _complaint(stripped)
        if complaint is not None:
            value = stripped = ""  # a traceback that shows locals shows these
            raise ConfigurationError(complaint)
        self._value = stripped
        self._mask = mask(stripped)

    def reveal(self) -> str:
        """
        The value itself.

        Raises:
            ConfigurationError: this is a copy, which never holds it.
        """
        if self._value is None:
            message = (
                f"this is a copy of the secret {self._mask}, and copies hold no value: "
                "give the key to the process that uses it"
            )
            raise ConfigurationError(message)
        return self._value

    def scrub(self, text: str) -> str:
        """*text* with the mask wherever the value stood."""
        return text if self._value is None else text.replace(self._value, self._mask)

    def __repr__(self) -> str:
        return f"Secret({self._mask!r})"

    def __str__(self) -> str:
        return self._mask

    def __format__(self, spec: str) -> str:
        return format(self._mask, spec)

    def __eq__(self, other: object) -> bool:
        """Equal to a Secret of the same value; compared in constant time."""
        if not isinstance(other, Secret):
            return NotImplemented
        if self._value is None or other._value is None:
            return self._value is other._value and self._mask == other._mask
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> tuple[Any, ...]:
        return _masked, (self._mask,)

    def __copy__(self) -> Secret:
        return _masked(self._mask)

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return _masked(self._mask)

    def __iter__(self) -> NoReturn:
        raise TypeError("a Secret is not read piece by piece; call reveal()")


def mask(value: str) -> str:
    """What may be shown of a secret: where it is from and how it ends, or less."""
    if len(value) < _SHOWN_FROM:
        return "..."
    prefix = value[:3] if value[2] in "-_" else ""
    return f"{prefix}...{value[-4:]}"


class Fingerprint(bytes):
    """What stands for credentials where only their being the same matters; it is not shown, either."""

    __slots__ = ()

    @classmethod
    def of(cls, values: Iterable[Secret | str]) -> Fingerprint:
        """Of all *values*, in their order."""
        digest = blake2b(key=_SALT, digest_size=16)
        for value in values:
            text = value.reveal() if isinstance(value, Secret) else value
            digest.update(blake2b(text.encode(), key=_SALT).digest())
        return cls(digest.digest())

    def __repr__(self) -> str:
        return "<Fingerprint>"

    __str__ = __repr__

    def __reduce__(self) -> tuple[type[bytes], tuple[()]]:
        return bytes, ()


def _complaint(value: str) -> str | None:
    """What is wrong with a key, in words that do not show it."""
    if not value:
        return "the API key is empty; give one, or None for none"
    if not (value.isascii() and value.isprintable()):
        return (
            f"the API key ({len(value)} characters) holds a line break, a control character or a character "
            "outside ASCII, which no header may carry; check how it was copied"
        )
    return None


def _masked(shown: str) -> Secret:
    """A Secret without its value, as a copy or an unpickled one is."""
    secret = Secret.__new__(Secret)
    secret._value = None
    secret._mask = shown
    return secret
