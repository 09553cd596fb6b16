from __future__ import annotations

from typing import Any

import attrs
import pytest

from ratelimit_client import per_minute
from ratelimit_client.dialects import read
from ratelimit_client.testing import Answer, Faults, ModelServer, Ramp, RefusalText, exactly, sliced

S = 1_000_000_000


def answers() -> dict[str, Answer]:
    """One of each kind."""

    def last(count: int, tokens: int = 10, **options: Any) -> Answer:
        server = ModelServer(per_minute(requests=7, tokens=1000), charge=exactly, latency=1.5, **options)
        return [server.request(tokens=tokens, now_ns=index * S // 3) for index in range(count)][-1]

    return {
        "success": last(3),
        "refused by requests": last(12),
        "refused by tokens": last(3, tokens=450),
        "refused by a slice": last(2, enforcement=sliced(10)),
        "refused without headers": last(12, headers=False),
        "refused with headers and no text": last(12, refusal_text=RefusalText.PLAIN),
        "too large": last(1, tokens=1001),
        "no money": last(1, quota_after=0),
        "unknown model": last(1, models=["other"]),
        "server error": last(1, faults=Faults(server_error=1.0)),
        "overloaded": last(1, faults=Faults(overloaded=1.0)),
        "slow down": last(1, faults=Faults(slow_down=1.0)),
        "grew too fast": last(3, ramp=Ramp(floor=20)),
    }


@pytest.mark.parametrize("kind", answers())
def test_signals_are_what_a_reader_reads(kind: str) -> None:
    """The short cut for simulations says the same as the OpenAI dialect says of headers and body."""
    answer = answers()[kind]
    read_ = read(answer.status, answer.headers, answer.body, dialect="openai")
    ours = answer.signals

    # Not in the short cut: words for people, and windows that are inferred from the numbers.
    for name in ("status", "reason", "retryable", "retry_after_s", "unit", "limit", "used", "requested", "slow_down"):
        assert getattr(ours, name) == getattr(read_, name), name
    for name in ("request_id", "organization", "project", "version", "processing_s"):
        assert getattr(ours, name) == getattr(read_, name), name
    assert ours.readings == {name: attrs.evolve(each, window_s=None) for name, each in read_.readings.items()}
    assert not read_.low_confidence


def test_an_answer_is_written_once() -> None:
    """Headers and body are made on first use and stay what they are."""
    answer = ModelServer(per_minute(requests=3)).request(now_ns=0)

    assert answer.headers is answer.headers
    assert answer.body is answer.body
    assert answer.wait_s is None
