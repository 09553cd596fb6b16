"""
Calls that are somebody else's: the answer goes on to him, as it came.

Law of this file: what the server sent is handed on byte for byte, its errors included, and
nothing is changed but what our own key stood in. What is tried again is what the policy
says, as long as nothing of an answer was handed on.

Theory. The head of a success is handed on at once and the body piece by piece, so there
is nothing to try again from then on; its place in flight and its connection are held until
the body has ended, whichever way: exhausted, broken, or left by whoever it was for. Of an
error the beginning is read, because it says why, and kept: if the policy gives up, it is
the answer.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING
from multidict import CIMultiDict

from ...core.failure import FailureKind
from ...errors import ResponseError, StreamTruncated
from ...runtime.answers import MAX_ERROR_BODY, response_error
from ...runtime.attempts import Attempt
from .answer import Answer
from .body import BadBody, Kept
from .bystander import Bystander, bystander_of
from .exchange import Exchange, _elsewhere, incomplete
from .headers import SHORTEST_KEY
from .watchdog import Stalled, Watchdog

# What an error says of itself comes with its head, or never.
_LONGEST_ERROR_S = 5.0
_NAME = "X-Client-Request-Id"
_NO_LAST_EVENT = "it ended without its last event"
# So short a key is a word such as "EMPTY".
_MASKED_WHOLE = "..."


class Broken(Exception):
    """The body ended early; the text says why."""


class Forwarded:
    """
    An answer on its way.

    Attributes:
        status, headers: as the server sent them.
        first: the beginning of its body, or all of it.
        attempts: how often the call was sent. queue_s: seconds it waited, all attempts.
        gave_up: it is an error that was tried again for as long as the policy allows.
        named: the attempt was named by us, so that its name in the answer tells nobody anything.
        bystander: has read along.
    """

    def __init__(self, status: int, headers: Mapping[str, str], first: bytes, body: Body | None = None) -> None:
        self.status = status
        self.headers = headers
        self.first = first
        self.attempts = 1
        self.queue_s = 0.0
        self.gave_up = self.named = False
        self.bystander = Bystander() if body is None else body.bystander
        self._body = body
        self._over: Callable[[str], object] | None = None

    def __repr__(self) -> str:
        return f"<Forwarded {self.status}, {len(self.first)} bytes{', more to come' if self._body else ''}>"

    @property
    def whole(self) -> bool:
        """``first`` is all of it."""
        return self._body is None

    async def piece(self) -> bytes:
        """
        The next bytes of the body; none when it has ended.

        Raises:
            Broken: it ended early.
        """
        return b"" if self._body is None else await self._body.next()

    def until(self, over: Callable[[str], object]) -> None:
        """Call *over* with the outcome once it has ended."""
        self._over = over

    def close(self, error: BaseException | None = None) -> None:
        """Nobody takes more of it: its place and its connection are free. Idempotent."""
        body, over = self._body, self._over
        self._over = None
        if body is not None:
            body.close()
        if over is not None:
            read = self.bystander
            if self.status >= 400 or isinstance(error, Broken) or read.failed or not read.whole:
                over("error")
            else:
                over("success" if body is None or body.ended else "cancelled")


class Body:
    """
    The body of an answer, piece by piece.

    Args:
        answer: whose it is; it is closed here.
        dog: looks for silence.
        attempt: holds the place; None when it is free already.
        bystander: reads along.
    """

    def __init__(self, answer: Answer, dog: Watchdog, attempt: Attempt | None, bystander: Bystander) -> None:
        self._answer = answer
        self._dog = dog
        self._attempt = attempt
        self._content = answer.lend(dog)
        self.bystander = bystander
        self.ended = False
        """Its last byte was taken."""
        self._closed = False  # and then the connection may carry another answer already

    async def next(self) -> bytes:
        """The next bytes; none when it has ended."""
        content, error = self._content, None
        self._dog.watch(self)
        try:
            piece = b""
            while not piece and not content.at_eof():
                # readany() would go on waiting after an error that came together with the end of a chunk.
                piece = (await content.readchunk())[0]
            if piece and content.exception() is None:
                piece += content.read_nowait()  # what came with it
        except Stalled as stalled:
            error = Broken(f"it stopped: {stalled}")
        except asyncio.CancelledError as stop:
            stop.__traceback__ = stop.__context__ = None  # the frames below hold aiohttp's locals
            raise
        except Exception as problem:  # noqa: BLE001 - every way for a body to break ends here, and none may leave as it is
            # aiohttp tells of the end before what came before it; that it keeps what came is no promise of its.
            piece = content._read_nowait(-1)
            if not piece:
                error = Broken(f"it was cut short ({type(problem).__name__})")
        finally:
            self._dog.leave(self)
        if error is not None:
            self._finish(error)
            raise error
        if piece:
            self.bystander.take(piece)
        else:
            self._end()
        return piece

    def _end(self) -> None:
        bystander, attempt = self.bystander, self._attempt
        self.ended = True
        bystander.end()
        if attempt is not None and bystander.tokens is not None:
            attempt.settle(tokens=bystander.tokens)
        self._finish(None if bystander.whole else Broken(_NO_LAST_EVENT))

    def _finish(self, error: Broken | None) -> None:
        """First the place is free, then the connection."""
        if self._closed:
            return
        self._closed = True
        if self._attempt is not None:
            self._attempt.finish(None if error is None else _truncated(error))
        self._answer.close()

    def close(self) -> None:
        """Give back what it holds. Idempotent."""
        self._finish(None)

    # -- watched ------------------------------------------------------------------

    def moved(self) -> int:
        """A number that changes with every byte."""
        return self._content.total_bytes

    def alive(self) -> bool:
        """Can more come, or has the end been told?"""
        return self._content.is_eof() or self._answer.connected()

    def stop(self, error: Stalled) -> None:
        """Whoever waits for more gets *error*."""
        self._content.set_exception(error)


class Forwarding(Exchange[Forwarded]):
    """
    A call whose answer is handed on.

    Attributes:
        last: the last answer that was no success, with the error it was told as.
    """

    __slots__ = ("_failed", "last")

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.last: Forwarded | None = None
        self._failed: ResponseError | None = None

    async def attempt(self, attempt: Attempt) -> Forwarded | None:
        """As of ``Exchange``; what it raises holds no frame in which it stands itself, and so no request."""
        try:
            return await super().attempt(attempt)
        except Exception as error:
            error.__traceback__ = None
            raise

    def answer_of(self, error: ResponseError) -> Forwarded | None:
        """The answer that *error* tells of; None when it is not that of an answer."""
        last, failed = self.last, self._failed
        self.last = self._failed = None
        if last is None or error is not failed:
            return None
        last.attempts, last.queue_s = error.attempts, error.waited_s
        last.named = _NAME not in self._call.headers
        last.gave_up = error.signals is not None and error.signals.retryable is True
        return last

    def drop(self) -> None:
        """The last answer is not wanted."""
        last = self.last
        self.last = self._failed = None  # whose traceback leads back to here
        if last is not None:
            last.close()

    def _send(self, attempt: Attempt) -> Any:
        self.drop()
        call = self._call
        if _NAME not in call.headers:
            return super()._send(attempt)
        # Whoever the call is for has named it.
        self._sent += 1
        self._key = self._credentials.key
        return self._wire.send(
            call.method, call.url, call.headers, call.raw, fresh=self._stale, written=attempt.written
        )

    async def _use(self, answer: Answer, attempt: Attempt) -> Forwarded:
        self._succeeded(answer, attempt)
        url = self._call.url
        bystander = bystander_of(answer, url.path, str(url.origin()), attempt.dialect, attempt.heard, attempt.wall_s)
        content = answer.lend(self._wire.dog)
        if content.exception() is not None:  # it broke together with its head, and nobody has seen anything of it
            answer.drop()
            raise incomplete(BadBody("it was cut short"), answer.status, None)
        if content.is_eof():
            raw = content.read_nowait()
            forwarded = Forwarded(answer.status, answer.headers, raw)
            forwarded.bystander = bystander
            bystander.take(raw)
            bystander.end()
            if bystander.tokens is not None:
                attempt.settle(tokens=bystander.tokens)
            if not bystander.whole:
                attempt.finish(_truncated(Broken(_NO_LAST_EVENT)))
        else:
            body = Body(answer.hand_over(), self._wire.dog, attempt, bystander)
            forwarded = Forwarded(answer.status, answer.headers, b"", body)
            attempt.hold()
        forwarded.attempts, forwarded.queue_s = attempt.number, attempt.queue_s
        forwarded.named = _NAME not in self._call.headers
        return forwarded

    async def _refused(self, answer: Answer, attempt: Attempt) -> None:
        if answer.status == 401 and not self._renewed and await self._credentials.renew(self._key):
            self._renewed = True
            self._why = "auth"
            return
        status = answer.status
        if status < 200:
            answer.drop()
            raise _elsewhere(answer, attempt.observe(status, answer.headers))
        # A copy: the answer that is handed on may close the line, and this one must not then.
        taken = answer.hand_over()
        body = Body(taken, self._wire.dog, None, Bystander())
        raw = b""
        try:
            raw = await _beginning(body)
        finally:
            # Also when cancelled while reading: the head of the answer is a fact already.
            shown = _decoded(taken, raw)
            self.last = self._kept(taken, raw, shown, body)
            # What the limiter is told goes into the errors of others.
            told = copy.copy(taken)
            told.hide(self._secrets())
            signals = attempt.observe(status, told.headers, told.shown(shown) or None)
        self._failed = response_error(signals) if status >= 400 else _told_of(taken, signals)
        raise self._failed

    def _secrets(self) -> list[bytes]:
        own = self._call.own or {}
        in_query = [value.encode() for name, value in own.items() if name[0] == "?" and len(value) >= SHORTEST_KEY]
        return [*super()._secrets(), *in_query]

    def _kept(self, answer: Answer, raw: bytes, shown: bytes, body: Body) -> Forwarded:
        """The answer to hand on, unless the policy wants another; without our own key, should the server quote it."""
        headers, more, key = answer.headers, None if body.ended else body, self._key
        if key is None or str(key) == _MASKED_WHOLE:
            return Forwarded(answer.status, headers, raw, more)
        clean = key.scrub(shown.decode("latin-1")).encode("latin-1")
        scrubbed = CIMultiDict((name, key.scrub(value)) for name, value in headers.items())
        if clean == shown:
            return Forwarded(answer.status, scrubbed, raw, more)
        body.close()  # what of it is still to come may quote it again
        scrubbed.popall(CONTENT_ENCODING, None)
        scrubbed.popall(TRANSFER_ENCODING, None)
        scrubbed[CONTENT_LENGTH] = str(len(clean))
        return Forwarded(answer.status, scrubbed, clean)


async def _beginning(body: Body) -> bytes:
    """The first of an error's body, as far as it comes soon."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_LONGEST_ERROR_S):
            while size < MAX_ERROR_BODY and (piece := await body.next()):
                parts.append(piece)
                size += len(piece)
    except (TimeoutError, Broken):
        pass  # what is missing is told to whoever reads on
    return b"".join(parts)


def _decoded(answer: Answer, raw: bytes) -> bytes:
    try:
        kept = Kept(answer.headers.get(CONTENT_ENCODING, ""), MAX_ERROR_BODY)
        kept.add(raw)
    except BadBody as bad:
        return bad.read
    return kept.sofar()


def _told_of(answer: Answer, signals: Any) -> ResponseError:
    error = _elsewhere(answer, signals)
    assert isinstance(error, ResponseError)
    return error


def _truncated(error: Broken) -> StreamTruncated:
    return StreamTruncated(f"the answer broke off: {error}", kind=FailureKind.INCOMPLETE)
