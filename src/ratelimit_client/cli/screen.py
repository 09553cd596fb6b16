"""
A whole terminal, for as long as somebody watches.

Law of this file: whatever ends the program, the terminal is as it was: what stood on it, its
cursor, and how it takes keys. A frame goes out in one write, and wipes each line that it writes,
so that nothing flickers.

Theory. Keys come one by one only where the terminal is told so (cbreak); the keys that make
signals still do. A program that is stopped gives the terminal back before, and takes it again
when it goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

import attrs
import rich.console
import rich.control
import rich.text

from .block import Part


@attrs.define(eq=False)
class Screen:
    """
    Args:
        no_color: no colours, whatever the terminal can.
        file: the terminal; stdout when None.
        keys: where keys come from; stdin when None.
    """

    no_color: bool
    file: TextIO | None = None
    keys: int | None = None
    _console: rich.console.Console = attrs.field(init=False)
    _before: list[Any] | None = None
    _on: bool = False
    _height: int = 0

    def __attrs_post_init__(self) -> None:
        self._console = rich.console.Console(
            file=sys.stdout if self.file is None else self.file, no_color=self.no_color or None, highlight=False
        )

    @property
    def size(self) -> tuple[int, int]:
        """Cells and lines, now."""
        return self._console.size

    @property
    def ascii_only(self) -> bool:
        """It cannot show more."""
        return self._console.options.ascii_only

    def enter(self) -> None:
        """Take the terminal. Twice is as good as once."""
        if self._on:
            return
        self._on = True
        self._height = 0
        self._take_keys()
        with self._console:
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)

    def leave(self) -> None:
        """Give it back. Twice is as good as once; a terminal that is gone needs nothing."""
        if not self._on:
            return
        self._on = False
        self._give_keys_back()
        with contextlib.suppress(OSError, ValueError), self._console:
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)

    def show(self, lines: Sequence[Sequence[Part]]) -> None:
        """One frame, from the top left."""
        width, height = self.size
        with self._console:
            for y in range(max(height, self._height)):
                self._console.control(rich.control.Control.move_to(0, min(y, height - 1)), _WIPE)
                if y < min(len(lines), height):
                    text = rich.text.Text.assemble(*lines[y], no_wrap=True, end="")
                    text.truncate(width)
                    self._console.print(text, no_wrap=True, overflow="crop", crop=False, end="")
        self._height = height

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """While the block runs the terminal is this program's."""
        try:
            self.enter()
            yield
        finally:
            self.leave()

    def pause(self) -> None:
        """Stop, as Ctrl-Z asks, with the terminal given back; return when the program goes on, with the terminal."""
        self.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.enter()

    def pressed(self) -> str:
        """The keys that wait."""
        try:
            return os.read(self._keys_fd(), 64).decode("ascii", "replace")
        except OSError:
            return ""

    def on_key(self, listen: Callable[[int], None]) -> None:
        """Tell *listen* where keys come from, if they do."""
        if self._before is not None:
            listen(self._keys_fd())

    def _keys_fd(self) -> int:
        return sys.stdin.fileno() if self.keys is None else self.keys

    def _take_keys(self) -> None:
        try:
            import termios
            import tty

            fd = self._keys_fd()
            self._before = termios.tcgetattr(fd)
            tty.setcbreak(fd)
        except (ImportError, OSError, ValueError, AttributeError):  # not on Windows, and from no file
            self._before = None
        except termios.error:  # what is no terminal has no keys
            self._before = None

    def _give_keys_back(self) -> None:
        if self._before is None:
            return
        import termios

        with contextlib.suppress(termios.error, OSError, ValueError):
            termios.tcsetattr(self._keys_fd(), termios.TCSAFLUSH, self._before)
        self._before = None


_WIPE = rich.control.Control((rich.segment.ControlType.ERASE_IN_LINE, 2))
