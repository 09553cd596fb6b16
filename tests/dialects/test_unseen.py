"""Answers that were collected after the tables were written: each is understood."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.signals import Signals
from ratelimit_client.dialects import names, read
from tests.dialects.samples import SAMPLES, UNSEEN
from tests.dialects.test_samples import agrees, ways

CONCLUSIONS = [(sample, key) for sample in UNSEEN for key in sample.expect]


def concluded(signals: Signals, key: str) -> Any:
    """What was read, by the data's word for it."""
    match key:
        case "ok":
            return signals.reason.value == "ok"
        case "reason":
            return signals.reason.value
        case "dim":
            return signals.unit
    return getattr(signals, key)


@pytest.mark.parametrize(("sample", "key"), CONCLUSIONS, ids=str)
def test_each_conclusion_holds(sample, key):
    """By the sender's name, by where the request went, and by the answer alone."""
    wanted = sample.expect[key]
    for signals in ways(sample):
        if key != "dims":
            assert agrees(concluded(signals, key), wanted)
            continue
        assert signals.readings.keys() == wanted.keys()
        for name, fields in wanted.items():
            for field, value in fields.items():
                assert agrees(getattr(signals.readings[name], field), value), (name, field)


@pytest.mark.parametrize("sample", UNSEEN, ids=str)
def test_reading_never_raises(sample):
    """In any dialect, whatever the status says of them."""
    for name in names():
        for status in (sample.status, 200, 500):
            assert read(status, sample.headers, sample.body, dialect=name).status == status


def test_none_of_them_was_seen_before():
    """No answer stands in both files, and none stands twice."""
    seen = [repr((sample.status, sample.headers, sample.body)) for sample in (*SAMPLES, *UNSEEN)]
    assert not {repr((s.status, s.headers, s.body)) for s in UNSEEN} & set(seen[: len(SAMPLES)])
    assert len({sample.source for sample in UNSEEN}) == len(UNSEEN)
