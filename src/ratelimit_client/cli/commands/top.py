"""
``top``: what a running process does, and why its calls wait.

Law of this file: it looks and changes nothing. On a terminal it looks again and again, until it
is left; elsewhere, or with ``--once``, it looks once, prints it, and ends. While nothing comes
the last numbers stay, with since when.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import attrs

from ..args import Request
from ..block import text_of
from ..board import Around, Frame, board
from ..cells import span
from ..endpoint import Endpoint, NoAnswer, NotAPage, Place, place
from ..progress import has_rich
from ..report import print_lines
from ..seen import Seen
from ..voice import Voice

if TYPE_CHECKING:
    from ..screen import Screen

_NOBODY, _NOT_OURS = 1, 2
_TERMINATED: Final = 143
_WIDE: Final = 100
_LEAST_TICK_S: Final = 1.0
_LEAVE: Final = frozenset("qQ\x04")  # Ctrl-D; Ctrl-C is a signal


def main(request: Request, voice: Voice) -> int:
    """Watch, or look once."""
    options = request.options
    where = place(options["input"])
    if options["json"] or options["once"] or not _can_watch(voice):
        return asyncio.run(_once(where, voice, as_json=options["json"]))
    return asyncio.run(_watch(where, options["every"], voice))


def _can_watch(voice: Voice) -> bool:
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return False
    if not has_rich():
        voice.say("a live display needs rich: pip install 'ratelimit-client[cli]'; showing it once")
        return False
    return True


# -- once -----------------------------------------------------------------------------


async def _once(where: Place, voice: Voice, *, as_json: bool) -> int:
    async with Endpoint(where) as endpoint:
        try:
            seen = await endpoint.look()
        except NoAnswer as error:
            voice.fail(str(error))
            return _NOBODY
        except NotAPage as error:
            voice.fail(str(error))
            return _NOT_OURS
    if as_json:
        print_lines([json.dumps(_facts(seen, where))], whole=True)
    else:
        print_lines((text_of(line).rstrip() for line in board(seen, Around(where=where.shown), _frame())), whole=True)
    return 0


def _frame() -> Frame:
    """As wide as a terminal; elsewhere a sentence is a line."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else _WIDE
    utf = (sys.stdout.encoding or "").lower().startswith("utf")
    return Frame(width=width, folds=terminal, ascii_only=not utf)


def _facts(seen: Seen, where: Place) -> dict[str, Any]:
    """For machines: all keys in the order of the screen."""
    keys = [
        {**attrs.asdict(key), "waits_for": key.why.binding or None, "next_in_s": key.why.ready_s} for key in seen.keys
    ]
    for key in keys:
        del key["let_out"]
    return {"page": where.shown, **attrs.asdict(seen, recurse=True), "keys": keys}


# -- watching -------------------------------------------------------------------------


async def _watch(where: Place, every_s: float, voice: Voice) -> int:
    from ..screen import Screen

    async with Endpoint(where) as endpoint:
        watcher = Watcher(endpoint, every_s)
        try:
            watcher.see(await endpoint.look())  # what is wrong from the start is said, and no screen is taken
        except NoAnswer as error:
            voice.fail(str(error))
            return _NOBODY
        except NotAPage as error:
            voice.fail(str(error))
            return _NOT_OURS
        screen = Screen(no_color=bool(os.environ.get("NO_COLOR")))
        with screen.taken(), _signals(watcher, screen):
            await watcher.run(screen)
    return watcher.code


@attrs.define(eq=False)
class Watcher:
    """
    Looks each *every_s* seconds, and draws whenever there is something new to see.

    Args:
        code: the exit code.
        now_s: a clock that only goes on.
    """

    endpoint: Endpoint
    every_s: float
    code: int = 0
    now_s: Callable[[], float] = time.monotonic
    _seen: Seen | None = None
    _trouble: str = ""
    _heard_s: float = 0.0
    _ended: bool = False
    _woken: asyncio.Event = attrs.field(factory=asyncio.Event)

    def see(self, seen: Seen) -> None:
        """The page answered."""
        self._seen, self._trouble, self._heard_s = seen, "", self.now_s()

    def end(self, code: int = 0) -> None:
        """Leave."""
        self._ended, self.code = True, code
        self._woken.set()

    def wake(self) -> None:
        """Draw anew."""
        self._woken.set()

    async def run(self, screen: Screen) -> None:
        """Until it is ended."""
        next_s = self.now_s() + self.every_s
        looking: asyncio.Task[None] | None = None
        try:
            while not self._ended:
                if looking is None and self.now_s() >= next_s:
                    looking = asyncio.create_task(self._look())
                    looking.add_done_callback(lambda _: self.wake())
                if looking is not None and looking.done():
                    looking.result()
                    looking, next_s = None, self.now_s() + self.every_s
                self.draw(screen)
                until_s = next_s - self.now_s() if looking is None else _LEAST_TICK_S
                await self._rest(min(_LEAST_TICK_S, max(0.01, until_s)))
        finally:
            if looking is not None:
                looking.cancel()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    async def _look(self) -> None:
        try:
            self.see(await self.endpoint.look())
        except (NoAnswer, NotAPage) as error:
            self._trouble = str(error)

    def draw(self, screen: Screen) -> None:
        """What was seen last."""
        assert self._seen is not None, "it has looked once"
        width, height = screen.size
        lost = ""
        if self._trouble:
            lost = f"no news for {span(self.now_s() - self._heard_s)}, these are the last: {self._trouble}"
        each = f"each {self.every_s:g} s; q leaves"
        around = Around(where=self.endpoint.place.shown, right=each, lost=lost)
        try:
            screen.show(board(self._seen, around, Frame(width=width, height=height, ascii_only=screen.ascii_only)))
        except (OSError, ValueError):  # the terminal is gone
            self.end()


@contextlib.contextmanager
def _signals(watcher: Watcher, screen: Screen) -> Iterator[None]:
    """Keys and signals reach *watcher*, while the block runs."""
    loop = asyncio.get_running_loop()
    fds: list[int] = []

    def on_key() -> None:
        keys = screen.pressed()
        if not keys:
            loop.remove_reader(fds.pop())  # the terminal is gone
        if not keys or set(keys) & _LEAVE:
            watcher.end()

    def on_pause() -> None:
        screen.pause()
        watcher.wake()

    def listen(fd: int) -> None:
        fds.append(fd)
        loop.add_reader(fd, on_key)

    actions: dict[str, Callable[[], object]] = {
        "SIGINT": watcher.end,
        "SIGTERM": lambda: watcher.end(_TERMINATED),
        "SIGHUP": lambda: watcher.end(_TERMINATED),
        "SIGWINCH": watcher.wake,
        "SIGTSTP": on_pause,
    }
    handled = []
    screen.on_key(listen)
    # Where a system has no such signals Ctrl-C ends it as it does any program.
    with contextlib.suppress(NotImplementedError, AttributeError):
        for name, act in actions.items():
            number = getattr(signal, name)
            loop.add_signal_handler(number, act)
            handled.append(number)
    try:
        yield
    finally:
        for fd in fds:
            loop.remove_reader(fd)
        for number in handled:
            loop.remove_signal_handler(number)
