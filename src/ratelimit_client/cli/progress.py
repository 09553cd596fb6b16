"""
Showing a run while it runs: a live block, plain lines, JSON lines, or nothing.

Law of this file: whoever watches costs nothing. The display asks for a view now
and then; a terminal that cannot be written to ends the display, not the run.

Which one: a live block on a terminal that can draw one, that no rows run through,
and where rich is installed; a line each 30 s elsewhere. ``NO_COLOR``, ``TERM=dumb``
and ``CI`` are obeyed.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TextIO, TypeAlias

import attrs

from .view import View
from .voice import Voice

if TYPE_CHECKING:
    from .live import Live

_PLAIN_EVERY_S: Final = 30.0
_JSON_EVERY_S: Final = 5.0
_LIVE_EVERY_S: Final = 0.25

Look = Callable[[], View]


@attrs.define(eq=False)
class Plain:
    """One line now and then."""

    voice: Voice
    every_s: float = _PLAIN_EVERY_S

    def show(self, view: View) -> None:
        self.voice.say(view.sentence())

    def close(self, view: View) -> None:
        """The summary says the rest."""


@attrs.define(eq=False)
class JsonLines:
    """One object a line."""

    voice: Voice
    every_s: float = _JSON_EVERY_S

    def show(self, view: View) -> None:
        self.voice.write(json.dumps({"progress": view.facts()}), whole=True)

    def close(self, view: View) -> None:
        self.show(view)


class Nothing:
    """No display."""

    every_s: float = 3600.0

    def show(self, view: View) -> None:
        """Nothing."""

    def close(self, view: View) -> None:
        """Nothing."""


Display: TypeAlias = "Plain | JsonLines | Nothing | Live"


def mode_for(asked: str, *, is_terminal: bool, environment: Mapping[str, str], has_rich: bool) -> str:
    """Which display fits: live, plain, json or none."""
    if asked == "live":
        return "live" if has_rich else "plain"
    if asked != "auto":
        return asked
    dumb = environment.get("TERM") == "dumb" or bool(environment.get("CI"))
    return "live" if is_terminal and has_rich and not dumb else "plain"


def has_rich() -> bool:
    """Is the extra [cli] installed?"""
    return find_spec("rich") is not None


def display_for(asked: str, voice: Voice, environment: Mapping[str, str], *, out: str = "") -> Display:
    """
    The display the user asked for, as far as it can be had.

    Args:
        out: where the rows go; on a terminal, and through a pipe that may end on one, they would tear a block.
    """
    is_terminal = sys.stderr is not None and sys.stderr.isatty() and not (out == "-" and _may_be_seen(sys.stdout))
    mode = mode_for(asked, is_terminal=is_terminal, environment=environment, has_rich=has_rich())
    if asked == "live" and mode != "live":
        voice.say("a live display needs rich: pip install 'ratelimit-client[cli]'; showing plain lines")
    if mode == "live":
        from .live import Live

        return Live(every_s=_LIVE_EVERY_S, voice=voice, no_color=bool(environment.get("NO_COLOR")))
    if mode == "json":
        return JsonLines(voice)
    return Nothing() if mode == "none" else Plain(voice)


def _may_be_seen(stream: TextIO) -> bool:
    try:
        return stream.isatty() or stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):  # closed, or nothing that the system knows
        return False


async def keep_showing(display: Display, look: Look) -> None:
    """Show the run until cancelled."""
    while True:
        await asyncio.sleep(display.every_s)
        display.show(look())
