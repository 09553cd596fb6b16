"""Every recorded answer: read without an exception, and understood."""

from __future__ import annotations

import json
import math

import pytest

from ratelimit_client.core.signals import Reason
from ratelimit_client.dialects import names, read
from tests.dialects.samples import SAMPLES

MISTAKEN = {
    (
        "https://github.com/Guitaricet/howto/issues/2",
        "retryable",
    ): "a bare 429 is the ordinary refusal of its time: it may be tried again",
    ("draft-ietf-httpapi-ratelimit-headers-01..03", "dims"): "a limit without a name is that of requests",
}
"""(source, key): why what the data concludes is not what this library concludes."""

SEEN = [sample for sample in SAMPLES if sample.expect]
KEYS = ("retry_after_s", "retryable", "should_retry", "limit", "used", "requested", "window_s")
CONCLUSIONS = [(sample, key) for sample in SEEN for key in KEYS if key in sample.expect]


def close(found: float | None, wanted: float) -> bool:
    return found is not None and math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_reading_never_raises(sample):
    """In any dialect, from any form of the body, the answer is read."""
    bodies = [sample.body, json.dumps(sample.body), json.dumps(sample.body).encode()[: 40 + sample.number]]
    for name in names():
        for body in bodies:
            assert read(sample.status, sample.headers, body, dialect=name).status == sample.status


@pytest.mark.parametrize("sample", [s for s in SEEN if "dims" in s.expect], ids=str)
def test_dimensions(sample):
    """Limit, remaining, reset and window of each, and no others."""
    readings = read(sample.status, sample.headers, sample.body).readings
    dims = sample.expect["dims"]
    if (sample.source, "dims") in MISTAKEN:
        dims = {"requests": dims["default"]}
    assert readings.keys() == dims.keys()
    for name, fields in dims.items():
        for field in ("limit", "remaining", "reset_s", "window_s"):
            if field in fields:
                assert close(getattr(readings[name], field), fields[field]), (name, field)


@pytest.mark.parametrize(("sample", "key"), CONCLUSIONS, ids=str)
def test_conclusions(sample, key):
    """How long to wait, whether to try again, and the numbers of the sentence."""
    found, wanted = getattr(read(sample.status, sample.headers, sample.body), key), sample.expect[key]
    if (sample.source, key) in MISTAKEN:
        assert found != wanted
    elif isinstance(wanted, bool) or wanted is None:
        assert found is wanted
    else:
        assert close(found, wanted)


@pytest.mark.parametrize("sample", [s for s in SEEN if "ok" in s.expect or "dim" in s.expect], ids=str)
def test_what_it_is_about(sample):
    """Success or not, and the dimension that a refusal names."""
    signals = read(sample.status, sample.headers, sample.body)
    if "ok" in sample.expect:
        assert (signals.reason is Reason.OK) is sample.expect["ok"]
    if "dim" in sample.expect:
        assert signals.unit == sample.expect["dim"]


def test_no_mistake_is_listed_in_vain():
    """Each departure from the data has exactly one line of the data."""
    for source, key in MISTAKEN:
        assert len([sample for sample in SAMPLES if sample.source == source and key in sample.expect]) == 1
