"""What a server says, made beforehand: the headers of answers, a stream, the body of an answer."""

from __future__ import annotations

import json
from typing import Final

_FIXED: Final = {
    "Date": "Thu, 01 Jan 2026 00:00:00 GMT",
    "Content-Type": "application/json",
    "Content-Length": "812",
    "Connection": "keep-alive",
    "access-control-expose-headers": "X-Request-ID",
    "openai-organization": "an-organization",
    "openai-processing-ms": "412",
    "openai-project": "proj_of_a_benchmark",
    "openai-version": "2020-10-01",
    "x-envoy-upstream-service-time": "431",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "2000000",
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
    "cf-cache-status": "DYNAMIC",
    "Server": "cloudflare",
    "CF-RAY": "8f0000000000aaaa-FRA",
    "alt-svc": 'h3=":443"; ma=86400',
    "Set-Cookie": "__cf_bm=a.b.c; path=/; HttpOnly; Secure",
    "Vary": "Accept-Encoding",
}
_SETS: Final = 64


def _answer_headers(number: int) -> dict[str, str]:
    """As number *number* of many calls sees them: what remains differs from one to the next."""
    return {
        **_FIXED,
        "x-ratelimit-remaining-requests": str(9_999 - number),
        "x-ratelimit-remaining-tokens": str(1_998_000 - 1_500 * number),
        "x-ratelimit-reset-requests": f"{6 + 6 * number}ms",
        "x-ratelimit-reset-tokens": f"{60 + 45 * number}ms",
        "x-request-id": f"req_{number:032x}",
    }


_ANSWERS: Final = [_answer_headers(number) for number in range(_SETS)]


def answer_headers(number: int) -> dict[str, str]:
    """25 headers, the same again after 64 answers."""
    return _ANSWERS[number % _SETS]


def _chunk(number: int) -> bytes:
    choice = {"index": 0, "delta": {"content": f" word{number}"}, "logprobs": None, "finish_reason": None}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _pieces(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


STREAM: Final = _pieces(b"".join(map(_chunk, range(59))) + b"data: [DONE]\n\n", 1400)

ANSWER: Final = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "An answer that says something. " * 12},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 30, "completion_tokens": 60, "total_tokens": 90},
    }
).encode()

QUESTION: Final = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say a number in words. " * 10}]}
