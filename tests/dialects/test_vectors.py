"""The public vectors of tests/vectors/readings.json: what is to be concluded from one answer."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.dialects import names, read

FILE = Path(__file__).parent.parent / "vectors" / "readings.json"
CONTENT = json.loads(FILE.read_text(encoding="utf-8"))
VECTORS = CONTENT["vectors"]

MUST = {"id", "sentence", "source", "status", "headers", "expect"}
MAY = {"dialect", "url", "wall_s", "body"}
FIELDS = {"limit", "remaining", "reset_s", "window_s"}
PLAIN = {"reason", "retryable", "unit", "scope", "should_retry", "request_id", "limit_group"}
NUMBERS = {"retry_after_s", "limit", "used", "requested", "window_s"}
LEVELS = {"readings", "readings_at_most"}


def conclude(vector: dict[str, Any]) -> Signals:
    body = vector.get("body")
    return read(
        vector["status"],
        [(name, value) for name, value in vector["headers"]],
        None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode(),
        dialect=vector.get("dialect", "auto"),
        url=vector.get("url"),
        now_wall_s=vector.get("wall_s"),
    )


def same(found: float | None, wanted: float | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-6)


def check_levels(signals: Signals, wanted: dict[str, dict[str, float | None]]) -> None:
    assert signals.readings.keys() == wanted.keys()
    for name, fields in wanted.items():
        for field, value in fields.items():
            assert same(getattr(signals.readings[name], field), value), (name, field, signals.readings[name])


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_what_an_answer_says(vector: dict[str, Any]) -> None:
    """Every conclusion that the vector names, and no dimension that it does not."""
    signals, expect = conclude(vector), vector["expect"]

    if "readings" in expect:
        check_levels(signals, expect["readings"])
    assert len(signals.readings) <= expect.get("readings_at_most", len(signals.readings))
    for name in NUMBERS & expect.keys():
        assert same(getattr(signals, name), expect[name]), (name, getattr(signals, name))
    for name in PLAIN & expect.keys():
        assert getattr(signals, name) == expect[name], name


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_the_form_of_a_vector(vector: dict[str, Any]) -> None:
    """Known members only, of the types that README.md gives."""
    assert MUST <= vector.keys() <= MUST | MAY
    assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", vector["id"])
    assert vector["sentence"].endswith((".", "!"))
    assert vector["source"]
    assert "dialect" in vector or "url" in vector
    assert vector.get("dialect", "auto") in names()
    assert isinstance(vector["status"], int)
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in vector["headers"])

    expect = vector["expect"]
    assert {"reason", "retryable"} <= expect.keys() <= LEVELS | PLAIN | NUMBERS
    assert expect["reason"] in set(Reason)
    assert (expect["retryable"] is None) == (expect["reason"] == "ok")
    for fields in expect.get("readings", {}).values():
        assert fields.keys() <= FIELDS
        assert all(value is None or (isinstance(value, int | float) and value >= 0) for value in fields.values())


def test_the_file_is_whole() -> None:
    """One form, no id twice, and enough of them that no vendor and no reason is missing."""
    assert CONTENT.keys() == {"form", "about", "vectors"}
    assert CONTENT["form"] == 1
    assert len({vector["id"] for vector in VECTORS}) == len(VECTORS) >= 150
    assert {vector["expect"]["reason"] for vector in VECTORS} == {str(reason) for reason in Reason}
    assert {vector["expect"]["retryable"] for vector in VECTORS} == {True, False, None}
