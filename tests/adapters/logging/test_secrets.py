"""A server that quotes the key finds it in no record; the canary reads every one, its fields, too."""

from __future__ import annotations

import contextlib
import logging

import pytest

from ratelimit_client import Client, ResponseError
from ratelimit_client.adapters.logging import LoggingInstrument
from tests import canary
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.adapters.aiohttp.running import CHAT, QUICK, in_virtual_time

QUOTES = {"x_request_id": canary.KEY, "openai_organization": canary.KEY}
LIMITS = {"x_ratelimit_limit_requests": "100", "x_ratelimit_remaining_requests": "99"}
REFUSED = {"retry_after_ms": "20", "x_ratelimit_remaining_requests": "0"}


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_a_quoted_key_is_in_no_record(level: int, caplog: pytest.LogCaptureFixture) -> None:
    """Of a refusal, of a success that shows limits for the first time, and of an error; in whatever they have of it."""
    body = f'{{"error": {{"message": "wrong key {canary.KEY}", "code": "{canary.KEY}"}}}}'.encode()
    answers = [
        [answer(body, status="429 Too Many Requests", **QUOTES, **REFUSED)],
        [answer(b"{}", **QUOTES, **LIMITS)],
        [answer(body, status="503 Service Unavailable", **QUOTES)],
        [answer(body, status="401 Unauthorized", **QUOTES)],
    ]

    async def story() -> None:
        async with RawServer(*answers) as server, Client(server.url, api_key=canary.KEY, retry=QUICK) as client:
            client.limiter.add_instrument(LoggingInstrument(level=level))
            for _ in range(2):
                with contextlib.suppress(ResponseError):
                    await client.post("/chat/completions", json=CHAT)

    with caplog.at_level(logging.DEBUG):
        in_virtual_time(story)
    told = {vars(record)["event"] for record in caplog.records if record.name == "ratelimit_client.events"}
    assert told >= {"limit_changed", "refused", "erred"}
    for record in caplog.records:
        canary.clean(repr(vars(record)), "a record")
