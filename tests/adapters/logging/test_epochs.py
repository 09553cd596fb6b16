"""What many calls meet together."""

from __future__ import annotations

import pytest

from ratelimit_client.adapters.logging.epochs import Epochs
from ratelimit_client.core.events import Event, Kind
from ratelimit_client.core.units import NS as S


def refused(at: int, sent: int, key: str = "m", **facts: object) -> Event:
    return Event(Kind.REFUSED, at, key, {"sent_ns": sent, **facts})


def test_calls_that_were_on_their_way_tell_nothing_new() -> None:
    """One that was sent later does, and says how many were silent."""
    epochs = Epochs()
    ledger = [(10, 1, 0), (11, 5, None), (12, 10, None), (20, 11, 2), (21, 12, None), (40, 30, 1), (90, 80, 0)]
    assert [epochs.told_before(refused(at, sent)) for at, sent, _ in ledger] == [told for *_, told in ledger]


def test_another_limit_or_key_or_error_is_another_matter() -> None:
    """Each has its own epoch."""
    epochs = Epochs()
    different = [
        refused(10, 1),
        refused(10, 1, unit="tokens"),
        refused(10, 1, key="other"),
        *(Event(Kind.ERRED, 10, "m", {"sent_ns": 1, "reason": reason}) for reason in ("overloaded", "auth")),
        *(Event(Kind.FAILED, 10, "m", {"sent_ns": 1, "failure": failure}) for failure in ("timeout", "connection")),
    ]
    assert [epochs.told_before(event) for event in different] == [0] * 7
    assert [epochs.told_before(event) for event in different] == [None] * 7


def test_deadlines_that_pass_in_the_queue_are_told_each_ten_seconds() -> None:
    """Nothing was sent by which one could tell them apart."""
    epochs = Epochs()
    ledger = [(0, 0), (9 * S, None), (10 * S, 1), (30 * S, 0)]
    events = [Event(Kind.EXPIRED, at, "m", {"error": "DeadlineExpiredInQueue"}) for at, _ in ledger]
    assert [epochs.told_before(event) for event in events] == [told for _, told in ledger]


@pytest.mark.parametrize("kind", [Kind.OUTAGE, Kind.RECOVERED, Kind.LIMIT_CHANGED, Kind.GRANTED])
def test_what_happens_once_is_told_each_time(kind: Kind) -> None:
    """It has its own memory of what was."""
    epochs = Epochs()
    assert [epochs.told_before(Event(kind, 5, "m", {})) for _ in range(3)] == [0, 0, 0]


def test_names_without_end_are_not_remembered_without_end() -> None:
    """A thousand and twenty-four; of those that were heard of last none is forgotten."""
    epochs = Epochs()
    for number in range(3000):
        epochs.told_before(refused(10, 1, key=f"m{number}"))
    assert epochs.told_before(refused(11, 1, key="m2999")) is None
    assert epochs.told_before(refused(11, 1, key="m0")) == 0
    assert len(epochs._epochs) == 1024
