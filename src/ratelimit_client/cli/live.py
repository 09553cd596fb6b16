"""
The live block on a terminal, drawn with rich.

Law of this file: the only one that imports rich.
"""

from __future__ import annotations

import sys

import rich.console
import rich.live
import rich.progress_bar
import rich.table
import rich.text

from ..bulk.summary import duration
from .view import View
from .voice import Voice

_BAR_WIDTH = 32


class Live:
    """A block of a few lines that is drawn over and over."""

    def __init__(self, *, every_s: float, voice: Voice, no_color: bool) -> None:
        self.every_s = every_s
        self._voice = voice
        self._console = rich.console.Console(file=sys.stderr, no_color=no_color or None, highlight=False)
        self._live = rich.live.Live(console=self._console, auto_refresh=False, redirect_stdout=False, transient=True)
        self._gone = False
        voice.stream = _Above(self._console)  # type: ignore[assignment]  # write and flush are all a voice needs

    def show(self, view: View) -> None:
        """Draw the block anew."""
        if self._gone:
            return
        try:
            if not self._live.is_started:
                self._live.start()
            self._live.update(block(view), refresh=True)
        except OSError:  # the terminal is gone; the run goes on
            self._gone = True

    def close(self, view: View) -> None:
        """Take the block away; the summary takes its place."""
        self._voice.stream = None
        if self._gone or not self._live.is_started:
            return
        try:
            self._live.stop()
        except OSError:
            self._gone = True


class _Above:
    """Messages go above the block."""

    def __init__(self, console: rich.console.Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        self._console.print(rich.text.Text(text.rstrip("\n")))

    def flush(self) -> None:
        """Printed at once."""


def block(view: View) -> rich.table.Table:
    """What the block shows."""
    table = rich.table.Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("rows", _bar(view.done, view.total))
    table.add_row("", f"{view.rate:.1f} rows/s, {view.failed} failed, {duration(view.seconds)} so far{_eta(view)}")
    if view.limit is not None and view.share is not None:
        table.add_row("limit", _share(view.share, view.limit))
    table.add_row("calls", f"{view.in_flight} in flight, {view.queued} queued, {view.refused} refused")
    table.add_row("now", view.state)
    return table


def _eta(view: View) -> str:
    return "" if view.eta_s is None else f", about {duration(view.eta_s)} left"


def _bar(done: int, total: int | None) -> rich.table.Table:
    row = rich.table.Table.grid(padding=(0, 1))
    bar = rich.progress_bar.ProgressBar(total=float(total) if total else None, completed=float(done), width=_BAR_WIDTH)
    row.add_row(bar, f"{done} of {total}" if total is not None else str(done))
    return row


def _share(share: float, limit: str) -> rich.table.Table:
    row = rich.table.Table.grid(padding=(0, 1))
    bar = rich.progress_bar.ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH)
    row.add_row(bar, f"{share:.0%} of {limit} used")
    return row
