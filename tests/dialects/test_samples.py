"""Every recorded answer: read without an exception, and understood."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.dialects import names, read
from tests.dialects.samples import SAMPLES, Sample

BARE_429 = "https://github.com/Guitaricet/howto/issues/2"
TRIO = "draft-ietf-httpapi-ratelimit-headers-01..03"
ZERO = "Azure gpt-image-1 issue"
TEN_SECONDS = "clemenssiebler.com (Azure OpenAI rate limits blog)"

MISTAKEN = {
    (BARE_429, "retryable"): "a bare 429 is the ordinary refusal of its time: it may be tried again",
    (ZERO, "retry_after_s"): "a hint of 0 is no hint, and no hint is None here, as the meaning of this line says too",
    (TRIO, "dims"): "a limit without a name is that of requests",
    (TEN_SECONDS, "dims"): "that 19 are left of 20 in ten seconds is known of the deployment, not from the answer",
}
"""(source, key): why what the data concludes is not what this library concludes."""

CORRECTED = {
    TRIO: lambda dims: {"requests": dims["default"]},
    TEN_SECONDS: lambda dims: {**dims, "requests": {"remaining": 19, "window_s": None}},
}

SHOWN_BESIDES = {"cohere": {"requests-month"}, "mistral": {"tokens-month"}}
"""Dimensions that stand in an answer's headers, and of which the data's conclusions do not speak."""

ONLY_BY_NAME = {"xai", "groq", "azure"}
"""Vendors some of whose answers hold no sign of them: who does not say their name learns less from these."""

SEEN = [sample for sample in SAMPLES if sample.expect]
KEYS = ("retry_after_s", "retryable", "should_retry", "limit", "used", "requested", "window_s", "scope")
CONCLUSIONS = [(sample, key) for sample in SEEN for key in KEYS if key in sample.expect]


def close(found: float | None, wanted: float) -> bool:
    return found is not None and math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9)


def agrees(found: Any, wanted: Any) -> bool:
    if wanted is None or isinstance(wanted, bool | str):
        return bool(found is wanted or (found == wanted and isinstance(wanted, str)))
    return close(found, wanted)


def ways(sample: Sample) -> list[Signals]:
    """The answer, read by its sender's name, by where the request went, and by the answer alone."""
    found = [read(sample.status, sample.headers, sample.body, dialect=sample.dialect)]
    if sample.url is not None:
        found.append(read(sample.status, sample.headers, sample.body, url=sample.url))
    if sample.provider not in ONLY_BY_NAME:
        found.append(read(sample.status, sample.headers, sample.body))
    return found


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
    dims = CORRECTED.get(sample.source, dict)(sample.expect["dims"])
    for signals in ways(sample):
        assert signals.readings.keys() - (SHOWN_BESIDES.get(sample.provider, set()) - dims.keys()) == dims.keys()
        for name, fields in dims.items():
            for field in ("limit", "remaining", "reset_s", "window_s"):
                if field in fields:
                    assert agrees(getattr(signals.readings[name], field), fields[field]), (name, field)


@pytest.mark.parametrize(("sample", "key"), CONCLUSIONS, ids=str)
def test_conclusions(sample, key):
    """How long to wait, whether to try again, and the numbers of the sentence."""
    for signals in ways(sample):
        right = (sample.source, key) not in MISTAKEN
        assert agrees(getattr(signals, key), sample.expect[key]) is right


@pytest.mark.parametrize("sample", [s for s in SEEN if "ok" in s.expect or "dim" in s.expect], ids=str)
def test_what_it_is_about(sample):
    """Success or not, and the dimension that a refusal names."""
    for signals in ways(sample):
        if "ok" in sample.expect:
            assert (signals.reason is Reason.OK) is sample.expect["ok"]
        if "dim" in sample.expect:
            assert signals.unit == sample.expect["dim"]


def test_no_mistake_is_listed_in_vain():
    """Each departure from the data has exactly one line of the data."""
    for source, key in MISTAKEN:
        assert len([sample for sample in SAMPLES if sample.source == source and key in sample.expect]) == 1
