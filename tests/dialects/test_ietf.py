"""The IETF fields of all drafts."""

from __future__ import annotations

import pytest

from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import lookup, read
from ratelimit_client.dialects.ietf import Fields


def fields(policy: str | None = None, limit: str | None = None) -> Fields:
    found = Fields()
    if policy is not None:
        found.policy(policy)
    if limit is not None:
        found.limit(limit)
    return found


@pytest.mark.parametrize(
    ("policy", "limit", "levels", "doubtful"),
    [
        ('"b";q=100;w=60,"d";q=1000;w=86400', '"x";r=50;t=30;pk=:QUJD:', None, False),
        (None, '"a";r=5;t=1, "a";r=2;t=9', {"a": {"remaining": 2.0, "reset_s": 1.0}}, False),
        (None, "quota;t=1", {"quota": {"reset_s": 1.0}}, True),
        (None, "quota;r=-1;t=?1", {}, True),
        ('"fixed window";"api";q=1000;w=300', '"api";r=999;t=295', {"api": None}, True),
        (None, "limit=100 remaining=50; reset=44", {"requests": None}, True),
        (None, 'limit=100, remaining="x', {"requests": {"limit": 100.0}}, True),
        ("?1;w=60", "7;r=1", {}, False),
        ("0;w=60, 5", None, {}, False),
    ],
)
def test_strict_then_loose(policy, limit, levels, doubtful):
    """By the grammar, or in doubt; and never an exception."""
    found = fields(policy, limit)
    assert found.doubtful is doubtful
    for name, level in (levels or {}).items():
        assert level is None or found.levels[name] == level
        assert name in found.levels
    assert levels is None or set(found.levels) == set(levels)


def test_what_the_loose_reader_gets_of_a_broken_field():
    """The numbers of a hub that sends two strings in one member, and of a dictionary without commas."""
    assert fields('"fixed window";"api";q=1000;w=300').levels == {"api": {"limit": 1000.0, "window_s": 300.0}}
    assert fields(None, "limit=100 remaining=50; reset=44").levels == {
        "requests": {"limit": 100.0, "remaining": 50.0, "reset_s": 44.0}
    }


def test_a_policy_of_calls_at_once_is_no_rate():
    """Neither its amount nor its level; a level of that name without the policy is a level like others."""
    found = fields('"c";q=10;qu="concurrent-requests", "b";q=9;qu="content-bytes";w=60', '"c";r=1, "b";r=5')
    assert found.levels == {"b": {"limit": 9.0, "window_s": 60.0, "remaining": 5.0}}
    assert fields(None, '"c";r=1').levels == {"c": {"remaining": 1.0}}


def test_every_call_pays_in_every_policy():
    """Whatever it is called."""
    pays = lookup("ietf").profile.pays
    assert [pays.get(name) for name in ("default", "burst", "hour")] == ["requests"] * 3


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "50", "RateLimit-Reset": "44"},
            {"requests": Reading(100, 50, 44, 60)},
        ),
        (
            {
                "RateLimit-Limit": '12, 12;w=1; burst=1000;policy="leaky bucket"',
                "RateLimit-Remaining": "11",
                "RateLimit-Reset": "1",
            },
            {"requests": Reading(12, 11, 1, 1)},
        ),
        (
            {
                "RateLimit-Limit": "100",
                "RateLimit-Policy": "100;w=60, 5000;w=3600",
                "RateLimit-Remaining": "50",
                "RateLimit-Reset": "44",
            },
            {"requests": Reading(100, 50, 44, 60)},
        ),
        (
            {"RateLimit": "limit=100, remaining=50, reset=44", "RateLimit-Policy": "100;w=60"},
            {"requests": Reading(100, 50, 44, 60)},
        ),
        (
            {"RateLimit-Policy": '"burst";q=100;w=60,"daily";q=1000;w=86400', "RateLimit": '"burst";r=50;t=30'},
            {"burst": Reading(100, 50, 30, 60), "daily": Reading(1_000, None, None, 86_400)},
        ),
        (
            [
                ("RateLimit-Policy", '"a";q=5;w=1'),
                ("RateLimit-Policy", '"b";q=9;w=60;pk=:QUJD:'),
                ("RateLimit", '"b";r=1'),
            ],
            {"a": Reading(5, None, None, 1), "b": Reading(9, 1, None, 60)},
        ),
        ({"RateLimit": '"a";r=5;t=9', "Age": "0"}, {"a": Reading(None, 5, 9, None)}),
        ({"RateLimit": '"a";r=5;t=9', "Age": "1"}, {}),
    ],
)
@pytest.mark.parametrize("dialect", ["ietf", "auto"])
def test_all_forms(headers, expected, dialect):
    """Of drafts 1 to 3, 4 to 6, 7, and 8 to 10; split over lines, with partition keys, and from a cache."""
    assert read(200, headers, dialect=dialect).readings == expected


def test_policies_without_a_name():
    """The form of drafts 4 to 6."""
    assert fields("100;w=60, 1000;w=3600").quotas == [(100.0, 60.0), (1000.0, 3600.0)]


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (429, "quota-exceeded", Reason.RATE_LIMITED),
        (503, "temporary-reduced-capacity", Reason.OVERLOADED),
        (429, "abnormal-usage-detected", Reason.RATE_LIMITED),
    ],
)
def test_problem_types(status, kind, reason):
    """A problem names itself by a URL and the policies it says were violated."""
    body = {"type": f"https://iana.org/assignments/http-problem-types#{kind}", "violated-policies": ["burst"]}
    signals = read(status, {"ratelimit": '"burst";r=0;t=5'}, body)
    assert signals.reason is reason
    if reason is Reason.RATE_LIMITED:
        assert (signals.unit, signals.retry_after_s) == ("burst", 5.0)
