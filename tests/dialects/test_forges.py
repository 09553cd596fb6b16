"""GitHub, GitLab, Docker Hub and Discord."""

from __future__ import annotations

import pytest

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import lookup, read

AT_S = 1_684_191_562
DATE = {"Date": "Mon, 15 May 2023 22:59:22 GMT"}


def github(limit: int, remaining: int, in_s: int = 3_479, resource: str | None = "core") -> dict[str, str]:
    headers = {
        **DATE,
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(AT_S + in_s),
        "X-RateLimit-Used": str(limit - remaining),
    }
    return headers if resource is None else {**headers, "X-RateLimit-Resource": resource}


@pytest.mark.parametrize(
    ("resource", "window_s"),
    [("core", 3_600), ("graphql", 3_600), (None, 3_600), ("search", 60), ("code_search", 60), ("new", 3_600)],
)
def test_githubs_windows(resource, window_s):
    """An hour, or a minute for the resources of which that is known."""
    found = read(200, github(30, 25, 20, resource), dialect="github").readings
    assert found == {"requests": Reading(30, 25, 20, window_s)}


def test_used_stands_in_for_remaining():
    """Where only one of the two is sent."""
    headers = {name: value for name, value in github(5_000, 4_898).items() if "Remaining" not in name}
    assert read(200, headers, dialect="github").readings["requests"].remaining == 4_898


SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
PRIMARY = "API rate limit exceeded for user ID 1."
ABUSE = "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again."


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("headers", "message", "hint_s"),
    [
        (github(5_000, 0, 900), PRIMARY, 900.0),
        (github(60, 0, 900, None), PRIMARY, 900.0),
        ({**github(5_000, 4_000), "Retry-After": "30"}, SECONDARY, 30.0),
        (github(30, 25, 20, "search"), SECONDARY, 60.0),
        ({}, SECONDARY, 60.0),
        ({**DATE, "Retry-After": "60"}, ABUSE, 60.0),
        ({}, ABUSE, 60.0),
        (github(5_000, 0, -5), PRIMARY, 60.0),
    ],
)
def test_githubs_refusals(status, headers, message, hint_s):
    """As 403 or 429; a secondary limit beats what is left, and without a hint waits a minute."""
    signals = read(status, headers, {"message": message}, dialect="github")
    assert (signals.reason, signals.retryable, signals.retry_after_s) == (Reason.RATE_LIMITED, True, hint_s)


def test_other_403s_of_github():
    """A matter of permission."""
    signals = read(403, github(5_000, 4_000), {"message": "Resource not accessible"}, dialect="github")
    assert (signals.reason, signals.retryable) == (Reason.AUTH, False)


def test_a_server_error_of_github_is_not_waited_for():
    """The reset beside a 502 is of no interest."""
    signals = read(502, github(5_000, 4_970), {"error": "Server Error"}, dialect="github")
    assert (signals.reason, signals.retry_after_s) == (Reason.SERVER_ERROR, None)


def test_the_resource_is_the_group():
    """Of a refusal."""
    assert read(403, github(30, 0, 20, "search"), {"message": PRIMARY}).limit_group == "search"


GITLAB = {
    "Date": "Tue, 05 Jan 2021 10:59:10 GMT",
    "RateLimit-Limit": "60",
    "RateLimit-Name": "throttle_authenticated_web",
    "RateLimit-Observed": "67",
    "RateLimit-Reset": "1609844400",
    "RateLimit-ResetTime": "Tue, 05 Jan 2021 11:00:00 GMT",
}


@pytest.mark.parametrize("dialect", ["gitlab", "auto"])
def test_gitlab(dialect):
    """An instant under the name of a delta; what was observed is what is used; the throttle is the group."""
    signals = read(429, GITLAB, "Retry later\n", dialect=dialect)
    assert signals.readings == {"requests": Reading(60, 0, 50, None)}
    assert (signals.retry_after_s, signals.limit_group) == (50.0, "throttle_authenticated_web")
    assert read(429, {**GITLAB, "Retry-After": "80"}, "Retry later\n", dialect=dialect).retry_after_s == 80.0


def test_docker_hub():
    """So many in six hours, with no end told: shown, and not waited out."""
    headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"}
    assert read(200, headers, dialect="docker").readings == {"requests": Reading(100, 76, None, 21_600)}
    body = {"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit."}]}
    for dialect in ("docker", "auto"):
        signals = read(429, {**headers, "ratelimit-remaining": "0;w=21600"}, body, dialect=dialect)
        assert (signals.reason, signals.retryable, signals.retry_after_s) == (Reason.RATE_LIMITED, False, None)


def discord(remaining: int, **more: str) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": "10",
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": "1470173023.123",
        "X-RateLimit-Reset-After": "64.57",
        "X-RateLimit-Bucket": "abcd1234",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


def test_discords_reset_after_needs_no_clock():
    """It is exact, and counts before the instant."""
    assert read(200, discord(0), dialect="discord").readings == {"requests": Reading(10, 0, 64.57, None)}


@pytest.mark.parametrize(
    ("headers", "body", "hint_s", "scope", "group"),
    [
        (
            discord(9, Retry_After="1337", X_RateLimit_Scope="shared"),
            {"retry_after": 1336.57, "global": False},
            1_337.0,
            "shared",
            "abcd1234",
        ),
        (
            {"Retry-After": "65", "X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"},
            {"retry_after": 64.57, "global": True},
            65.0,
            "global",
            None,
        ),
        ({"Retry-After": "65", "X-RateLimit-Global": "true"}, {}, 65.0, "global", None),
        ({"Retry-After": "65", "X-RateLimit-Global": "false"}, {}, 65.0, None, None),
        (discord(0, X_RateLimit_Scope="user"), {"retry_after": 64.6}, 64.6, "user", "abcd1234"),
        (discord(0), {}, 64.57, None, "abcd1234"),
    ],
)
def test_discords_refusals(headers, body, hint_s, scope, group):
    """The wait it asks for, whatever is left; whose limit, and which bucket."""
    signals = read(429, headers, {"message": "You are being rate limited.", **body}, dialect="discord")
    assert (signals.retry_after_s, signals.scope, signals.limit_group) == (hint_s, scope, group)
    assert signals.retryable is True


@pytest.mark.parametrize(
    ("dialect", "window_s"), [("github", 3_600.0), ("gitlab", 60.0), ("docker", 21_600.0), ("discord", 1.0)]
)
def test_what_the_scheduler_is_told(dialect, window_s):
    """Windows that step."""
    profile = lookup(dialect).profile
    assert (profile.refill, profile.default_window_s) == (Refill.WINDOW, window_s)
    assert profile.pays == {"requests": "requests"}
