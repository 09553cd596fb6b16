"""Keys of which the caller says that they count together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State
from ratelimit_client.core.together import check_quotas, groups_of, quotas_name
from ratelimit_client.errors import ConfigurationError
from tests.core.driving import OPENAI, Drive, scheduler

GROUPS = attrs.evolve(OPENAI, groups_share=True)
FAMILY = {"family": ["a", "b"]}


def drive_of(groups: Mapping[str, Any], quotas: Any = ()) -> Drive:
    machine = scheduler(quotas, slots=8, profile=GROUPS)
    machine.together = groups_of(groups)
    return Drive(machine, hold=True)


def limits(drive: Drive) -> dict[str, int]:
    """The quota of requests that each key has now."""
    return {name: state.budget.by_unit["requests"][0].limit for name, state in drive.machine.keys.items()}


def kin(drive: Drive, key: str) -> set[str]:
    return {state.name for state in drive.machine.keys[key].kin}


def test_what_one_pays_the_other_misses() -> None:
    """From the first call on; a key of no group has its own."""
    drive = drive_of(FAMILY, per_minute(requests=10))
    asked = [drive.ask(key, requests=6) for key in "abc"]

    assert [ticket.state for ticket in asked] == [State.GRANTED, State.QUEUED, State.GRANTED]
    assert (kin(drive, "a"), kin(drive, "b"), kin(drive, "c")) == ({"b"}, {"a"}, set())
    drive.to(60)
    assert drive.when(asked[1]) == 12.6


def test_what_is_typed_for_the_group_holds_for_all_its_keys_together() -> None:
    """And for a key that is called like the group, which belongs to it; the rest has what is typed for the rest."""
    drive = drive_of(FAMILY, {"family": per_minute(requests=50), "*": per_minute(requests=3)})
    for key in ("a", "family", "b", "c"):
        drive.ask(key)
    assert limits(drive) == {"a": 50, "family": 50, "b": 50, "c": 3}
    assert kin(drive, "b") == {"a", "family"}
    drive.machine.set_quotas(per_minute(requests=70), key="family", now_ns=0)
    assert limits(drive) == {"a": 70, "family": 70, "b": 70, "c": 3}
    drive.machine.set_quotas(per_minute(requests=5), now_ns=0)
    assert limits(drive) == {"a": 5, "family": 5, "b": 5, "c": 5}
    assert kin(drive, "b") == {"a", "family"}


def test_a_reading_for_one_is_one_for_all() -> None:
    """Nothing was typed: the limit that the answer to one shows is what the other is held to."""
    drive = drive_of(FAMILY)
    drive.end(drive.ask("a"), Signals(200, readings={"requests": Reading(600, 2, window_s=60.0)}))
    asked = [drive.ask("b") for _ in range(3)]
    assert asked[2].state is State.QUEUED


def test_refusals_make_no_other_groups_of_them() -> None:
    """The caller has said which keys count together; keys of which it said nothing are still found by refusals."""
    drive = drive_of(FAMILY)
    for key in ("a", "c", "d"):
        shown = {"requests": Reading(600, 300, window_s=60.0)}
        refused = Signals(429, Reason.RATE_LIMITED, True, unit="requests", readings=shown, limit_group="g")
        drive.end(drive.ask(key), refused, Ending.IGNORED)
    drive.ask("b")

    assert (kin(drive, "a"), kin(drive, "c")) == ({"b"}, {"d"})


def test_a_key_is_in_one_group() -> None:
    """And the keys of a group are several texts, not one."""
    together = groups_of({"g": ["a", "a", "g"], "h": []})
    assert (together["a"].keys, together["h"].keys) == (("g", "a"), ("h",))
    with pytest.raises(ConfigurationError, match="'a' cannot count in two groups, 'g' and 'h'"):
        groups_of({"g": ["a"], "h": ["a"]})
    with pytest.raises(ConfigurationError, match="a list such as"):
        groups_of({"g": "abc"})


def test_quotas_are_typed_for_the_group() -> None:
    """A quota of one member would be two answers to one question."""
    together = groups_of(FAMILY)
    check_quotas(together, ["family", "c", "*"])
    assert [quotas_name(together, key) for key in ("a", "family", "c")] == ["family", "family", "c"]
    with pytest.raises(ConfigurationError, match="'a' counts in the group 'family': type the quotas for 'family'"):
        check_quotas(together, ["a"])
