"""
A program on a terminal of its own, and what the terminal shows.

Law of this file: the terminal is a real one (a pty); what it shows is kept as a terminal would,
as far as the program goes: the cursor is moved, lines are wiped, a second screen comes and goes.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

PATIENCE_S = 60.0
_CODE = re.compile(r"\x1b\[(?P<what>[?0-9;]*)(?P<how>[a-zA-Z])|(?P<text>[^\x1b]+)|(?P<rest>\x1b.?)", re.DOTALL)


class Terminal:
    """
    Args:
        text: everything that was ever written there.
        screen: the lines of the second screen, while it is on.
        shell: what was written to the first one.
        frames: how often the screen was begun anew.
    """

    def __init__(self, width: int, height: int) -> None:
        self.text = ""
        self.screen: list[str] = []
        self.shell = ""
        self.frames = 0
        self.second = False
        self.cursor = True
        self._y = self._x = 0
        self._rest = ""
        self.master, self.slave = os.openpty()
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """As when somebody pulls at a corner of its window."""
        self.width, self.height = width, height
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.screen = [""] * height

    @property
    def settings(self) -> list[Any]:
        """How it takes keys."""
        return termios.tcgetattr(self.slave)

    def feed(self, text: str) -> None:
        """What the program wrote."""
        self.text += text
        text, self._rest = self._rest + text, ""
        for found in _CODE.finditer(text):
            if found["rest"] is not None or (found.end() == len(text) and found["text"] is None and not found["how"]):
                self._rest = text[found.start() :]
                return
            if found["text"] is not None:
                self._write(found["text"])
            else:
                self._obey(found["what"], found["how"])

    def _write(self, text: str) -> None:
        if not self.second:
            self.shell += text
            return
        assert not set(text) & {"\n", "\r", "\t", "\b"}, "it writes lines by their places"
        line = self.screen[self._y]
        self.screen[self._y] = f"{line:<{self._x}}"[: self._x] + text + line[self._x + len(text) :]
        self._x += len(text)

    def _obey(self, what: str, how: str) -> None:
        match how, what:
            case (("h" | "l"), "?1049"):
                self.second = how == "h"
            case (("h" | "l"), "?25"):
                self.cursor = how == "h"
            case "H", _:
                y, x = (int(each or 1) - 1 for each in (what or "1;1").split(";"))
                self._y, self._x = min(y, self.height - 1), x
                self.frames += y == 0
            case "K", "2":
                self.screen[self._y] = ""
            case "m", _:
                pass
            case _:
                raise AssertionError(f"an unknown code: {what}{how}")


class Watched:
    """The program, its terminal, and the keys that are pressed."""

    def __init__(self, terminal: Terminal, process: asyncio.subprocess.Process) -> None:
        self.terminal = terminal
        self.process = process
        self._news = asyncio.Event()

    def heard(self) -> None:
        try:
            data = os.read(self.terminal.master, 65536)
        except OSError:  # nobody has it open any more
            asyncio.get_running_loop().remove_reader(self.terminal.master)
            data = b""
        self.terminal.feed(data.decode())
        self._news.set()

    def press(self, keys: str) -> None:
        os.write(self.terminal.master, keys.encode())

    def resize(self, width: int, height: int) -> None:
        self.terminal.resize(width, height)
        self.process.send_signal(signal.SIGWINCH)

    async def until(self, holds: Callable[[Terminal], object]) -> None:
        """Wait for what the terminal shows."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(self.terminal):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError("\n".join(("it shows", *self.terminal.screen, self.terminal.shell))) from None

    async def shows(self, words: str) -> None:
        """Wait for words."""
        await self.until(lambda terminal: terminal.second and any(words in line for line in terminal.screen))

    async def ends(self) -> int:
        """Wait for its end; the exit code."""
        async with asyncio.timeout(PATIENCE_S):
            code = await self.process.wait()
        # What it wrote last may still be on the way.
        await self.until(lambda terminal: not terminal.second)
        return code


@asynccontextmanager
async def watched(*arguments: str, width: int = 100, height: int = 30, **environment: str) -> AsyncIterator[Watched]:
    """Run ``python -m ratelimit_client ARGUMENTS`` on a terminal."""
    terminal = Terminal(width, height)
    plain = {
        name: text for name, text in os.environ.items() if not name.startswith(("RATELIMIT_", "NO_COLOR", "COLUM"))
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ratelimit_client",
        *arguments,
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
        env={**plain, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
    )
    it = Watched(terminal, process)
    asyncio.get_running_loop().add_reader(terminal.master, it.heard)
    try:
        yield it
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(terminal.master)
        os.close(terminal.master)
        os.close(terminal.slave)
