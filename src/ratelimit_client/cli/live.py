"""
The live block on a terminal, drawn with rich.

Law of this file: the only one that imports rich. A frame goes out in one write;
the cursor rests below the block, so that whatever ends the program, the prompt
comes after it.

Theory of a frame. The old block is wiped from its last line upwards, then the new
one is drawn. A terminal that was made narrower has broken the old lines: how high
the block stands now follows from their widths. A program that was stopped and goes
on finds other text above the cursor, and leaves it alone.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, TextIO

import rich.console
import rich.control
import rich.segment
import rich.text

from .block import Part, block, text_of
from .cells import cells
from .view import View
from .voice import Voice

_NARROWEST: Final = 20


class Live:
    """
    A block of a few lines that is drawn over and over.

    Args:
        every_s: how often.
        voice: whose messages go above it.
        no_color: no colours, whatever the terminal can.
        file: the terminal, stderr when None.
    """

    def __init__(self, *, every_s: float, voice: Voice, no_color: bool, file: TextIO | None = None) -> None:
        self.every_s = every_s
        self._voice = voice
        self.file = sys.stderr if file is None else file
        self._console = rich.console.Console(file=self.file, no_color=no_color or None, highlight=False)
        self._drawn: list[list[Part]] = []
        self._gone = False
        self._forget_on_continue = _on_continue(self._drawn.clear)
        voice.stream = _Above(self)  # type: ignore[assignment]  # write and flush are all a voice needs

    def show(self, view: View) -> None:
        """Draw the block anew."""
        width, height = self._console.size
        ascii_only = self._console.options.ascii_only
        self._frame([], block(view, max(width, _NARROWEST), height, ascii_only=ascii_only))

    def above(self, text: str) -> None:
        """A message, above the block."""
        self._frame([text], self._drawn)

    def close(self, view: View) -> None:
        """Take the block away; the summary takes its place."""
        self._voice.stream = None
        self._forget_on_continue()
        self._frame([], [])

    def _frame(self, messages: list[str], lines: list[list[Part]]) -> None:
        if self._gone:
            return
        console = self._console
        lines = list(lines)
        try:
            with console:  # one write
                console.control(_wipe(lines_high(self._drawn, console.width)))
                for message in messages:
                    console.print(rich.text.Text(message), soft_wrap=True)
                for line in lines:
                    console.print(rich.text.Text.assemble(*line), no_wrap=True, overflow="crop", crop=False)
        except (OSError, ValueError):  # the terminal is gone; the run goes on
            self._gone = True
        self._drawn[:] = lines


class _Above:
    """Messages go above the block."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def write(self, text: str) -> None:
        self._live.above(text.rstrip("\n"))

    def isatty(self) -> bool:
        return self._live.file.isatty()

    def fileno(self) -> int:
        return self._live.file.fileno()

    def flush(self) -> None:
        """Written at once."""


def lines_high(drawn: list[list[Part]], width: int) -> int:
    """Lines of the terminal that a block takes, once the terminal is *width* cells wide."""
    return sum(max(1, -(-cells(text_of(line)) // max(1, width))) for line in drawn)


def _wipe(lines: int) -> rich.control.Control:
    kinds = rich.segment.ControlType
    up: list[Any] = [(kinds.CURSOR_UP, 1), (kinds.ERASE_IN_LINE, 2)]
    return rich.control.Control(kinds.CARRIAGE_RETURN, (kinds.ERASE_IN_LINE, 2), *(up * lines))


def _on_continue(forget: Callable[[], None]) -> Callable[[], None]:
    """Call *forget* whenever the program goes on after it was stopped; returns what ends that."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        forget()

    try:
        before = signal.signal(signal.SIGCONT, on_signal)
    except (ValueError, AttributeError):  # not the main thread, or no such signal
        return lambda: None

    def end() -> None:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGCONT, before or signal.SIG_DFL)

    return end
