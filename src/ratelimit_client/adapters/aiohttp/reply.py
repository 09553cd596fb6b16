"""
What a call brings back.

Law of this file: a reply is a success and is whole. Everything that could still
be missing was looked for before one is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ...core.signals import Reading, Signals
from ...errors import IncompleteResponse
from ...runtime.desk import Told
from . import codec


@attrs.define(eq=False, kw_only=True, repr=False)
class Reply:
    """
    A 2xx answer.

    Args:
        status: the HTTP status.
        headers: case-insensitive, as the server sent them.
        content: the body, decoded.
        data: the parsed JSON of the body, or None when it is something else.
        told: what the limiter was told by it.
        attempts: how often it was sent.
        queue_s: seconds it waited for its turn, all attempts.
        latency_s: seconds it was with the server, all attempts; None for a reply that no call brought.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    data: Any
    told: Told
    attempts: int
    queue_s: float
    latency_s: float | None = None

    @property
    def signals(self) -> Signals:
        """Everything its headers say about limits and about who answered."""
        return self.told.signals

    @property
    def text(self) -> str:
        """The body as text; what does not decode is replaced."""
        try:
            return self.content.decode(_charset(self.headers.get("Content-Type", "")), "replace")
        except (LookupError, ValueError):  # a charset Python does not know, or one that is no charset
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """
        The body as JSON, whatever its content type says.

        Raises:
            IncompleteResponse: it is none.
        """
        if self.data is not None:
            return self.data
        try:
            return codec.decode(self.content)
        except codec.NotJson as error:
            problem = f"the body of the answer is no JSON ({error})"
        raise IncompleteResponse(
            problem,
            status=self.status,
            request_id=self.request_id,
            body_excerpt=self.text[:1024],
            attempts=self.attempts,
        )

    @property
    def request_id(self) -> str | None:
        """The server's name for this call: log it, support asks for it."""
        # Nearly everybody writes it here, and it is asked for more often than all the rest.
        named = self.headers.get("x-request-id")
        return named if named and named == named.strip() else self.signals.request_id

    @property
    def organization(self) -> str | None:
        """The organization the call was counted for, as the server names it."""
        return self.signals.organization

    @property
    def project(self) -> str | None:
        """The project the call was counted for, as the server names it."""
        return self.signals.project

    @property
    def version(self) -> str | None:
        """The version of the API that answered."""
        return self.signals.version

    @property
    def processing_ms(self) -> float | None:
        """Milliseconds the server says it worked on the call."""
        seconds = self.signals.processing_s
        return None if seconds is None else round(seconds * 1000, 3)

    @property
    def rate_limits(self) -> dict[str, Reading]:
        """What the answer showed of each limit, by the server's own name for it."""
        return self.signals.readings

    @property
    def usage(self) -> Any:
        """The ``usage`` of the body, as the server wrote it, or None."""
        return self.data.get("usage") if isinstance(self.data, dict) else None

    def __repr__(self) -> str:
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        name = f" {self.request_id!r:.130}" if self.request_id else ""
        return f"<Reply {self.status}{name}: {len(self.content)} bytes, {tries}, {self.queue_s:.3f} s queued>"


def _charset(content_type: str) -> str:
    """The charset a content type names; UTF-8 when it names none."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip(" \"'")[:40] or "utf-8"
    return "utf-8"
