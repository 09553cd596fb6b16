"""From a library's response to the error and its sentence."""

from __future__ import annotations

import asyncio

import pytest

from ratelimit_client import (
    AuthenticationFailed,
    ModelNotFound,
    Overloaded,
    QuotaExhausted,
    Reason,
    RequestTooLarge,
    ResponseError,
    Signals,
    Throttled,
)
from ratelimit_client.runtime.answers import (
    ERROR_BODY_S,
    MAX_ERROR_BODY,
    error_body,
    looks_like_response,
    response_error,
    sentence,
    status_of,
)
from tests.runtime.servers import AiohttpLike, HttpxLike, HttpxStreaming
from tests.runtime.torture import virtual


@pytest.mark.parametrize(
    ("make", "length"),
    [
        (lambda: AiohttpLike(500, body=b"abc"), 3),
        (lambda: AiohttpLike(500, body=b"x" * 200_000), MAX_ERROR_BODY),
        (lambda: AiohttpLike(500, body=b""), 0),
        (lambda: HttpxLike(500, body=b"abc"), 3),
        (lambda: HttpxLike(500, body=b"x" * 200_000), MAX_ERROR_BODY),
        (lambda: HttpxStreaming(500, body=b"x" * 2500), 2500),
        (lambda: HttpxStreaming(500), MAX_ERROR_BODY),
    ],
)
def test_at_most_64_kib_of_an_error_are_read(make, length: int) -> None:  # type: ignore[no-untyped-def]
    """Whole if it is short, cut if it is long, and an endless one is not read to its end."""

    async def main() -> None:
        response = make()
        assert len(await error_body(response)) == length
        if isinstance(response, AiohttpLike):
            assert response.content.read_bytes <= MAX_ERROR_BODY + 1000

    virtual(main)


def test_a_body_in_text_and_a_body_that_is_read_in_line() -> None:
    """Libraries whose read() is no coroutine, or gives text, are read too."""

    class Sync:
        def read(self) -> str:
            return "grün"

    async def main() -> None:
        assert await error_body(Sync()) == "grün".encode()

    virtual(main)


def test_a_body_that_breaks_or_never_comes_costs_only_its_text() -> None:
    """What arrived stays; a reading that fails or hangs ends in time; a cancellation passes through."""

    class Broken(HttpxLike):
        async def aread(self) -> bytes:
            raise ConnectionResetError

    class Hanging(HttpxLike):
        async def aread(self) -> bytes:
            await asyncio.sleep(1e6)
            return b""

    async def main() -> None:
        assert await error_body(Broken(500)) == b""
        began = asyncio.get_running_loop().time()
        assert await error_body(Hanging(500)) == b""
        assert asyncio.get_running_loop().time() - began == pytest.approx(ERROR_BODY_S)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await error_body(Hanging(500))

    virtual(main)


def test_the_status_goes_by_two_names() -> None:
    """And what has neither is no response."""
    assert (status_of(AiohttpLike(418)), status_of(HttpxLike(419))) == (418, 419)
    with pytest.raises(TypeError, match=r"neither \.status nor \.status_code"):
        status_of("200")
    assert looks_like_response(HttpxLike(200))
    assert not looks_like_response({"status": 200})


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.RATE_LIMITED, Throttled),
        (Reason.OVERLOADED, Overloaded),
        (Reason.QUOTA_EXHAUSTED, QuotaExhausted),
        (Reason.TOO_LARGE, RequestTooLarge),
        (Reason.AUTH, AuthenticationFailed),
        (Reason.MODEL_NOT_FOUND, ModelNotFound),
        (Reason.CLIENT_ERROR, ResponseError),
        (Reason.SERVER_ERROR, ResponseError),
    ],
)
def test_each_reason_has_its_error(reason: Reason, kind: type[ResponseError]) -> None:
    """With the fields a program reads."""
    signals = Signals(status=418, reason=reason, request_id="req_1")
    error = response_error(signals, b"\xff tea" + b"x" * 5000)

    assert type(error) is kind
    assert (error.status, error.reason, error.request_id, error.signals) == (418, reason.value, "req_1", signals)
    assert error.body_excerpt.startswith("\ufffd tea")
    assert len(error.body_excerpt) <= 1024


def test_the_sentence_says_what_happened_and_what_to_do() -> None:
    """The number, whose limit, how often, why it ends, what to do; a server's words on one line and not too many."""
    signals = Signals(
        status=429,
        reason=Reason.QUOTA_EXHAUSTED,
        unit="tokens",
        retry_after_s=7.5,
        message="You\r\nhave \x1b[31m" + "no " * 500,
        request_id="req\n1",
    )
    text = sentence(signals, attempts=3, waited_s=12.34, because="not tried again: because")

    assert text.startswith("the server answered 429 (quota exhausted): You have ?[31m")
    for part in ("limit named: tokens", "wait 7.5 s", "3 attempts", "12.3 s", "because", "billing", "request id req 1"):
        assert part in text
    assert "\n" not in text
    assert len(text) < 700
