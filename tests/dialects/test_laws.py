"""
The two laws by which servers count, on every recorded answer.

The bucket law: ``remaining = floor(exact)`` and ``reset = (limit - exact) x window / limit``, cut
to milliseconds. The wait law: ``wait = (used + requested - limit) x window / limit``. What an
answer shows must fit the window that was read off it, and no other usual window may fit.
"""

from __future__ import annotations

import math

import pytest

from ratelimit_client.core.signals import Reading
from ratelimit_client.core.windows import USUAL_WINDOWS_NS
from ratelimit_client.dialects import read
from ratelimit_client.dialects.texts import read_text
from tests.dialects.samples import SAMPLES, Sample

MS_S = 0.001
MORE_THAN_ALL = 178
"""The answer of April 2023 that shows 419 left of 200, and its reset as a bare number: it is before the law."""
A_TENTH_LATE = 72
"""Groq's refusal of 2024 whose wait is 0.1 s longer than its numbers say."""


def by_bucket(sample: Sample) -> dict[str, Reading]:
    """The readings of a sample of a continuous bucket that show limit, remaining and reset."""
    shown = read(sample.status, sample.headers, dialect=sample.provider).readings
    return {name: r for name, r in shown.items() if None not in (r.limit, r.remaining, r.reset_s)}


BUCKETS = [
    (sample, name, reading)
    for sample in SAMPLES
    if sample.provider in ("openai", "groq") and sample.evidence != "docs" and sample.number != MORE_THAN_ALL
    for name, reading in by_bucket(sample).items()
]


@pytest.mark.parametrize(("sample", "name", "reading"), BUCKETS, ids=lambda v: str(v) if isinstance(v, Sample) else "")
def test_the_bucket_law(sample, name, reading):
    """What is used, by the level and by the time to full, differs by less than a unit and a millisecond."""
    window_s = reading.window_s or 60.0
    used_by_level = reading.limit - reading.remaining
    used_by_time = reading.reset_s * reading.limit / window_s
    a_millisecond = MS_S * reading.limit / window_s
    if reading.remaining == 0:
        assert used_by_time >= used_by_level - 1  # an overdraft shows only in the time
    else:
        assert -1e-6 * reading.limit <= used_by_level - used_by_time < 1 + a_millisecond


@pytest.mark.parametrize(("sample", "name", "reading"), BUCKETS, ids=lambda v: str(v) if isinstance(v, Sample) else "")
def test_a_window_is_read_off_or_left_open(sample, name, reading):
    """A minute, a day or 30 days where one alone fits; nothing where several do."""
    if sample.provider == "openai" and reading.window_s is not None:
        assert reading.window_s in (60.0, 86_400.0, 2_592_000.0)
    if reading.reset_s == 0 or reading.limit == reading.remaining:
        assert sample.provider != "openai" or reading.window_s is None


def test_the_samples_hold_all_three_windows_and_open_ones():
    """Else the laws above would be about little."""
    windows = {reading.window_s for sample, _, reading in BUCKETS if sample.provider == "openai"}
    assert {60.0, 86_400.0, None} <= windows
    assert len(BUCKETS) > 140


def told(sample: Sample) -> str:
    signals = read(sample.status, {}, sample.body, dialect=sample.dialect)
    return signals.message or ""


WAITS = [
    (sample, facts)
    for sample in SAMPLES
    for facts in [read_text(told(sample))]
    if None not in (facts.wait_s, facts.limit, facts.used, facts.requested) and not facts.never_fits
]


@pytest.mark.parametrize(("sample", "facts"), WAITS, ids=lambda v: str(v) if isinstance(v, Sample) else "")
def test_the_wait_law(sample, facts):
    """The sentence's own numbers give its wait, cut to a millisecond, for the window that was read off them."""
    assert facts.window_s is not None
    wait_s = (facts.used + facts.requested - facts.limit) * facts.window_s / facts.limit
    late_s = 0.2 if sample.number == A_TENTH_LATE else 1e-9
    assert wait_s - MS_S - 1e-9 <= facts.wait_s <= wait_s + late_s


@pytest.mark.parametrize(("sample", "facts"), WAITS, ids=lambda v: str(v) if isinstance(v, Sample) else "")
def test_no_other_window_fits(sample, facts):
    """So a label that contradicts the numbers is not believed."""
    missing = facts.used + facts.requested - facts.limit
    waits_s = {w / 1e9: missing * w / 1e9 / facts.limit for w in USUAL_WINDOWS_NS}
    assert [w for w, wait_s in waits_s.items() if math.isclose(wait_s, facts.wait_s, rel_tol=0.05)] == [facts.window_s]


@pytest.mark.parametrize("number", [MORE_THAN_ALL, A_TENTH_LATE])
def test_the_exceptions_are_what_they_are_called(number):
    """One has more left than its limit, the other waits a tenth too long."""
    sample = SAMPLES[number - 1]
    text = str(sample.headers if number == MORE_THAN_ALL else sample.body)
    assert ("419" if number == MORE_THAN_ALL else "1m47.5854s") in text


def test_there_are_enough_waits():
    """Of both vendors that write the sentence."""
    assert len(WAITS) >= 10
    assert {sample.provider for sample, _ in WAITS} >= {"openai", "groq"}
