"""
What a request asks of the limiter, read off the request.

Law of this file: a request is looked at and not changed; one that cannot be read asks for
one request of the key "default", as any call does of which nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..adapters.aiohttp import codec
from ..adapters.aiohttp.exchange import Call
from ..adapters.aiohttp.forwarder import Forwarder
from ..core.cost import Cost
from ..core.estimate import Features
from ..dialects.features import features_of, features_of_form, model_of
from .forms import form_of
from .steering import PREFIX, Steering

LONGEST_KEY = 128
MOST_KEYS = 4096
"""Of all that come later there is one: names cost memory, and whoever asks may make up any."""

OTHER = "other"
MOST_VALUES = 2**20
"""Of a body; no call to an API has so many, and to take them apart would hold up everybody else for seconds."""

_DEFAULT = "default"
_PLAIN = ("keep-alive", "close")
_MODEL_IN_PATH = re.compile(r"/(?:models|deployments)/([A-Za-z0-9._-]{1,128})(?=[:/])")


class Asking:
    """
    Makes the calls of one proxy.

    Args:
        forwarder: what they go through.
    """

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._keys: set[str] = set()

    def call(self, method: str, target: str, headers: Mapping[str, str], raw: bytes, steering: Steering) -> Call:
        """
        The call for a request that is all there.

        Raises:
            ConfigurationError: it leads elsewhere, or holds what may not be sent.
        """
        path = target.partition("?")[0]
        key, features = _seen(raw, path, headers)
        tokens = steering.tokens
        return self._forwarder.call(
            method,
            target,
            _to_go_on(headers),
            raw,
            key=self._known(steering.key or key),
            cost=None if tokens is None else Cost.of(tokens=tokens),
            features=features if tokens is None else None,
            priority=steering.priority,
            tenant=steering.tenant,
            deadline_s=steering.deadline_s,
        )

    def _known(self, key: str) -> str:
        if key not in self._keys:
            if len(self._keys) >= MOST_KEYS:
                return OTHER
            self._keys.add(key)
        return key


def _to_go_on(headers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """The headers that are for the server, less those that ``Connection`` says are not."""
    gone = named_by_connection(headers)
    return [
        (name, value)
        for name, value in headers.items()
        if not (lowered := name.lower()).startswith(PREFIX) and lowered not in gone
    ]


def named_by_connection(headers: Any) -> Collection[str]:
    """The headers that are about the connection because it says so; those that always are may be missing."""
    values = headers.getall("Connection", ())
    if not values or (len(values) == 1 and values[0].lower() in _PLAIN):
        return ()
    return {name.strip().lower() for value in values for name in value.split(",")}


def _seen(raw: bytes, path: str, headers: Mapping[str, str]) -> tuple[str, Features | None]:
    """The key by default, and what the body shows of its cost."""
    if not raw or headers.get("Content-Encoding"):
        return _in_path(path), None
    kind = headers.get("Content-Type", "")
    if raw[:1] in b"{[ \r\n\t" and "form" not in kind:
        if _is_crowded(raw):
            return _in_path(path), None
        body: Any = None
        try:
            body = codec.decode(raw)
        except codec.NotJson:
            return _in_path(path), None
        return _key_of(body, path), features_of(body, path)
    form = form_of(raw, kind)
    if form is None:
        return _in_path(path), None
    fields, files = form
    return _key_of(fields, path), features_of_form(fields, len(raw), path, files)


def _is_crowded(raw: bytes) -> bool:
    """Can the JSON in *raw* hold more values than may be taken apart?"""
    return len(raw) > MOST_VALUES and sum(map(raw.count, (b",", b"[", b"{"))) > MOST_VALUES


def _key_of(body: object, path: str) -> str:
    model = model_of(body, "")
    return model if 0 < len(model) <= LONGEST_KEY else _in_path(path)


def _in_path(path: str) -> str:
    """The model where the path names it, as Gemini's and Azure's do."""
    found = _MODEL_IN_PATH.search(path)
    return found[1] if found else _DEFAULT
