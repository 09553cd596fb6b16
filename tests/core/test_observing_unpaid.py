"""What answers show of a bucket in which their own call paid nothing."""

from __future__ import annotations

import pytest

from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.signals import Reading, Signals
from ratelimit_client.core.units import NS as S
from tests.core.test_observing import answer, drive_of, shows, state_of


def left(tokens: int) -> Signals:
    """A bucket of 200 000 a minute, as OpenAI shows it."""
    return Signals(200, readings={"tokens": Reading(200_000, tokens, (200_000 - tokens) * 60 / 200_000)})


def test_what_a_call_shows_of_a_bucket_in_which_it_pays_nothing_moves_no_level() -> None:
    """It has no mark there: the debits of all other calls would be taken for later than its answer."""
    drive = drive_of(slots=64)
    for number in range(30):
        answer(drive, left(191_000), tokens=9_000, at_s=60.0 * number)
    (bucket,) = state_of(drive).budget.by_unit["tokens"]
    before = bucket.level(now_ns=drive.now_ns)
    answer(drive, left(191_000), tokens=0, at_s=60.0 * 29 + 0.01)

    assert before == 191_000
    assert bucket.level(now_ns=drive.now_ns) == pytest.approx(191_000 + 0.01 * 200_000 / 60, abs=1)
    large = drive.ask(tokens=9_000)
    assert drive.when(large) == drive.now_ns / S


def test_where_nobody_pays_what_is_shown_is_all_there_is() -> None:
    """Calls that state no tokens live by what answers show of them."""
    drive = drive_of(per_minute(requests=1000), slots=64)
    for number in range(3):
        answer(drive, Signals(200, readings=shows(1000 - 300 * number, limit=1000, unit="tokens")), at_s=10.0 * number)
    (bucket,) = state_of(drive).budget.by_unit["tokens"]

    assert bucket.level(now_ns=drive.now_ns) == 400
