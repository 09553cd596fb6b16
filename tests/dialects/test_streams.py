"""What the events of each API's streams mean, by streams in the shapes that have been recorded."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects.sse import ServerSentEvent
from ratelimit_client.dialects.streams import EventKind, StreamReader, stream_dialect_of
from tests.dialects.streams import BY_NAME, FAILED, NAMES, ROWS, STREAMS, WITH_A_LAST_EVENT, kinds, of, read, stream


def test_every_recorded_shape_has_its_row():
    """No file without an expectation."""
    assert sorted(path.stem for path in STREAMS.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_kinds(name):
    """Each event is what it is, the end is success or not, and the use is that of the whole call or unknown."""
    _, path, expected, tokens = BY_NAME[name]
    reader, events, whole = read(stream(name), path)
    assert kinds(events) == expected
    assert whole is ("E" not in expected)
    assert reader.tokens == tokens
    assert reader.delivered == sum(event.deliver for event in events)
    assert reader.begun is ("+" in expected)


@pytest.mark.parametrize("name", WITH_A_LAST_EVENT)
def test_cut_at_every_byte(name):
    """It is finished from its last event on, and at no byte before."""
    _, path, expected, _ = BY_NAME[name]
    document = stream(name)
    last = document.rstrip().rfind(b"\n\n") + 2
    if expected.endswith("-"):
        last = document.find(b"[DONE]") - len("data: ")
    ends = document.index(b"\n\n", last) + 2
    for at in range(len(document)):
        reader, _, whole = read(document[:at], path)
        assert (whole, reader.finished) == (at >= ends, at >= ends), document[:at][-40:]


@pytest.mark.parametrize("name", FAILED)
def test_an_error_is_never_the_end_of_an_answer(name):
    """Wherever it is cut, and whatever comes behind it."""
    _, path, _, _ = BY_NAME[name]
    document = stream(name) + b"data: [DONE]\n\n"
    for at in range(len(stream(name))):
        assert not read(document[:at], path)[2]
    assert not read(document, path)[2]


def test_a_stream_without_a_last_event_cut_at_every_byte():
    """Gemini's is whole between events, once every candidate has ended; the one that tells the use may be missing."""
    document = stream("gemini")
    path = BY_NAME["gemini"][1]
    ended = document.index(b'data: {"usageMetadata"')
    wholes = [at for at in range(len(document) + 1) if read(document[:at], path)[2]]
    assert wholes == [ended, len(document)]
    reader, _, _ = read(document[:ended], path)
    assert reader.tokens == 7


def test_pictures_are_whole_when_one_is_completed():
    """No event says that the last one was."""
    document = stream("images")
    path = BY_NAME["images"][1]
    assert [at for at in range(len(document) + 1) if read(document[:at], path)[2]] == [len(document)]
    assert not read(document + stream("images")[: document.index(b"\n\n") + 2], path)[2]
    assert read(document * 2, path)[2]


def test_nobody_knows_the_last_event_of_an_unknown_stream():
    """It is whole unless an event is cut off; one that brought nothing is not."""
    document = stream("plain")
    first = document.index(b"\n\n") + 2
    assert [at for at in range(len(document) + 1) if read(document[:at])[2]] == [first, len(document)]
    assert not read(b": ping\n\n")[2]
    assert not read(b"event: ping\ndata: {}\n\nevent: rate_limits.updated\ndata: {}\n\n")[2]


# Data that is no JSON


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ('{"a": ', "is no JSON"),
        ("not json", "is no JSON"),
        ('{"a": 1}{"b": 2}', "is no JSON"),
        ('{"a": 1}\ndata: {"b": 2}', "is no JSON"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": -Infinity}', "-Infinity is no JSON number"),
        ('{"a": ' + "9" * 5000 + "}", "is no JSON"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a":' * 100_000, "is nested too deeply"),
        ("<html>", "is no JSON"),
    ],
    ids=range(10),
)
def test_data_that_is_no_json(data, problem):
    """In a stream that has JSON it is an error, and one that another try may cure; in another it is a text."""
    reader, events, whole = of({"choices": [{"delta": {"content": "x"}}]}, data, "[DONE]", path="/chat/completions")
    assert kinds(events) == "+E-"
    assert (whole, reader.delivered) == (False, 1)
    assert problem in events[1].problem
    signals = events[1].signals
    assert (signals.status, signals.reason, signals.retryable) == (200, Reason.SERVER_ERROR, True)
    assert signals.message == events[1].problem

    _, events, _ = of(data)
    assert [(event.kind, event.data, event.problem) for event in events] == [(EventKind.OUTPUT, None, "")]
    assert events[0].raw == data.replace("\ndata: ", "\n")


@pytest.mark.parametrize("event", ["response.created", "response.completed", "response.output_text.delta"])
def test_a_name_does_not_make_good_for_the_data(event):
    """A last event whose answer cannot be read is no success."""
    reader, events, whole = of('{"type": "response.', event=event, path="/responses")
    assert (kinds(events), whole, reader.delivered) == ("E", False, 0)


def test_a_decoder_of_ones_own():
    """What it refuses is told in its words."""

    def decode(text: str) -> object:
        raise ValueError(f"{len(text)} are too many")

    reader = StreamReader(stream_dialect_of("/responses"), decode=decode)
    event = reader.read(ServerSentEvent("message", "{}"))
    assert event.problem == "the data of an event is no JSON: 2 are too many"


@pytest.mark.parametrize("data", ["[]", "1", "null", '"text"', "true"])
@pytest.mark.parametrize("path", ["", "/chat/completions", "/x:streamGenerateContent"])
def test_json_that_is_no_object(data, path):
    """It is handed on."""
    _, events, _ = of(data, path=path)
    assert [(event.kind, event.data) for event in events] == [(EventKind.OUTPUT, json.loads(data))]


@pytest.mark.parametrize("path", ["", "/chat/completions"])
@pytest.mark.parametrize(
    ("event", "data", "expected"),
    [
        ("", "", "K"),
        ("", "  ", "K"),
        ("whatever", "", "K"),
        ("ping", "", "K"),
        ("ping", "x", "K"),
        ("ping", "{}", "K"),
        ("", '{"type": "keepalive", "sequence_number": 466}', "K"),
        ("", '{"type": "response.keep_alive"}', "K"),
        ("", "[DONE]", "T"),
        ("", "[DONE] and more", "T"),
        ("x", "[DONE]", "T"),
        ("rate_limits.updated", "x", "L"),
    ],
)
def test_events_that_every_stream_may_have(event, data, expected, path):
    """Signs of life, and the one word that ends all."""
    reader, events, _ = of(data, event=event, path=path)
    assert kinds(events) == expected
    assert reader.delivered == (expected == "L")


# What is delivered, and when a second try is safe


def test_what_the_one_who_asked_gets():
    """All but signs of life, errors, bare last words and what comes after."""
    _, events, _ = read(stream("responses"))
    assert [event.name for event in events if not event.deliver] == ["keepalive", "response.keep_alive"]
    _, events, _ = read(stream("chat"))
    assert [event.raw for event in events if not event.deliver] == ["[DONE]"]
    assert events[-2].data["usage"]["total_tokens"] == 11
    _, events, _ = read(stream("replicate"))
    assert [(event.name, event.data, event.deliver) for event in events] == [
        ("output", None, True),
        ("output", None, True),
        ("done", {}, True),
    ]
    assert [event.raw for event in events] == ["Once upon", " a time", "{}"]


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        ({"choices": [{"delta": {"role": "assistant"}}]}, "O"),
        ({"choices": [{"delta": {"role": "assistant", "content": None, "tool_calls": []}}]}, "O"),
        ({"choices": [{"delta": {"role": "assistant", "content": ""}}, {"delta": {"content": "x"}}]}, "+"),
        ({"choices": [{"delta": {}, "finish_reason": "stop"}]}, "+"),
        ({"choices": [{"delta": {"reasoning_content": "x"}}]}, "+"),
        ({"choices": [{"text": ""}]}, "+"),
        ({"choices": [{"delta": "x"}]}, "+"),
        ({"choices": [None]}, "+"),
        ({"choices": []}, "O"),
        ({"choices": None}, "+"),
        ({"choices": [], "usage": {"total_tokens": 1}}, "U"),
        ({"usage": {"total_tokens": 1}}, "U"),
        ({"id": "x"}, "+"),
    ],
)
def test_the_first_chunk_of_a_chat(chunk, expected):
    """One that only says who speaks is no output yet."""
    reader, events, _ = of(chunk, path="/chat/completions")
    assert kinds(events) == expected
    assert reader.begun is (expected == "+")


def test_a_chunk_without_text_behind_the_first_output():
    """It is output like the others."""
    first, empty = {"choices": [{"delta": {"content": "x"}}]}, {"choices": [{"delta": {"content": ""}}]}
    assert kinds(of(first, empty, path="/chat/completions")[1]) == "++"


# Limits


def test_limits_inside_a_stream():
    """They are read as the headers of an answer would be; the type may be that of the event alone."""
    limits = {"rate_limits": [{"name": "tokens", "limit": 30_000, "remaining": 29_000, "reset_seconds": 2.0}]}
    for event, data in (
        ("", {"type": "rate_limits.updated", **limits}),
        ("response.rate_limits.updated", limits),
    ):
        reader, events, _ = of(data, event=event)
        assert kinds(events) == "L"
        assert events[0].signals.readings == {"tokens": Reading(30_000.0, 29_000.0, 2.0, 60.0)}
        assert (events[0].deliver, reader.begun, reader.dialect) == (True, False, None)


def test_no_limits_inside_a_stream():
    """Some send the list empty."""
    _, events, _ = of({"type": "rate_limits.updated", "rate_limits": []})
    assert events[0].signals.readings == {}


# Use


CHUNK = {"choices": [{"delta": {"content": "x"}}]}


@pytest.mark.parametrize(
    ("usages", "tokens"),
    [
        ([], None),
        ([None, None], None),
        ([{}], None),
        (["1"], None),
        ([{"total_tokens": 5}], 5),
        ([{"total_tokens": 5}, None], 5),
        ([{"total_tokens": 5}, {"total_tokens": 7}], 7),
        ([{"total_tokens": 5}, {"total_tokens": None}], 5),
        ([{"prompt_tokens": 5, "completion_tokens": 7}], 12),
        ([{"total_tokens": 0}], None),
        ([{"total_tokens": -1}], None),
        ([{"total_tokens": 10**18}], None),
        ([{"total_tokens": "12"}], None),
        ([{"total_tokens": 1.5}], None),
        ([{"total_tokens": 5}, {"total_tokens": "x"}], None),
        ([{str(n): n for n in range(60)}, {str(n): n for n in range(60, 120)}, {"total_tokens": 1}], 1),
    ],
)
def test_use_is_sanitised(usages, tokens):
    """Whatever a server writes there, it is a number that can be, or none; and it does not grow."""
    reader, _, whole = of(*({**CHUNK, "usage": usage} for usage in usages), "[DONE]", path="/chat/completions")
    assert whole
    assert reader.tokens == tokens
    assert reader.usage is None or len(reader.usage) <= 64


def test_use_of_a_part_is_not_that_of_the_call():
    """While nothing speaks of the whole, the estimate stands; what the server wrote can be seen."""
    document = stream("anthropic")
    reader, _, _ = read(document[: document.index(b"event: message_delta")])
    assert (reader.tokens, reader.usage["input_tokens"]) == (None, 25)
    reader, _, _ = read(document[: document.index(b"event: message_stop")])
    assert (reader.tokens, reader.usage["input_tokens"], reader.usage["output_tokens"]) == (40, 25, 15)
    document = stream("chat")
    reader, _, whole = read(document[: document.index(b"data: [DONE]")])
    assert (reader.tokens, whole) == (11, False)


def test_the_use_of_a_step_is_not_that_of_a_run():
    """Only the run's own end tells all of it."""
    document = stream("assistants")
    reader, _, _ = read(document[: document.index(b"event: thread.run.completed")])
    assert reader.usage is None


def test_use_of_an_unknown_stream():
    """By the names of the others."""
    reader, _, whole = of({"text": "x"}, {"usage": {"total_tokens": 3}})
    assert (reader.dialect.name, reader.tokens, whole) == ("unknown", 3, True)
    assert StreamReader().tokens is None


def test_use_told_before_the_language_is_known():
    """A sign of life may carry it."""
    reader, _, _ = of({"type": "ping", "usage": {"total_tokens": 3}})
    assert (reader.usage, reader.tokens) == ({"total_tokens": 3}, None)


# Candidates


@pytest.mark.parametrize(
    ("chunks", "whole"),
    [
        ([[{"index": 0}]], False),
        ([[{"index": 0, "finishReason": "STOP"}]], True),
        ([[{"finishReason": "STOP"}]], True),
        ([[{"index": 0}], [{"finishReason": "STOP"}]], True),
        ([[{"index": 0, "finishReason": "STOP"}], [{"index": 0}]], False),
        ([[{"index": 0}, {"index": 1}], [{"index": 1, "finishReason": "STOP"}]], False),
        ([[{"index": n} for n in range(5000)]], False),
        ([[{"index": n} for n in range(1024)], [{"index": n} for n in range(1024, 2048)]], False),
        ([["x"]], True),
        ([[{"index": [], "finishReason": "STOP"}]], True),
    ],
)
def test_every_candidate_has_to_end(chunks, whole):
    """One that goes on after its end has not ended."""
    assert of(*({"candidates": chunk} for chunk in chunks))[2] is whole


def test_an_error_behind_the_last_reason():
    """A candidate that had ended is no success when the call then failed."""
    reader, events, whole = of({"candidates": [{"finishReason": "STOP"}]}, {"error": {"code": 500, "message": "x"}})
    assert (kinds(events), whole, reader.finished) == ("+E", False, False)


def test_two_ends():
    """The first counts, and nothing behind it is delivered."""
    reader, events, whole = of(CHUNK, "[DONE]", CHUNK, "[DONE]", {"error": {"message": "x"}})
    assert (kinds(events), whole, reader.delivered) == ("+T---", True, 1)
    assert repr(reader) == "<StreamReader chat: finished, 1 delivered>"


def test_telling_reprs():
    """Name, state and count."""
    assert repr(StreamReader()) == "<StreamReader undecided: open, 0 delivered>"
    assert repr(of({"type": "error"}, path="/responses")[0]) == "<StreamReader responses: failed, 0 delivered>"


# Anything


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "error", "usage", "choices", "candidates", "response", "message", "code", "finishReason",
                 "rate_limits", "object", "index", "delta", "promptFeedback", "x_groq", "status", "headers", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip
event_names = st.sampled_from(
    ["message", "error", "ping", "done", "response.failed", "response.completed", "thread.run.failed", "message_delta",
     "rate_limits.updated", "image_generation.completed", "\ud800"]
)  # fmt: skip
paths = st.sampled_from(["", *(path for _, path, _, _ in ROWS)])


@given(st.lists(st.tuples(event_names, json_values.map(json.dumps) | st.text(max_size=9)), max_size=6), paths)
def test_nothing_makes_it_raise(events, path):
    """Whatever comes, there is at most one error, and after it or the last event nothing is delivered."""
    reader = StreamReader(stream_dialect_of(path))
    told = [reader.read(ServerSentEvent(name, data)) for name, data in events]
    ends = [at for at, event in enumerate(told) if event.kind in (EventKind.ERROR, EventKind.TERMINAL)]
    assert len(ends) <= 1
    if ends:
        assert reader.over
        assert {event.kind for event in told[ends[0] + 1 :]} <= {EventKind.AFTER}
    for event in told:
        if event.kind is EventKind.ERROR:
            assert event.signals.reason is not Reason.OK
            assert event.signals.status >= 200
            assert event.signals.retryable is not None
    assert reader.delivered == sum(event.deliver for event in told)
    assert reader.tokens is None or 0 <= reader.tokens <= 10**9
    assert reader.end() is reader.finished


@pytest.mark.parametrize(
    ("said", "raw", "message"),
    [
        (
            '{"error": {"message": "bad key k-1", "type": "x"}}',
            '{"error": {"message": "bad key ...", "type": "x"}}',
            "bad key ...",
        ),
        ('{"error": {"message": "no key"}}', '{"error": {"message": "no key"}}', "no key"),
        ('{"k-1": 1, "error": "x"}', '{...: 1, "error": "x"}', None),
    ],
)
def test_what_was_sent_in_secret_is_in_no_error(said: str, raw: str, message: str | None) -> None:
    """It is taken out before the error is read, also where what is left is no JSON any more."""
    reader = StreamReader(
        stream_dialect_of("/chat/completions"), shown=lambda text: text.replace('"k-1"', "...").replace("k-1", "...")
    )
    event = reader.read(ServerSentEvent("message", said))

    assert (event.kind, event.raw) == (EventKind.ERROR, raw)
    assert event.signals is not None
    assert message is None or event.signals.message == message
    assert "k-1" not in repr(event)
