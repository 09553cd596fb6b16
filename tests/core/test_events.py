"""Facts for instruments."""

from __future__ import annotations

import attrs
import pytest

from ratelimit_client.core.events import Event, Kind


def test_an_event_is_a_fact() -> None:
    """What happened, when, to which key, and what goes with it; nothing of it changes later."""
    event = Event(Kind.REFUSED, 7, "gpt-4o", {"unit": "tokens"})

    assert (event.kind, event.at_ns, event.key, event.facts["unit"]) == (Kind.REFUSED, 7, "gpt-4o", "tokens")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.key = "other"  # type: ignore[misc]


def test_every_kind_has_a_name_of_its_own() -> None:
    """The value is what an instrument prints: the name in lower case."""
    assert {kind.value for kind in Kind} == {kind.name.lower() for kind in Kind}
