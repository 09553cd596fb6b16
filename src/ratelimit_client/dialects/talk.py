"""
What the next response of a realtime session will cost, as far as the session shows it.

Law of this file: it looks at what went over the socket, in both directions, and never
raises for what that is. What the server has counted counts as counted; what was said
since is estimated as the body of any call is.

Theory: a response is charged for the whole conversation, which stays at the server, so the
event that asks for it shows next to nothing of its cost. But each ``response.done`` tells how
many tokens the conversation had, input and output, and the next one begins with those. To
them comes what was sent since: texts and pictures as in any body, sound by its length. Sound
of an unknown form is taken for pcm16 at 24 kHz, the default: 64 000 characters a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.estimate import Features
from .features import features_of, tokens_used, whole_tokens
from .prompts import sound_chars

ENDPOINT = "/realtime"

_MOST = 10**9
_FORM = "pcm16"
_ASKS = ("instructions", "input", "tools")
_BOUNDS = ("max_output_tokens", "max_response_output_tokens")


class Talk:
    """The cost of one session's responses, seen from what was sent and heard."""

    __slots__ = ("_aside", "_chars", "_counted", "_flat", "_max_output", "_settings", "_sound")

    def __init__(self) -> None:
        self._counted = 0
        self._chars = self._aside = self._flat = self._sound = 0
        self._settings = features_of({}, ENDPOINT)
        self._max_output = 0

    def __repr__(self) -> str:
        return f"<Talk of {self._counted} tokens, and {self._chars} characters since>"

    def sent(self, event: Mapping[str, Any]) -> None:
        """The client said *event*."""
        name = event.get("type")
        if name == "input_audio_buffer.append":
            self._sound = min(_MOST, self._sound + _length(event))
        elif name == "input_audio_buffer.clear":
            self._sound = 0
        elif name == "conversation.item.create":
            self._take(event.get("item"))
        elif name == "session.update":
            self.settings(event.get("session"))

    def settings(self, session: object) -> None:
        """The settings of the session are these, as far as they are named."""
        if isinstance(session, Mapping):
            self._settings = features_of({name: session.get(name) for name in _ASKS}, ENDPOINT)
            self._max_output = _bound(session, self._max_output)

    def used(self, usage: Mapping[str, Any] | None) -> None:
        """A response is over: the conversation has as many tokens as that says."""
        total = tokens_used(usage)
        if total:
            self._counted = min(_MOST, total)
            self._chars = self._aside = self._flat = self._sound = 0

    def features(self, event: Mapping[str, Any]) -> Features:
        """What the response that *event* asks for shows of its cost."""
        found = event.get("response")
        own = found if isinstance(found, Mapping) else {}
        shown = features_of({name: own.get(name) for name in _ASKS}, ENDPOINT)
        output = _bound(own, self._max_output)
        if own.get("conversation") == "none":  # it begins with what it brings, and with nothing else
            return Features(shown.chars, output, shown.fixed, ENDPOINT, aside=shown.aside, flat=shown.flat)
        once = features_of({}, ENDPOINT) if self._counted else self._settings
        sound = sound_chars(self._sound * 3 // 4, _FORM)
        return Features(
            min(_MOST, shown.chars + self._chars + once.chars),
            output,
            self._counted + shown.fixed,
            ENDPOINT,
            aside=min(_MOST, shown.aside + self._aside + once.aside + sound),
            flat=min(_MOST, shown.flat + self._flat),
        )

    def _take(self, item: object) -> None:
        found = features_of({"input": [item]}, ENDPOINT)
        self._chars = min(_MOST, self._chars + found.chars)
        self._aside = min(_MOST, self._aside + found.aside)
        self._flat = min(_MOST, self._flat + found.flat)
        content = item.get("content") if isinstance(item, Mapping) else None
        for part in content if isinstance(content, list) else ():
            self._sound = min(_MOST, self._sound + _length(part))


def _length(part: object) -> int:
    """Characters of the sound in it."""
    sound = part.get("audio") if isinstance(part, Mapping) else None
    return len(sound) if isinstance(sound, str) else 0


def _bound(settings: Mapping[str, Any], otherwise: int) -> int:
    """The most output that is allowed; "inf" is no bound that anybody would pay for."""
    return next((whole_tokens(settings[name]) for name in _BOUNDS if name in settings), otherwise)
