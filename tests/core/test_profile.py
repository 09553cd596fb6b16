"""A vendor as data."""

from __future__ import annotations

import attrs
import pytest

from ratelimit_client.core.profile import EveryDimension, Refill, ServerProfile


def test_a_server_nobody_knows_is_taken_for_the_careful_case() -> None:
    """No dimension is charged, a minute is the window, and how it refills is not known yet."""
    unknown = ServerProfile()

    assert dict(unknown.pays) == {}
    assert unknown.default_window_s == 60.0
    assert unknown.refill is Refill.UNKNOWN
    assert not unknown.reset_is_exact
    assert not unknown.snapshot_at_end
    assert unknown.settles == frozenset()
    assert unknown.grain_s == 1.0


def test_a_profile_keeps_its_own_table() -> None:
    """The mapping it was made from may change afterwards; the profile does not, and cannot be changed."""
    table = {"project-tokens": "tokens"}
    profile = ServerProfile(pays=table)
    table["requests"] = "requests"

    assert dict(profile.pays) == {"project-tokens": "tokens"}
    with pytest.raises(TypeError):
        profile.pays["requests"] = "requests"  # type: ignore[index]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        profile.grain_s = 0.0  # type: ignore[misc]


def test_every_dimension_may_pay_the_same():
    """But for those that are listed; a profile keeps it as it is."""
    profile = ServerProfile(pays=EveryDimension("requests", {"bytes": "content-bytes"}))
    assert [profile.pays.get(name) for name in ("burst", "bytes")] == ["requests", "content-bytes"]
    assert (list(profile.pays), len(profile.pays), "anything" in profile.pays) == (["bytes"], 1, True)
    assert EveryDimension("requests")["x"] == "requests"
