"""How far calls overtake each other."""

from __future__ import annotations

from ratelimit_client.core.jitter import ArrivalJitter
from ratelimit_client.core.units import NS as S

MS = S // 1000


def after(jitter: ArrivalJitter, delays_ms: list[int]) -> int:
    """What is used, in milliseconds, once these delays were seen."""
    for delay_ms in delays_ms:
        jitter.add(delay_ms * MS)
    return jitter.ns // MS


def test_a_quarter_of_a_second_until_it_was_measured() -> None:
    """Fifteen samples are no measurement; the sixteenth makes it one."""
    jitter = ArrivalJitter()

    assert after(jitter, []) == 250
    assert after(jitter, [40] * 15) == 250
    assert after(jitter, [40]) == 40


def test_never_less_than_twenty_milliseconds() -> None:
    """A connection that writes at once may stall at once, too."""
    jitter = ArrivalJitter()
    after(jitter, [1] * 16)

    assert jitter.ns == 20 * MS


def test_it_is_the_95th_percentile() -> None:
    """Of sixty-four the sixty-first counts: three slow ones are the exception, four are the rule."""
    three, four = ArrivalJitter(), ArrivalJitter()

    assert after(three, [30] * 61 + [900] * 3) == 30
    assert after(four, [30] * 60 + [900] * 4) == 900


def test_the_order_of_the_samples_does_not_matter() -> None:
    """What is slow counts the same whether it came first or last."""
    assert after(ArrivalJitter(), list(range(100, 164))) == after(ArrivalJitter(), list(range(163, 99, -1))) == 160


def test_only_the_last_sixty_four_are_remembered() -> None:
    """A slow start is forgotten once sixty-four better ones have come."""
    jitter = ArrivalJitter()

    assert after(jitter, [800] * 64) == 800
    assert after(jitter, [50] * 48) == 800
    assert after(jitter, [50] * 16) == 50
    # Of these eighty four were slow; of the last sixty-four only three.
    assert after(ArrivalJitter(), [30] * 15 + [800] + [30] * 61 + [800] * 3) == 30
