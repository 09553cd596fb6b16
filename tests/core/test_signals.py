"""What a server said, as facts."""

from __future__ import annotations

import attrs
import pytest

from ratelimit_client.core.signals import Reading, Reason, Signals


def test_an_answer_that_says_nothing_is_an_ordinary_success() -> None:
    """Whatever a dialect does not fill in is unknown, and an answer is fine until it says otherwise."""
    signals = Signals(200)

    assert signals.reason is Reason.OK
    assert signals.readings == {}
    told = {
        field.name: getattr(signals, field.name)
        for field in attrs.fields(Signals)
        if getattr(signals, field.name) not in (None, {}, ())
    }
    no = dict.fromkeys(("low_confidence", "slow_down", "wait_grows"), False)
    assert told == {"status": 200, "reason": "ok", **no}


def test_two_answers_share_no_readings() -> None:
    """A dialect that fills the readings of one answer leaves those of all others empty."""
    first, second = Signals(200), Signals(200)
    first.readings["requests"] = Reading(60, 59)

    assert second.readings == {}


def test_what_was_said_cannot_be_changed() -> None:
    """Signals and readings are facts: a second thought is a new object."""
    signals, reading = Signals(429), Reading(60, 0, 1.0)

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        signals.status = 200  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        reading.remaining = 60  # type: ignore[misc]
    assert attrs.evolve(reading, remaining=60) == Reading(60, 60, 1.0)


def test_a_reason_reads_as_a_word() -> None:
    """Logs and metrics print the reason as it is; no two share a word."""
    assert f"{Reason.RATE_LIMITED}" == "rate_limited"
    assert len({str(reason) for reason in Reason}) == len(Reason) == 9
