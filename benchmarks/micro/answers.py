"""
The answers that are read: 25 headers each, as the OpenAI API sends them through its network.

Of a hundred that follow each other the limits stay, what remains of them moves, and the name of the call is new
each time.
"""

from __future__ import annotations

ANSWERS = 100


def headers(number: int) -> dict[str, str]:
    """Of the answer of that number."""
    left = 10_000 - number % 60
    return {
        "Date": f"Thu, 26 Nov 2026 10:20:{number % 60:02} GMT",
        "Content-Type": "application/json",
        "Transfer-Encoding": "chunked",
        "Connection": "keep-alive",
        "access-control-expose-headers": "X-Request-ID",
        "openai-organization": "an-organization",
        "openai-processing-ms": str(300 + 7 * number % 400),
        "openai-project": "proj_of_a_benchmark",
        "openai-version": "2020-10-01",
        "x-envoy-upstream-service-time": str(302 + 7 * number % 400),
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": "30000000",
        "x-ratelimit-remaining-requests": str(left),
        "x-ratelimit-remaining-tokens": str(30_000_000 - 1500 * (10_000 - left)),
        "x-ratelimit-reset-requests": f"{6 * (10_000 - left)}ms",
        "x-ratelimit-reset-tokens": f"{3 * (10_000 - left)}ms",
        "x-request-id": f"req_{number:032x}",
        "x-openai-proxy-wasm": "v0.1",
        "cf-cache-status": "DYNAMIC",
        "Set-Cookie": f"__cf_bm={number:040x}; path=/; HttpOnly; Secure; SameSite=None",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
        "X-Content-Type-Options": "nosniff",
        "Server": "cloudflare",
        "CF-RAY": f"{number:016x}-FRA",
        "alt-svc": 'h3=":443"; ma=86400',
    }


HEADERS = [headers(number) for number in range(ANSWERS)]
