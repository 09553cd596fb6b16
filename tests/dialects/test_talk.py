"""What went over a socket shows what its next response costs."""

from __future__ import annotations

import pytest

from ratelimit_client.core.estimate import Features
from ratelimit_client.dialects.talk import Talk

CREATE = {"type": "response.create"}


def item(*content, **members):
    return {"type": "conversation.item.create", "item": {"type": "message", "content": list(content), **members}}


def text(chars):
    return {"type": "input_text", "text": "x" * chars}


def said(*events):
    talk = Talk()
    for event in events:
        talk.sent(event)
    return talk


def shown(talk, event=CREATE):
    """Characters, bound of the output, what is known exactly, and what may be counted."""
    found = talk.features(event)
    assert found.endpoint == "/realtime"
    return found.chars, found.max_output, found.fixed, found.aside


def test_texts_are_counted_until_the_server_has():
    """Then it says how many tokens all of it was, and only what came since is estimated."""
    talk = said(item(text(400)), item(text(100), text(20)))
    assert shown(talk) == (520, 0, 0, 0)
    talk.used({"total_tokens": 150, "input_tokens": 130, "output_tokens": 20})
    assert shown(talk) == (0, 0, 150, 0)
    talk.sent(item(text(40)))
    assert shown(talk) == (40, 0, 150, 0)


@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": 0}, {"total_tokens": "many"}])
def test_a_use_that_is_none_changes_nothing(usage):
    """A response that failed tells zeros."""
    talk = said(item(text(400)))
    talk.used(usage)
    assert shown(talk) == (400, 0, 0, 0)


def test_sound_is_counted_by_its_length():
    """A second of pcm16, 64 000 characters, is ten tokens, which are forty characters; what is cleared is not said."""
    second = {"type": "input_audio_buffer.append", "audio": "A" * 64_000}
    assert shown(said(second, second)) == (0, 0, 0, 80)
    assert shown(said(second, {"type": "input_audio_buffer.clear"})) == (0, 0, 0, 0)
    assert shown(said(item({"type": "input_audio", "audio": "A" * 64_000}, text(4)))) == (4, 0, 0, 40)


def test_settings_are_charged_until_they_are_counted():
    """Instructions and tools belong to every conversation; a bound holds from then on."""
    talk = said({"type": "session.update", "session": {"instructions": "y" * 80, "max_output_tokens": 500}})
    assert shown(talk) == (80, 500, 0, 0)
    talk.used({"total_tokens": 25})
    assert shown(talk) == (0, 500, 25, 0)
    talk.sent({"type": "session.update", "session": {"max_output_tokens": "inf"}})
    assert shown(talk) == (0, 0, 25, 0)


def test_settings_keep_the_bound_they_do_not_name():
    """As the server does."""
    talk = said({"type": "session.update", "session": {"max_response_output_tokens": 70}})
    talk.settings({"instructions": "z"})
    assert shown(talk) == (1, 70, 0, 0)


def test_a_response_may_have_wishes_of_its_own():
    """They come to what is there."""
    talk = said(item(text(40)))
    wishes = {"type": "response.create", "response": {"instructions": "y" * 8, "max_output_tokens": 9}}
    assert shown(talk, wishes) == (48, 9, 0, 0)


def test_a_response_outside_the_conversation_begins_with_nothing():
    """But with what it brings."""
    talk = said(item(text(40)))
    talk.used({"total_tokens": 1000})
    alone = {"conversation": "none", "input": [{"role": "user", "content": "x" * 12}], "max_output_tokens": 5}
    assert talk.features({"type": "response.create", "response": alone}) == Features(12, 5, 0, "/realtime")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "input_audio_buffer.append", "audio": 7},
        {"type": "conversation.item.create"},
        {"type": "conversation.item.create", "item": {"content": "text"}},
        {"type": "conversation.item.create", "item": {"content": [7]}},
        {"type": "session.update", "session": None},
        {"type": "response.create", "response": None},
    ],
)
def test_what_is_no_event_costs_nothing(event):
    """And raises nothing."""
    talk = said(event)
    assert talk.features(event).max_output == 0
    assert talk.features(event).aside == 0


def test_a_repr_tells_where_it_stands():
    """For a debugger."""
    assert repr(said(item(text(3)))) == "<Talk of 0 tokens, and 3 characters since>"
