"""
Which bucket a reading belongs to.

Law of this file: it is decided here, and nowhere else. There is one bucket per
(dimension, window); a reading makes a new one only where none fits, and never
removes another.

Theory. A reading goes to the bucket whose window it determines; else to the one
whose limit equals; else where it last went; else to a new one with the dialect's
usual window. A window that was only assumed gives way to one that was determined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .bucket import Bucket
from .lines import Line
from .profile import Refill
from .signals import Reading
from .ticket import Ticket
from .units import to_ns
from .windows import infer_window_ns

if TYPE_CHECKING:
    from .budget import Budget

_DIMENSIONS_MAX = 32
_WINDOWS_MAX = 8


def line_of(budget: Budget, name: str, reading: Reading, ticket: Ticket, refused: bool, *, now_ns: int) -> Line | None:
    """The bucket that *reading*, called *name* and of an answer to *ticket*, speaks of; None: of none we know."""
    lines = budget.lines.get(name, [])
    limit = int(reading.limit) if reading.limit is not None else None
    window_ns = _window_ns(budget, name, reading, ticket, refused)
    if budget.profile.reset_is_exact and window_ns is not None and reading.reset_s is not None:
        known = _match(lines, None, limit) or budget.went.get(name)
        if known is not None and not known.resets.tells_window:
            window_ns = None
    line = _match(lines, window_ns, limit) or budget.went.get(name)
    if window_ns is not None and line is not None and line.bucket.window_ns != window_ns:
        line = _rewindow(budget, line, window_ns, limit, now_ns=now_ns)
    if line is None:
        line = _new_line(budget, name, limit, window_ns, lines, reading, now_ns=now_ns)
    if line is not None:
        budget.went[name] = line
    return line


def _window_ns(budget: Budget, name: str, reading: Reading, ticket: Ticket, refused: bool) -> int | None:
    """The window a reading tells; whether a refused call has paid anything, and so what was used, nobody knows."""
    by_reset = budget.profile.reset_is_exact and reading.reset_s is not None
    if reading.window_s is not None and not (refused and by_reset):
        return to_ns(reading.window_s) or None
    if not by_reset or reading.reset_s is None or reading.limit is None or reading.remaining is None:
        return None
    own, _, _ = ticket.mark(budget.profile.pays.get(name, name))
    paid = 0 if refused else max(1, own)
    return infer_window_ns(int(reading.limit), int(reading.remaining), to_ns(reading.reset_s), paid)


def _match(lines: list[Line], window_ns: int | None, limit: int | None) -> Line | None:
    for line in lines:
        if line.bucket.window_ns == window_ns:
            line.provisional = False
            return line
    for line in lines:
        if line.bucket.limit == limit and (window_ns is None or line.bucket.ceiling is None):
            return line
    return None


def _rewindow(budget: Budget, line: Line, window_ns: int, limit: int | None, *, now_ns: int) -> Line | None:
    """
    A bucket whose window was only assumed takes the one that was determined; any other stays.

    Two windows read off one limit are a mistake of ours about a server whose ``reset`` is no time to full. The
    shorter is kept: it is put right by refusals, the longer would hold calls back for days.
    """
    bucket = line.bucket
    if bucket.limit != limit:
        return None
    if not line.provisional:
        if bucket.ceiling is not None:
            return None
        if window_ns > bucket.window_ns:
            return line
    line.set_window(window_ns, now_ns=now_ns)
    budget.rebuild()
    return line


def _new_line(
    budget: Budget,
    name: str,
    limit: int | None,
    window_ns: int | None,
    lines: list[Line],
    reading: Reading,
    *,
    now_ns: int,
) -> Line | None:
    default_ns = to_ns(budget.profile.default_window_s)
    if window_ns is None:
        for line in lines:
            if line.bucket.window_ns == default_ns:
                return line
    if limit is None or limit <= 0 or len(budget.lines) >= _DIMENSIONS_MAX:
        return None
    if len(lines) >= _WINDOWS_MAX:
        return budget.went.get(name)
    refill = budget.profile.refill
    if refill is Refill.UNKNOWN:
        refill = Refill.CONTINUOUS if reading.reset_s is None else Refill.WINDOW
    bucket = Bucket.full(
        name,
        limit,
        window_ns or default_ns,
        pays=budget.profile.pays.get(name),
        refill=refill,
        source="header",
        now_ns=now_ns,
    )
    return budget.add_line(bucket, provisional=window_ns is None)
