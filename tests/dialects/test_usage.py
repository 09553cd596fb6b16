"""What a JSON answer used, by its last bytes."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.dialects.usage import usage_at_end


@pytest.mark.parametrize(
    ("end", "usage"),
    [
        (b'{"choices":[],"usage":{"total_tokens":7}}', {"total_tokens": 7}),
        (b'le text"}],"usage" : \n {"total_tokens":7},"x":1}', {"total_tokens": 7}),
        (rb'{"text":"\"usage\": {\"total_tokens\": 1}","usage":{"total_tokens":7}}', {"total_tokens": 7}),
        (b'{"usage":{"total_tokens":1},"more":{"usage":{"total_tokens":7}}}', {"total_tokens": 7}),
        (b'{"usage":null}', None),
        (b'{"usage":{"total_tok', None),
        (b'\xff{"usage":\xff', None),
        (b'{"usage":' + b"[" * 100_000, None),
        (b"nothing of it", None),
        (b"", None),
    ],
)
def test_the_last_one_counts(end: bytes, usage: Any) -> None:
    """Wherever the text begins; what is quoted in an answer is none, and what is cut off is none."""
    assert usage_at_end(end) == usage
