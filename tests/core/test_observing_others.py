"""What answers tell of others on the key, of the ramp and of prices."""

from __future__ import annotations

import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.events import Kind
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.signals import Reading, Signals
from ratelimit_client.core.units import NS as S
from tests.core.test_observing import answer, drive_of, refusal, shows, state_of, told

# -- others, and the ramp ------------------------------------------------------


def test_a_pace_is_cut_when_the_level_is_low() -> None:
    """While others spend, and what is left comes near to nothing, all of them slow down."""
    drive = drive_of()
    for number in range(30):
        answer(drive, Signals(200, readings=shows(590 - 5 * number)), at_s=number / 5)
    (line,) = state_of(drive).budget.lines["requests"]
    assert line.sharing.pace is not None
    before = line.sharing.pace.limit
    answer(drive, Signals(200, readings=shows(20)), at_s=20.0)

    assert line.sharing.pace.limit < before


def test_a_slice_is_shared_by_all_who_draw_on_its_bucket() -> None:
    """
    What others took of the bucket is taken of the slice, a refusal empties it and cuts the pace, and halves nothing.

    A server that has more than half of its limit left and refuses enforces less, whoever spent the rest.
    """
    drive = drive_of()
    answer(drive, refusal(unit="requests", readings=shows(400)))
    (line,) = state_of(drive).budget.lines["requests"]
    piece = line.lessons.slice
    assert piece is not None
    assert (piece.capacity, line.lessons.strangers) == (200, 0)

    for number in range(1, 31):
        answer(drive, Signals(200, readings=shows(400)), at_s=1 + number / 2)
    assert line.sharing.pace is not None
    held, before = piece.level(now_ns=drive.now_ns), line.sharing.pace.limit
    answer(drive, Signals(200, readings=shows(395)), at_s=17.2)
    assert piece.level(now_ns=drive.now_ns) <= held - 4, "of the dozen that flowed in others took all"

    answer(drive, refusal(unit="requests", readings=shows(395)), at_s=18.4)
    assert (line.lessons.slice, piece.capacity) == (piece, 200)
    assert piece.level(now_ns=drive.now_ns) <= 0
    assert line.sharing.pace.limit < before


@pytest.mark.parametrize(
    ("queued", "ended", "paced"), [(5, ("", "b"), False), (5, (), True), (5, ("b",), True), (500, ("", "b"), True)]
)
def test_a_pace_ends_with_the_input(queued: int, ended: tuple[str, ...], paced: bool) -> None:
    """Once nobody's input goes on, and the level is enough for all that wait, they need not share."""
    drive = drive_of()
    for number in range(30):
        answer(drive, Signals(200, readings=shows(590 - 5 * number)), at_s=number / 5)
    (line,) = state_of(drive).budget.lines["requests"]
    drive.to(6.0)
    goes = drive.ask()
    drive.ask(tenant="b")
    for _ in range(queued):
        drive.ask()
    for tenant in ended:
        drive.machine.end_of_input(tenant, now_ns=drive.now_ns)
    drive.end(goes, Signals(200, readings=shows(444)))

    assert (line.sharing.pace is not None) is paced


def test_only_buckets_that_calls_pay_in_and_that_show_their_level_are_paced() -> None:
    """A limit without remaining, and a dimension that is only shown, have no mark to go by."""
    drive = drive_of(per_minute(requests=6000, tokens=100_000))
    images = {"images": Reading(10, 5, window_s=60.0), "tokens": Reading(100_000, window_s=60.0)}
    for number in range(30):
        answer(drive, Signals(200, readings={**images, **shows(590 - 5 * number)}), at_s=number / 5)

    paced = {line.bucket.name for line in state_of(drive).budget.all_lines if line.sharing.pace is not None}
    assert paced == {"requests"}


def test_the_tightest_bucket_says_when_the_ramp_turns_gentle() -> None:
    """Ten calls a second and, at a thousand tokens each, five: three times five, for a latency of two seconds."""
    drive = drive_of(slots=1000)
    drive.to(1)
    ticket = drive.ask(tokens=1000)
    drive.to(3)
    both = {**shows(599), **shows(299_000, limit=300_000, unit="tokens")}
    drive.end(ticket, Signals(200, readings=both))
    assert state_of(drive).window.gentle_above == 3 * 5 * 2

    ticket = drive.ask()
    drive.to(4)
    drive.end(ticket, Signals(200, readings={**shows(599), **shows(299_000, limit=300_000, unit="tokens")}))
    assert state_of(drive).window.gentle_above == 3 * 10 * 1, "what a call does not pay does not bind it"


# -- estimates -----------------------------------------------------------------


def test_how_many_requests_were_refused_says_nothing_of_a_price() -> None:
    """ "Requested 1" is of requests here."""
    drive = drive_of()
    drive.machine.subscribe([Kind.ESTIMATED])
    answer(drive, refusal(unit="requests", limit=600, used=600, requested=1), features=Features(400))

    assert state_of(drive).estimator.ratio is None
    assert told(drive) == []


@pytest.mark.parametrize(("closed_s", "learns"), [(0, True), (10**6, False)])
def test_a_closed_bucket_teaches_no_price(closed_s: int, learns: bool) -> None:
    """What a hint closed is not what was predicted."""
    drive = drive_of()
    shown = shows(99_900, limit=100_000, unit="tokens")
    answer(drive, Signals(200, readings=shown), features=Features(400))
    drive.to(1)
    ticket = drive.ask(features=Features(400))
    state_of(drive).budget.by_unit["tokens"][0].gate_ns = closed_s * S
    drive.to(100)
    drive.end(ticket, Signals(200, readings=shown))

    assert (state_of(drive).estimator.evidences > 1) is learns


def test_a_refusal_that_names_tokens_without_a_number_teaches_no_price() -> None:
    """
    It says neither what was asked for nor what was charged.

    Held against a full bucket, the first call of a process that meets an empty one would have cost all of it.
    """
    drive = drive_of()
    shown = shows(0, limit=10_000, unit="tokens")
    answer(drive, refusal(unit="tokens", readings=shown), features=Features(400))
    assert state_of(drive).estimator.ratio is None

    answer(drive, Signals(200, readings=shows(9_900, limit=10_000, unit="tokens")), at_s=90.0, features=Features(400))
    assert state_of(drive).estimator.last[0] == 100


def test_a_lesson_nobody_asked_about_is_not_told() -> None:
    """The price moved; no event is kept for it."""
    drive = drive_of()
    answer(drive, refusal(unit="tokens", limit=10_000, used=9_900, requested=500), features=Features(400))

    assert state_of(drive).estimator.ratio is not None
    assert told(drive) == []


@pytest.mark.parametrize(("others", "learns"), [(0, True), (5, False)])
def test_while_others_spend_a_level_teaches_no_price(others: int, learns: bool) -> None:
    """Above a tenth of the refill what is missing may not have been ours."""
    drive = drive_of()
    left = 599
    for number in range(40):
        left = min(600, left + 5) - 1 - others
        both = {**shows(left), **shows(90_000 - 300 * number, limit=100_000, unit="tokens")}
        answer(drive, Signals(200, readings=both), at_s=1 + number / 2, features=Features(400))

    assert (state_of(drive).estimator.evidences > 30) is learns


# -- refusals that are read late -------------------------------------------------


def test_a_slice_is_emptied_as_of_when_the_server_looked_and_of_what_was_spent_since() -> None:
    """
    Said a quarter of a second after the grant at the latest, read three quarters later: 750 have flowed in since.

    Of these 500 belong to a call that was granted after the refused one.
    """
    drive = drive_of()
    full = shows(60_000, limit=60_000, unit="tokens")
    answer(drive, Signals(200, readings=full))
    answer(drive, refusal(unit="tokens", readings=full), tokens=3000)
    (line,) = state_of(drive).budget.lines["tokens"]
    piece = line.lessons.slice
    assert piece is not None
    piece.brim = 30_000 * 60 * S
    drive.to(40.0)
    refused, later = drive.ask(tokens=1000), drive.ask(tokens=500)
    assert (drive.when(refused), drive.when(later)) == (40.0, 40.0)

    drive.to(41.0)
    drive.end(refused, refusal(unit="tokens", readings=full), Ending.IGNORED)
    assert piece.level(now_ns=drive.now_ns) == 250
