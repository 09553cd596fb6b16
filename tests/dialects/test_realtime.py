"""The events of a realtime session, as servers write them, mean what answers mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects.bodies import LONGEST_BODY
from ratelimit_client.dialects.realtime import NOTHING, Means, read_close, read_event
from ratelimit_client.testing.lies import HOSTILE

REFUSED = (
    "Rate limit reached for gpt-realtime in organization org-x on tokens per min (TPM): "
    "Limit 40000, Used 38000, Requested 4000. Please try again in 3s."
)


def limits(*items):
    return {"type": "rate_limits.updated", "event_id": "e", "rate_limits": list(items)}


def done(status, error=None, **members):
    details = None if error is None else {"type": status, "error": error}
    response = {"object": "realtime.response", "id": "r", "status": status, "status_details": details, **members}
    return {"type": "response.done", "event_id": "e", "response": response}


def error(code, message="", about=None, kind="invalid_request_error"):
    inner = {"type": kind, "code": code, "message": message, "param": None, "event_id": about}
    return {"type": "error", "event_id": "event_of_the_server", "error": inner}


# -- limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "readings"),
    [
        ([], {}),
        (
            [{"name": "tokens", "limit": 15_000_000, "remaining": 14_999_371, "reset_seconds": 0.002}],
            {"tokens": Reading(15_000_000.0, 14_999_371.0, 0.002, 60.0)},
        ),
        (
            [{"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 86.4}, {"name": "audio_seconds"}],
            {"requests": Reading(1000.0, 999.0, 86.4, 86400.0)},
        ),
        ([{"name": "tokens", "remaining": 7}], {"tokens": Reading(None, 7.0)}),
        ([{"name": "tokens", "limit": 10}, {"remaining": 3}, None, 7], {"tokens": Reading(10.0)}),
        ([{"name": "tokens", "limit": -1, "remaining": -1, "reset_seconds": 0}], {}),
    ],
)
def test_limits_are_read_as_headers_are(items, readings):
    """Any name, members missing, an empty list, and numbers that mean nothing."""
    event = read_event(limits(*items))
    assert (event.means, event.signals.reason, event.signals.readings) == (Means.LIMITS, Reason.OK, readings)
    assert event.teaches


@pytest.mark.parametrize("lie", HOSTILE)
def test_limits_that_are_none_are_none(lie):
    """A text where a number belongs, whatever it says, is no level."""
    item = {"name": "tokens", "limit": lie, "remaining": lie, "reset_seconds": lie}
    assert read_event(limits(item)).signals.readings == {}


@pytest.mark.parametrize("rate_limits", [None, {}, "many", 7, [[]]])
def test_a_list_of_limits_that_is_no_list(rate_limits):
    """Nothing is read, and nothing raised."""
    assert read_event({"type": "rate_limits.updated", "rate_limits": rate_limits}).signals.readings == {}


# -- responses ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "cancelled", "incomplete"])
def test_a_response_that_ended_well_says_nothing_but_its_use(status):
    """Cut short by the client, or at its bound: that was wanted."""
    usage = {"total_tokens": 30, "input_tokens": 20, "output_tokens": 10}
    event = read_event(done(status, usage=usage))
    assert (event.means, event.signals, event.response_id) == (Means.DONE, NOTHING, "r")
    assert (event.tokens, event.usage, event.teaches) == (30, usage, True)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"type": "tokens", "code": "rate_limit_exceeded", "message": REFUSED}, (429, "rate_limited", True, 3.0)),
        ({"type": "insufficient_quota", "code": "insufficient_quota"}, (429, "quota_exhausted", False, None)),
        ({"type": "server_error", "code": None}, (500, "server_error", True, None)),
        ({"type": "service_unavailable_error", "code": "server_is_overloaded"}, (503, "overloaded", True, None)),
        (None, (500, "server_error", True, None)),
        ({}, (500, "server_error", True, None)),
    ],
)
def test_a_response_that_failed_says_why(told, expected):
    """By the tables of answers; what it used is written with zeros, and so it is not known."""
    event = read_event(done("failed", told, usage={"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}))
    signals = event.signals
    assert (signals.status, str(signals.reason), signals.retryable, signals.retry_after_s) == expected
    assert event.tokens is None


def test_a_refusal_names_its_limit():
    """As the text of a refused answer does."""
    told = read_event(done("failed", {"type": "tokens", "code": "rate_limit_exceeded", "message": REFUSED})).signals
    assert (told.unit, told.limit, told.used, told.requested) == ("tokens", 40000, 38000, 4000)
    assert told.limit_group == "gpt-realtime"


def test_an_error_beside_a_status_that_is_new_counts():
    """Only what is known to be well is well; a status alone, that nobody knows, says nothing."""
    assert read_event(done("expired", {"code": "server_error"})).signals.reason is Reason.SERVER_ERROR
    assert read_event(done("expired")).signals is NOTHING


@pytest.mark.parametrize("response", [None, [], "r", {"id": 7, "usage": [], "status_details": "?"}])
def test_a_response_that_is_none(response):
    """It is over all the same."""
    event = read_event({"type": "response.done", "response": response})
    assert (event.means, event.response_id, event.tokens, event.usage) == (Means.DONE, None, None, None)


def test_a_response_begins():
    """With a name, under which it will end."""
    event = read_event({"type": "response.created", "response": {"id": "r", "status": "in_progress"}})
    assert (event.means, event.response_id, event.teaches) == (Means.BEGUN, "r", False)


# -- errors ---------------------------------------------------------------------------------


def test_an_error_names_the_event_it_is_about():
    """Which is that of the client; its own name is another."""
    event = read_event(error("conversation_already_has_active_response", "no", about="mine"))
    assert (event.means, event.about, event.signals.reason) == (Means.ERROR, "mine", Reason.CLIENT_ERROR)
    assert not event.teaches


def test_an_error_that_is_about_limits_teaches():
    """As an answer would."""
    event = read_event(error("rate_limit_exceeded", "Please try again in 2s.", kind="requests"))
    assert (event.signals.reason, event.signals.retry_after_s, event.about) == (Reason.RATE_LIMITED, 2.0, None)
    assert event.teaches


@pytest.mark.parametrize("told", [None, "no", {"message": "no"}])
def test_an_error_in_another_shape(told):
    """It is one because it is called so."""
    event = read_event({"type": "error", "error": told, "event_id": "e"})
    assert (event.means, event.about) == (Means.ERROR, None)
    assert event.signals.reason is not Reason.OK


def test_a_session_whose_time_is_over():
    """The server says so in an error, before it closes."""
    event = read_event(error("session_expired", "Your session hit the maximum duration of 60 minutes."))
    assert event.expired
    assert not read_event(error("other")).expired


# -- sessions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires_at", "read"),
    [(1_767_229_200, 1_767_229_200.0), (1.5, 1.5), (0, None), (-1, None), (True, None), ("soon", None), (1e300, None)],
)
def test_a_session_says_when_it_ends(expires_at, read):
    """In seconds since 1970; what can be none is none."""
    for name in ("session.created", "session.updated"):
        event = read_event({"type": name, "session": {"expires_at": expires_at}})
        assert (event.means, event.expires_at) == (Means.SESSION, read)


# -- whatever comes -------------------------------------------------------------------------


@pytest.mark.parametrize("event", [{"type": "response.output_audio.delta", "delta": "x"}, {"type": 7}, {}, [], None, 7])
def test_what_is_not_known_means_nothing(event):
    """And is for the one who reads the session."""
    known = read_event(event)
    assert (known.means, known.signals, known.teaches) == (Means.OTHER, NOTHING, False)


@pytest.mark.parametrize("as_sent", [json.dumps, lambda event: json.dumps(event).encode(), lambda event: event])
def test_text_and_bytes_are_read_as_well(as_sent):
    """What an event means does not depend on who has parsed it."""
    assert read_event(as_sent(done("completed", usage={"total_tokens": 5}))).tokens == 5


@pytest.mark.parametrize("raw", ["", "{", "[1]", b"\xff", "[" * 100_000, '{"type":"error"}' + " " * LONGEST_BODY])
def test_text_that_is_no_event(raw):
    """No JSON, no object, or so long that it can only be sound."""
    assert read_event(raw).means is Means.OTHER


NAMES = st.sampled_from(["response.created", "response.done", "rate_limits.updated", "error", "session.created", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "status", "status_details", "error", "usage", "name", "limit", "code", "message"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {"type": NAMES | VALUES, "response": VALUES, "rate_limits": VALUES, "error": VALUES, "session": VALUES}
    )
)
def test_nothing_that_a_server_sends_raises(event):
    """Whatever stands where."""
    known = read_event(event)
    assert isinstance(known.means, Means)


# -- the end of the socket ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (1000, "", (200, Reason.OK, None)),
        (1001, "insufficient_quota", (200, Reason.OK, None)),
        (1005, "", (200, Reason.OK, None)),
        (1006, "", (400, Reason.CLIENT_ERROR, False)),
        (1008, "", (400, Reason.CLIENT_ERROR, False)),
        (1008, "insufficient_quota", (429, Reason.QUOTA_EXHAUSTED, False)),
        (1009, "too big", (400, Reason.CLIENT_ERROR, False)),
        (1011, "keepalive ping timeout", (500, Reason.SERVER_ERROR, True)),
        (1012, "", (503, Reason.OVERLOADED, True)),
        (1013, "try again later", (503, Reason.OVERLOADED, True)),
        (3000, "invalid_request_error.invalid_api_key", (401, Reason.AUTH, False)),
        (4004, "rate_limit_exceeded", (429, Reason.RATE_LIMITED, True)),
    ],
)
def test_the_end_of_a_socket_says_what_an_answer_would(code, text, expected):
    """The words where they are known, else the code."""
    signals = read_close(code, text)
    assert (signals.status, signals.reason, signals.retryable) == expected


def test_a_status_that_is_no_word_is_no_good_end() -> None:
    """Nothing is known of it, and nothing is raised."""
    event = read_event({"type": "response.done", "response": {"status": []}})
    assert event.signals.reason is Reason.OK
