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
    assert after(jitter, [60] * 15) == 250
    assert after(jitter, [60]) == 60


def test_never_less_than_fifty_milliseconds() -> None:
    """A connection that writes at once may stall at once, too."""
    assert after(ArrivalJitter(), [1] * 16) == 50


def test_a_stall_counts_at_once() -> None:
    """One late write is enough: what went out beside it was late as well."""
    jitter = ArrivalJitter()
    after(jitter, [30] * 16)

    assert after(jitter, [900]) == 900


def test_the_longest_counts() -> None:
    """One slow write of sixty-four is what another may be like."""
    assert after(ArrivalJitter(), [30] * 63 + [70]) == 70


def test_only_the_last_sixty_four_are_remembered() -> None:
    """A slow start is forgotten once sixty-four better ones have come."""
    jitter = ArrivalJitter()

    assert after(jitter, [800] * 64) == 800
    assert after(jitter, [60] * 48) == 800
    assert after(jitter, [60] * 16) == 60
