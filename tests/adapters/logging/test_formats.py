"""One record, one line."""

from __future__ import annotations

import json
import logging
import sys

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.adapters.logging import JsonFormatter, TextFormatter
from ratelimit_client.adapters.logging.formats import fields_of
from ratelimit_client.runtime.logs import fields, short


def record(text: str, **facts: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "ratelimit_client.events", "levelno": 20, "levelname": "INFO", "msg": text})
    made.created = 1.5
    vars(made).update(facts)
    return made


def test_a_line_of_json_has_the_fields_beside_the_text() -> None:
    """Numbers are numbers; what is no value of JSON is text; a field never takes the place of what is always there."""
    line = JsonFormatter().format(record("refused m", event="refused", status=429, wait_s=0.5, odd={1}, level="x"))
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500+00:00",
        "level": "info",
        "logger": "ratelimit_client.events",
        "message": "refused m",
        "event": "refused",
        "status": 429,
        "wait_s": 0.5,
        "odd": "{1}",
    }


def test_a_line_of_text_says_when_how_loud_and_who() -> None:
    """Fields are in the text where the library writes it."""
    line = TextFormatter().format(record("refused m status=429"))
    assert line == "1970-01-01T00:00:01.500+00:00 info ratelimit_client.events: refused m status=429"


def test_a_traceback_is_within_the_line() -> None:
    """As JSON all of it; as text what kind of error it was."""
    try:
        raise ValueError("two\nlines")
    except ValueError:
        failed = record("it failed", exc_info=sys.exc_info())
    found = json.loads(JsonFormatter().format(failed))
    assert found["exception"].startswith("Traceback")
    assert found["exception"].endswith("ValueError: two\nlines\n")
    assert TextFormatter().format(failed).endswith(r": it failed (ValueError: two\nlines)")


def test_a_record_without_an_error_has_none() -> None:
    """``exc_info=True`` outside of an ``except`` gives three times None."""
    quiet = record("x", exc_info=(None, None, None))
    assert "exception" not in json.loads(JsonFormatter().format(quiet))
    assert TextFormatter().format(quiet).endswith(": x")


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_is_said_is_one_harmless_line(text: str) -> None:
    """Line breaks of any kind, escape sequences, marks of direction, halves of characters: in a text or in a field."""
    made = record(text, event=text, model=text)
    for formatter in (JsonFormatter(), TextFormatter()):
        line = formatter.format(made)
        assert line.isprintable()
        assert line.encode()
    said = json.loads(JsonFormatter().format(made))
    assert said["message"] == text[:8192]
    assert all(str(value).isprintable() for value in fields("e", model=text).values())


def test_fields_are_short_and_those_without_a_value_are_left_out() -> None:
    """A server can send a name of a megabyte."""
    found = fields("refused", model="m" * 1000, limit=None, status=429, sure=True, wait_s=0.5)
    assert found == {"event": "refused", "model": "m" * 128 + "...", "status": 429, "sure": True, "wait_s": 0.5}
    assert short("a\nb") == r"a\nb"
    assert fields_of(record("x", **found)) == found
