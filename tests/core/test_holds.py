"""What is set aside in a bucket: an escrow for one call, a tenth of the refill for a worse band."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.bucket import Bucket, Hold
from ratelimit_client.core.profile import Refill
from ratelimit_client.core.units import NS as S

HEAVY, OTHER = "heavy", "other"  # owners may be anything


def bucket(level: int = 0, *, limit: int = 100) -> Bucket:
    """A hundred a second."""
    one = Bucket.full("tokens", limit, S, pays="tokens", now_ns=0)
    one.credits = level * S
    return one


def ready_s(one: Bucket, amount: int, *, at_s: float = 0.0, owner: object = None, band: int = 0) -> float:
    return one.ready_at_ns(amount, owner=owner, band=band, now_ns=round(at_s * S)) / S


# -- the escrow -------------------------------------------------------------------


def test_half_of_the_refill_is_for_the_escrow() -> None:
    """The others have the other half, until it holds what its call costs; then they have it all again."""
    one = bucket()
    one.hold_for(HEAVY, 30, now_ns=0)

    assert ready_s(one, 20) == 0.4, "twenty of their own, and twenty set aside"
    assert ready_s(one, 30) == 0.6, "the escrow is full then"
    assert ready_s(one, 50) == 0.8, "fifty, and the thirty"
    assert ready_s(one, 30, owner=HEAVY) == 0.3, "the owner has it all"
    assert ready_s(one, 10, at_s=0.4) == 0.4, "forty are there, twenty of them set aside"


def test_what_was_there_before_is_nobodys() -> None:
    """Only what flows in is shared out."""
    one = bucket(40)
    one.hold_for(HEAVY, 90, now_ns=0)

    assert ready_s(one, 40) == 0.0
    assert ready_s(one, 41) == 0.02


def test_the_owner_takes_it_with_its_grant() -> None:
    """Whoever else draws leaves it alone."""
    one = bucket(50)
    one.hold_for(HEAVY, 90, now_ns=0)
    one.take(10, owner=OTHER, now_ns=0)
    assert one.holds_for(HEAVY)
    one.take(90, owner=HEAVY, now_ns=S)
    assert not one.holds_for(HEAVY)
    assert not one.special


def test_an_escrow_is_dropped_by_its_owner_only() -> None:
    """Another ticket that leaves changes nothing."""
    one = bucket()
    one.hold_for(HEAVY, 30, now_ns=0)
    one.drop_hold(OTHER)
    assert ready_s(one, 30) == 0.6
    one.drop_hold(HEAVY)
    assert ready_s(one, 30) == 0.3
    one.drop_hold(HEAVY)


def test_whoever_comes_before_takes_over_what_is_held() -> None:
    """As much of it as it needs."""
    for amount, held in ((80, 20), (15, 15)):
        one = bucket()
        one.hold_for(HEAVY, 50, now_ns=0)
        one.hold_for(OTHER, amount, now_ns=round(0.4 * S))
        assert one.escrow is not None
        assert one.escrow.at(one.refilled) == held * S
        assert one.holds_for(OTHER)


def test_no_more_is_held_than_the_bucket_holds() -> None:
    """An estimate above it goes when it is full."""
    one = bucket()
    one.hold_for(HEAVY, 500, now_ns=0)
    one.refresh(now_ns=10 * S)
    assert one.escrow is not None
    assert one.escrow.at(one.refilled) <= one.brim


# -- a full bucket ----------------------------------------------------------------


def test_a_full_bucket_serves_whoever_asks_first() -> None:
    """Nothing flows in any more, so what is held would never grow, and all would wait for ever."""
    one = bucket(50)
    one.hold_for(HEAVY, 90, now_ns=0)
    one.keep_for_bands({2: 20}, now_ns=0)
    assert ready_s(one, 80) == 0.5, "when it is full"
    assert ready_s(one, 80, at_s=0.5) == 0.5
    assert ready_s(one, 80, at_s=0.5, band=2) == 0.5
    assert ready_s(one, 80, at_s=0.5, owner=HEAVY) == 0.5


# -- bands ------------------------------------------------------------------------


def test_a_tenth_is_kept_for_each_worse_band() -> None:
    """Not for those as good or better; up to a second's refill, or what its first call costs."""
    one = bucket(limit=1000)
    one.keep_for_bands({1: 10, 2: 10}, now_ns=0)

    assert ready_s(one, 400) == 0.5, "four fifths of five hundred"
    assert ready_s(one, 450, band=1) == 0.5, "nine tenths"
    assert ready_s(one, 500, band=2) == 0.5, "all of it"


def test_a_band_that_drew_has_to_save_again() -> None:
    """What was kept is spent first; more than that was everybody's."""
    one = bucket(limit=1000)
    one.keep_for_bands({1: 10}, now_ns=0)
    one.refresh(now_ns=S // 2)
    assert ready_s(one, 450, at_s=0.5) == 0.5
    assert ready_s(one, 451, at_s=0.5) == pytest.approx(0.5 + 1 / 900)

    one.take(30, band=1, now_ns=S // 2)
    assert ready_s(one, 450, at_s=0.5) == 0.5, "thirty fewer are there, and thirty fewer are kept"
    one.take(30, band=1, now_ns=S // 2)
    assert ready_s(one, 441, at_s=0.5) == pytest.approx(0.5 + 1 / 900), "only twenty more were kept"


def test_a_band_keeps_what_its_first_call_costs_at_most() -> None:
    """Once it has that, the better ones have the whole refill."""
    one = bucket(limit=10)
    one.keep_for_bands({1: 2}, now_ns=0)
    assert one.bands is not None
    assert one.bands[1].cap == 10 * S, "a second's refill at least"
    one = Bucket.full("tokens", 100, 60 * S, pays="tokens", now_ns=0)
    one.keep_for_bands({1: 50}, now_ns=0)
    assert one.bands is not None
    assert one.bands[1].cap == 50 * 60 * S
    one.keep_for_bands({1: 20}, now_ns=0)
    assert one.bands[1].cap == 20 * 60 * S, "another call is first now"


def test_bands_that_wait_no_longer_keep_nothing() -> None:
    """One of two, then the other; what the remaining one had stays its own."""
    one = bucket(limit=1000)
    one.keep_for_bands({1: 10, 2: 10}, now_ns=0)
    one.keep_for_bands({2: 10}, now_ns=S // 2)
    assert one.bands is not None
    assert {band: hold.at(one.refilled) for band, hold in one.bands.items()} == {2: 50 * S}
    one.keep_for_bands({}, now_ns=S // 2)
    assert one.bands is None
    assert not one.special


def test_each_band_has_one_speaker() -> None:
    """Of several keys that share a bucket, whoever named a band first speaks for it, and nobody else unsays it."""
    one = bucket(limit=1000)
    one.keep_for_bands({1: 10}, owner="a", now_ns=0)
    one.keep_for_bands({1: 500, 2: 10}, owner="b", now_ns=0)
    assert one.bands is not None
    assert {band: hold.owner for band, hold in one.bands.items()} == {1: "a", 2: "b"}
    one.keep_for_bands({}, owner="b", now_ns=0)
    assert one.bands.keys() == {1}  # type: ignore[union-attr]


def test_while_a_better_call_has_the_escrow_a_band_has_its_tenth_and_no_more() -> None:
    """What flows beside the holds is the better one's; from a full bucket it may take, for nothing flows there."""
    one = bucket(limit=1000)
    one.keep_for_bands({1: 100}, now_ns=0)
    one.hold_for(HEAVY, 900, band=0, now_ns=0)

    assert ready_s(one, 50, band=1) == 0.5, "a tenth of five hundred"
    assert ready_s(one, 50, band=0) == 0.125, "a call of the better band has what is beside the holds"
    assert ready_s(one, 50, band=1, owner=HEAVY) == 0.05
    one.credits = one.brim
    assert ready_s(one, 50, band=1) == 0.0


def test_the_tenth_of_a_window_comes_with_its_step() -> None:
    """Nothing flows between; at the step a tenth of what came is the band's."""
    one = Bucket.full("requests", 100, 3600 * S, pays="requests", refill=Refill.WINDOW, now_ns=0)
    one.take(100, now_ns=0)
    one.keep_for_bands({1: 5}, now_ns=0)
    one.hold_for(HEAVY, 50, band=0, now_ns=0)
    assert ready_s(one, 5, band=1) == 3600.0
    assert ready_s(one, 5, band=1, at_s=3620) == 3620.0
    assert ready_s(one, 60, at_s=3620) == 3620.0, "it is full: whoever asks first"
    one.take(10, now_ns=3620 * S)
    assert ready_s(one, 35, at_s=3620) == 3620.0
    assert ready_s(one, 60, at_s=3620) == 7200.0, "fifty are held for the other, five for the band"


# -- exact ------------------------------------------------------------------------

holds = st.lists(
    st.tuples(st.integers(1, 1000), st.integers(0, 3 * S), st.booleans()), max_size=3, unique_by=lambda hold: hold[0]
)


@given(limit=st.integers(1, 1000), level=st.integers(-500, 1000), holds=holds, amount=st.integers(0, 1000))
def test_the_promised_instant_is_exact_whatever_is_held(
    limit: int, level: int, holds: list[tuple[int, int, bool]], amount: int
) -> None:
    """Then it is ready, and not before, but for the two credits or so that whole numbers cost with every hold."""
    one = Bucket.full("tokens", limit, S, pays="tokens", now_ns=0)
    one.credits = min(one.brim, level * S)
    for number, (cost, held, escrow) in enumerate(holds):
        cap = min(one.brim, cost * S)
        hold = Hold(number, 1, 2 if escrow else 10, cap, min(held, cap), 0)
        if escrow:
            one.escrow = hold
        else:
            one.bands = {**(one.bands or {}), 1 + number: hold}
    one.note_special()
    ready_ns = one.ready_at_ns(amount, now_ns=0)

    assert one.ready_at_ns(amount, now_ns=ready_ns) == ready_ns
    early = 2 + 2 * len(holds)
    if ready_ns > early:
        again = Bucket.full("tokens", limit, S, pays="tokens", now_ns=0)
        again.credits, again.escrow, again.bands = min(again.brim, level * S), one.escrow, one.bands
        again.note_special()
        assert again.ready_at_ns(amount, now_ns=ready_ns - early) > ready_ns - early
