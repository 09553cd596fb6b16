"""What a limiter's servers said and nobody understood: counted, told once, shown."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ratelimit_client import Limiter
from ratelimit_client.runtime.unread import MOST_KINDS, Unread
from tests.runtime.torture import virtual

FLAVOUR = {"x-ratelimit-flavour": "vanilla"}
KIND = "x-ratelimit-flavour: no rule knows it"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "ratelimit_client"]


def test_each_kind_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """At debug level, with the name of the limiter; by answers, not by headers."""
    caplog.set_level(logging.DEBUG, logger="ratelimit_client")
    unread = Unread("mine\n")
    for kinds in (("a",), ("a", "b"), ("b",), ("a",)):
        unread.note(kinds)
    assert unread.counts == {"a": 3, "b": 2}
    assert lines(caplog) == [
        "limiter 'mine\\n': not understood in an answer: a",
        "limiter 'mine\\n': not understood in an answer: b",
    ]
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


def test_of_many_kinds_the_rest_is_counted_together(caplog: pytest.LogCaptureFixture) -> None:
    """A server that speaks anew each time makes neither the counts nor the log grow."""
    caplog.set_level(logging.DEBUG, logger="ratelimit_client")
    unread = Unread("n")
    for number in range(3 * MOST_KINDS):
        unread.note((f"k{number}", f"l{number}", f"m{number}"))
    assert len(unread.counts) == len(lines(caplog)) == MOST_KINDS + 1
    assert sum(unread.counts.values()) < 9 * MOST_KINDS  # three late ones of one answer are one
    assert unread.counts["other"] == 3 * MOST_KINDS - MOST_KINDS // 3
    unread.note(("k0",))
    assert unread.counts["k0"] == 2


def test_a_limiter_shows_what_it_did_not_understand(caplog: pytest.LogCaptureFixture) -> None:
    """In its statistics and in what it explains, and in plain words once there is something to say."""
    caplog.set_level(logging.DEBUG, logger="ratelimit_client")

    async def main() -> None:
        limiter = Limiter(name="mine")
        assert (limiter.statistics().unread, limiter.explain().unread) == ({}, {})
        assert str(limiter.explain()) == limiter.explain().reason
        for status in (200, 429, 200):
            async with limiter.permit() as permit:
                permit.observe(status, FLAVOUR)
        assert limiter.statistics().unread == limiter.explain().unread == {KIND: 3}
        explanation = limiter.explain()
        assert str(explanation) == f"{explanation.reason}; not understood of the server's answers: {KIND} (3 times)"

    virtual(main)
    assert lines(caplog) == [f"limiter 'mine': not understood in an answer: {KIND}"]


def test_of_successes_what_is_read_is_counted() -> None:
    """At most once each, when the limiter looks or when somebody asks."""
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        **FLAVOUR,
    }

    async def main() -> None:
        limiter = Limiter(dialect="openai")
        told: list[Any] = []
        for _ in range(3):
            async with limiter.permit() as permit:
                told.append(permit.succeeded(200, headers))
        assert limiter.statistics().unread == {KIND: 1}  # the others came in the same five milliseconds
        for each in (*told, *told):
            assert each.signals.unread == (KIND,)
        assert limiter.statistics().unread == {KIND: 3}

    virtual(main)


def test_until_the_language_is_known_every_answer_is_read_and_counted_once() -> None:
    """Asked again it has been counted already."""

    async def main() -> None:
        limiter = Limiter()
        async with limiter.permit() as permit:
            told = permit.succeeded(200, FLAVOUR)
        assert told.signals.unread == (KIND,)
        assert limiter.statistics().unread == {KIND: 1}

    virtual(main)


def test_a_snapshot_does_not_change() -> None:
    """What was shown stays as it was."""

    async def main() -> None:
        limiter = Limiter()
        async with limiter.permit() as permit:
            permit.observe(200, FLAVOUR)
            before = limiter.statistics(), limiter.explain()
            permit.observe(200, FLAVOUR)
        assert [each.unread for each in before] == [{KIND: 1}] * 2

    virtual(main)
