"""What a run is doing, in words."""

from __future__ import annotations

from collections import Counter

import pytest

from ratelimit_client.cli.activity import Recent, Tone, outage, retrying, waiting
from ratelimit_client.core.statistics import Explanation, KeyStatistics, Mode


def wait(seconds: float | None, binding: str | None) -> Explanation:
    return Explanation(False, seconds, binding, 0, "")


def key(queued: int, in_flight: int) -> KeyStatistics:
    return KeyStatistics(queued, 0.0, in_flight, 10, {}, 0, 0, None, Mode.STEADY)


@pytest.mark.parametrize(
    ("for_s", "wait_s", "retries", "busy", "words"),
    [
        (None, None, {}, 1, "no answer from the server, probing"),
        (5.2, 2.0, {"connection": 3}, 1, "no answer from the server for 5 s, probing again in 2 s"),
        (5.2, 0.4, {}, 1, "no answer from the server for 5 s, probing"),
        (725.0, 61.0, {"overloaded": 3}, 1, "only errors from the server for 12 min 05 s, probing again in 61 s"),
        (None, 3.0, {}, 4, "no answer from the server (1 of 4 models), probing again in 3 s"),
    ],
)
def test_an_outage_says_how_long_and_when_it_asks_again(
    for_s: float | None, wait_s: float | None, retries: dict[str, int], busy: int, words: str
) -> None:
    """
    And whether the others go on.
    """
    waits = {"m": wait(wait_s, "outage"), "n": wait(0.5, "requests")}
    state = outage(for_s, waits, Counter(retries), 1, busy)

    assert (state.words, state.tone, state.goes_on) == (words, Tone.TROUBLE, busy > 1)


@pytest.mark.parametrize(
    ("retries", "ended", "words"),
    [
        ({}, 0, None),
        ({"server_error": 2}, 0, None),
        ({"rate_limited": 100, "server_error": 1}, 0, None),
        ({"server_error": 9}, 500, None),
        ({"server_error": 10}, 500, "trying again: 10 server errors in the last minute"),
        ({"server_error": 3}, 0, "trying again: 3 server errors in the last minute"),
        (
            {"connection": 1, "server_error": 1200, "timeout": 4},
            0,
            "trying again: 1 200 server errors, 4 answers that did not come in the last minute",
        ),
        ({"connection": 1, "other": 2}, 0, "trying again: 2 other, 1 lost connection in the last minute"),
    ],
)
def test_calls_made_again_say_why(retries: dict[str, int], ended: int, words: str | None) -> None:
    """
    Refusals by a limit are no trouble, nor are a few of anything, or one among fifty rows that end well.
    """
    state = retrying(Recent(retries=Counter(retries), ended=ended))

    assert (state and state.words) == words


@pytest.mark.parametrize(
    ("waits", "busy", "words"),
    [
        ([wait(34.2, "requests")], [key(41, 0)], "waiting 34 s: the limit is used up"),
        ([wait(34.2, "hint")], [key(41, 0)], "waiting 34 s: the server asked for it"),
        ([wait(34.2, "requests"), wait(7.0, "hint")], [key(4, 0), key(4, 0)], "waiting 7 s: the server asked for it"),
        ([wait(0.6, "requests")], [key(41, 0)], None),
        ([wait(34.2, "requests")], [key(41, 1)], None),
        ([wait(34.2, "requests"), wait(None, "slots")], [key(4, 0), key(4, 0)], None),
        ([], [key(0, 1)], None),
        ([], [], None),
    ],
)
def test_a_wait_says_for_how_long(waits: list[Explanation], busy: list[KeyStatistics], words: str | None) -> None:
    """
    When all there is to do is wait, for a second or more.
    """
    state = waiting(dict(zip("abc", waits, strict=False)), dict(zip("abc", busy, strict=False)))

    assert (state and state.words) == words
    assert state is None or state.tone is Tone.WAITING
