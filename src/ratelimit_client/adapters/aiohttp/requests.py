"""
From what a caller types to a request that is ready.

Law of this file: nothing is awaited after it, and nothing can be wrong with a call that
leaves here but what the server finds: the body is bytes, names and values may be sent,
and it is known what it costs as far as its body shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ...core.cost import Cost
from ...core.estimate import Features
from ...core.retry import RetryPolicy
from ...dialects.features import Counter, features_of, features_of_form, model_of
from ...dialects.streams import stream_dialect_of
from ...errors import ConfigurationError
from . import codec
from .exchange import Call
from .headers import check, checked, merged
from .names import Names
from .payload import JSON, Content, Form, as_json, prepare
from .url import Base, Params

KeyOf = Callable[[str, int], str]
"""``key_of(model, tokens)``: *tokens* are those that were stated, or about those of the prompt."""

_METHOD = re.compile(r"[A-Z]{1,20}")
# Packed events would be held back until a block of them is full.
_EVENTS = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
_ASKED_IN_PATH = frozenset({"gemini"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Requests:
    """
    Makes the calls of one client.

    Args:
        base: where they go.
        standing: the headers of every request.
        policy: what they outlive; None for the limiter's own.
    """

    def __init__(self, base: Base, standing: Mapping[str, str], policy: RetryPolicy | None) -> None:
        self._base = base
        self._standing = dict(standing)
        self._policy = policy
        self._names = Names()
        self.counter: Counter | None = None
        """Counts tokens to estimate with, ``counter(text, model) -> int``. None: by characters."""
        self.key_of: KeyOf | None = None
        """The key of calls that name none, made of the model and the tokens they ask with. None: the model."""

    async def of(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Any = None,
        files: Any = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        cost: Cost | Mapping[str, int] | None = None,
        tokens: int | None = None,
        priority: int = 0,
        tenant: str | None = None,
        deadline: float | None = None,
        idempotency_key: str | None = None,
        streamed: bool = False,
    ) -> Call:
        """
        The call of ``Client.request``, whose arguments these are.

        Args:
            headers: their values are shy.
            streamed: the answer is wanted in events, and the body says so if that is where this API is told.
        """
        if streamed and type(json) is dict and "stream" not in json and _is_asked_in_body(path):
            json = {**json, "stream": True}
        alone = json is not None and data is None and files is None
        content = as_json(json) if alone else await prepare(json, data, files)
        stated = cost is not None or tokens is not None
        shown = json
        if isinstance(json, bytes) and (key is None or not stated):
            shown = _read(json)
        elif isinstance(content, Form):
            shown = content.fields
        features = None
        if not stated and content is not None:
            if alone:
                features = features_of(shown, path, self.counter)
            else:
                files = content.files if isinstance(content, Form) else ()
                features = features_of_form(shown, len(content.raw), path, files, self.counter)
        return self.call(
            method,
            path,
            content,
            params=params,
            headers=headers,
            idempotency_key=idempotency_key,
            key=self._default_key(model_of(shown), features, cost, tokens) if key is None else key,
            cost=Cost.of(cost, tokens=tokens) if stated else None,
            features=features,
            priority=priority,
            tenant=tenant,
            deadline_s=deadline,
            accept=_EVENTS if streamed else None,
        )

    def _default_key(
        self, model: str, features: Features | None, cost: Cost | Mapping[str, int] | None, tokens: int | None
    ) -> str:
        """Whose budget a call is charged to that names no key."""
        if self.key_of is None:
            return model
        if features is not None:
            return self.key_of(model, features.fixed + features.flat + (features.chars + features.aside) // 4)
        return self.key_of(model, Cost.of(cost, tokens=tokens).get("tokens", 0))

    def call(
        self,
        method: str,
        path: str,
        content: Content | None = None,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        accept: Mapping[str, str] | None = None,
        **rest: Any,
    ) -> Call:
        """What ``send`` takes: a request checked and ready. *rest* are the further fields of a ``Call``."""
        if method != "POST":
            method = method.upper()
            if not _METHOD.fullmatch(method):
                raise ConfigurationError(f"{method!r:.40} is no method of HTTP")

        name = self._names.fresh()
        complete = self._standing.copy()
        if accept is not None:
            complete.update(accept)
        if content is not None and (kind := content.content_type):
            if kind is not JSON:
                check("Content-Type", kind)
            complete["Content-Type"] = kind
        if method not in _SAFE:
            if idempotency_key is not None:
                check("Idempotency-Key", idempotency_key)
            complete["Idempotency-Key"] = idempotency_key or name
        own = checked(headers) if headers else None
        return Call(
            method=method,
            url=self._base.url(path, params),
            raw=None if content is None else content.raw,
            headers=merged(complete, own) if own else complete,
            name=name,
            own=own,
            policy=self._policy,
            **rest,
        )


def _is_asked_in_body(path: str) -> bool:
    dialect = stream_dialect_of(path)
    return dialect is not None and dialect.name not in _ASKED_IN_PATH


def _read(raw: bytes) -> Any:
    """The value of a body that came as bytes; what is no JSON shows nothing."""
    try:
        return codec.decode(raw)
    except codec.NotJson:
        return None
