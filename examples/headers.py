"""
Read the headers of an answer without any client: ``dialects.read`` is a pure function.

    python examples/headers.py
"""

from __future__ import annotations

from ratelimit_client.dialects import read

HEADERS = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-remaining-requests": "4993",
    "x-ratelimit-reset-requests": "83ms",
    "x-ratelimit-limit-tokens": "450000",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "1m0s",
    "retry-after-ms": "740",
    "x-request-id": "req_0123456789",
}
BODY = """{"error": {"type": "tokens", "code": "rate_limit_exceeded", "param": null, "message":
"Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 450000, Used 450000, Requested 5500"
}}"""


def main() -> None:
    signals = read(429, HEADERS, BODY, dialect="openai")

    print(f"{signals.reason}: {signals.unit} are used up, again in {signals.retry_after_s} s ({signals.request_id})")
    for name, reading in signals.readings.items():
        print(f"{name}: {reading.remaining:.0f} of {reading.limit:.0f} left, full in {reading.reset_s} s")


if __name__ == "__main__":
    main()
