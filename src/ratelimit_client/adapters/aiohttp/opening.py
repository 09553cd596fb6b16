"""
The attempts of a stream, up to where a further one would say something twice.

Law of this file: until the first of the answer is there, a stream is a call like any
other: what fails is tried again as the policy says. From then on it is the consumer's,
with its place and its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

import attrs

from ...core.failure import FailureKind
from ...dialects.registry import AUTO
from ...dialects.streams import StreamReader, stream_dialect_of
from ...errors import StreamError, StreamTruncated
from ...runtime.answers import response_error
from ...runtime.attempts import Attempt
from ...runtime.desk import Told
from . import codec
from .answer import Answer
from .body import BadBody
from .events import Cut, EventBody, Failed
from .exchange import EXCERPT, Exchange
from .watchdog import Stalled

_WHOLE = frozenset({"application/json", "text/html", "application/xhtml+xml", "application/xml", "text/xml"})
# Sound, pictures and streams of another kind: to try again what brings them would only cost.
_OTHERS = ("audio/", "image/", "video/", "multipart/", "application/vnd.amazon.")
_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-seq"})
_NO_BODY = frozenset({204, 205})


@attrs.frozen(kw_only=True, repr=False)
class Opened:
    """
    An answer of events that has begun.

    Args:
        body: its events.
        attempt: holds its place.
        told: what the limiter was told by its head.
        status, headers: as the server sent them.
        name: the server's name for the call, or None.
    """

    body: EventBody
    attempt: Attempt
    told: Told
    status: int
    headers: Mapping[str, str]
    name: str | None


class Opening(Exchange[Opened]):
    """A call whose answer is wanted event by event."""

    __slots__ = ("_sent_s",)

    def _send(self, attempt: Attempt) -> Coroutine[Any, Any, Answer]:
        self._sent_s = asyncio.get_running_loop().time()
        return super()._send(attempt)

    async def _use(self, answer: Answer, attempt: Attempt) -> Opened:
        told = self._succeeded(answer, attempt)
        answer.secrets = self._secrets()
        name = answer.shown((told.signals.request_id or "").encode()).decode() or None
        if (problem := await _not_events(answer, name)) is not None:
            raise problem
        reader = StreamReader(
            stream_dialect_of(self._call.url.path),
            server=attempt.dialect or AUTO,
            url=str(self._call.url.origin()),
            decode=codec.decode_text,
            shown=answer.shown_text,
        )
        try:
            body = EventBody(answer, reader, self._wire.dog, attempt)
            await body.open()
        except Failed as failed:
            attempt.heard(failed.signals)
            error: Exception = response_error(failed.signals, failed.raw.encode())
        except BadBody as bad:
            error = broken(bad, answer.status, name, delivered=0)
        except (Cut, Stalled) as ended:
            error = broken(ended, answer.status, name, delivered=0, instead=body.instead)
        else:
            self._tally.began(asyncio.get_running_loop().time() - self._sent_s)
            body.answer = answer.hand_over()
            attempt.hold()
            return Opened(
                body=body, attempt=attempt, told=told, status=answer.status, headers=answer.headers, name=name
            )
        raise error


async def _not_events(answer: Answer, name: str | None) -> StreamError | None:
    """The error for an answer that says it is something else."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    text = kind in _WHOLE or kind in _LINES or kind.endswith("+json")
    if answer.status in _NO_BODY:
        kind = "no body"
    elif not text and not kind.startswith(_OTHERS):
        return None
    excerpt = (await answer.read())[: 4 * EXCERPT].decode("utf-8", "replace")[:EXCERPT] if text else ""
    return StreamError(
        f"the server answered {answer.status} with {kind:.100} and not with a stream of events: is the endpoint one "
        "that streams, and does the body ask for it? (Gemini wants alt=sse among the parameters)",
        status=answer.status,
        request_id=name,
        delivered=0,
        body_excerpt=excerpt,
        kind=FailureKind.OTHER,
    )


def broken(
    ended: Cut | Stalled | BadBody, status: int, name: str | None, *, delivered: int, instead: str = ""
) -> StreamTruncated:
    """The error for a stream that did not come to its end; *instead*: what came that is no event."""
    why = f"it stopped: {ended}" if isinstance(ended, Stalled) else str(ended)
    after = f"after {delivered} events" if delivered else "before anything of it was there"
    return StreamTruncated(
        f"the stream broke off {after}: {why}; it counts as no success",
        status=status,
        request_id=name,
        delivered=delivered,
        body_excerpt=instead[:EXCERPT],
        kind=FailureKind.TIMEOUT if isinstance(ended, Stalled) and ended.silent else FailureKind.INCOMPLETE,
    )
