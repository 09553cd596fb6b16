"""
What ``top`` shows: lines of text and style.

Law of this file: pure. The worst comes first and in full, with the sentence that says why it
waits; of what has no room the last line says how many, and what waits there. No line is wider
than the terminal. What colours say, words say too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs

from ..bulk.words import number, window
from .block import Part
from .cells import ELLIPSIS, PROGRAM, cells, cut, fold, span, squeeze
from .seen import Band, Client, Job, Key, Limit, Seen

_LEAST_NAME, _NAME = 8, 16
_LABEL: Final = 18
_BAR: Final = 12
_BARRED: Final = 70  # no bars where the terminal is narrower
_FULL: Final = 2  # from this badness on a key is shown in full
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_TONES: Final = ("dim", "", "bold", "bold red")
_MOST_CLIENTS: Final = 3
_COMMA: Final = re.compile(r"(?<=\d),(?=\d{3})")  # numbers are written one way on one screen
_LEARNED: Final = "learned"
_HIDDEN_SOURCES: Final = frozenset({"", "header"})


@attrs.frozen(kw_only=True)
class Frame:
    """
    What the lines are made for.

    Args:
        width, height: cells and lines; a height of None is as many as it takes.
        folds: sentences are broken where the line ends; else they are left whole.
        ascii_only: the terminal has nothing else.
    """

    width: int
    height: int | None = None
    folds: bool = True
    ascii_only: bool = False


@attrs.frozen(kw_only=True)
class Around:
    """
    What is not in the state.

    Args:
        where: the page.
        right: what stands at the right of the first line.
        lost: what is to be said while nothing comes, or "".
    """

    where: str
    right: str = ""
    lost: str = ""


def board(seen: Seen, around: Around, frame: Frame) -> list[list[Part]]:
    """The lines, from the top."""
    lines = [*_head(seen, around, frame), [], _titles(seen, frame)]
    room = None if frame.height is None else max(0, frame.height - len(lines))
    lines += _keys(seen, frame, room)
    if frame.height is not None:
        lines = lines[: frame.height]
    return [_fit(line, frame) for line in lines]


# -- the head -------------------------------------------------------------------------


def _head(seen: Seen, around: Around, frame: Frame) -> Iterator[list[Part]]:
    at = datetime.fromtimestamp(max(0.0, min(seen.at_s, 4e9)), UTC).strftime("%H:%M:%S UTC")
    left, right = f"{PROGRAM} top  {around.where}  {at}", around.right
    gap = frame.width - cells(left) - cells(right)
    yield [(left, "bold"), (f"{' ' * gap}{right}", "dim")] if right and gap >= 2 else [(left, "bold")]
    if around.lost:
        yield from ([(line, "bold red")] for line in _folded(around.lost, frame))
    for client in seen.clients[:_MOST_CLIENTS]:
        yield [(f"{client.name}  ", "bold"), (_client(client), "")]
    if more := seen.clients[_MOST_CLIENTS:]:
        queued, flying = sum(each.queued for each in more), sum(each.in_flight for each in more)
        yield [(f"and {len(more)} more clients: {number(queued)} queued, {number(flying)} in flight", "")]
    if not seen.clients:
        yield [("no client is shown there yet", "")]
    for job in seen.jobs[:_MOST_CLIENTS]:
        first, *rest = _folded(f"{job.name}: {_job(job)}", frame)
        yield [(first[: len(job.name)], "bold"), (first[len(job.name) :], "")]
        yield from ([(line, "")] for line in rest)


def _client(client: Client) -> str:
    words = f"{number(client.queued)} queued, {number(client.in_flight)} of {number(client.most)} in flight"
    keys, queued, flying = client.others
    if keys:
        words += f"; {number(keys)} small keys: {number(queued)} queued, {number(flying)} in flight"
    return words


def _job(job: Job) -> str:
    parts = [f"{number(job.done + job.failed)} of {number(job.total)} rows"]
    if job.failed:
        parts.append(f"{number(job.failed)} failed")
    if job.pace is not None:
        parts.append(f"{job.pace:.1f} rows/s")
    if job.left_s is not None:
        parts.append(f"about {span(job.left_s)} left")
    return ", ".join(parts) + (f": {job.state}" if job.state else "")


# -- one line a key -------------------------------------------------------------------


@attrs.frozen
class _Column:
    title: str
    size: int
    least: int  # it is shown from this width on


_COLUMNS: Final = (
    _Column("WAITS FOR", 17, 0),
    _Column("NEXT IN", 13, 44),
    _Column("QUEUED", 8, 0),
    _Column("OLDEST", 13, 104),
    _Column("IN FLIGHT", 11, 68),
    _Column("SENT/S", 8, 92),
    _Column("REFUSED/MIN", 13, 116),
)


def _shown(frame: Frame) -> list[_Column]:
    return [column for column in _COLUMNS if frame.width >= column.least or not frame.folds]


def _name_size(seen: Seen, frame: Frame) -> int:
    longest = max((cells(_name(key, seen)) for key in seen.keys), default=0)
    if not frame.folds:
        return max(_NAME, longest)
    room = frame.width - sum(column.size for column in _shown(frame))
    return max(_LEAST_NAME, min(room, max(_NAME, longest)))


def _name(key: Key, seen: Seen) -> str:
    return f"{key.client}/{key.model}" if len(seen.clients) > 1 else key.model


def _titles(seen: Seen, frame: Frame) -> list[Part]:
    size = _name_size(seen, frame)
    return [(f"{'MODEL':<{size}}" + "".join(f"{each.title:>{each.size}}" for each in _shown(frame)), "dim")]


def _row(key: Key, seen: Seen, frame: Frame) -> list[Part]:
    size = _name_size(seen, frame)
    name = squeeze(_name(key, seen), size)
    why = key.why
    texts = {
        "WAITS FOR": why.binding or "-",
        "NEXT IN": "-" if not why.binding else "?" if why.ready_s is None else _soon(why.ready_s),
        "QUEUED": number(key.queued),
        "OLDEST": span(key.oldest_s) if key.queued else "-",
        "IN FLIGHT": f"{number(key.in_flight)}/{number(key.window)}",
        "SENT/S": f"{key.pace:.1f}",
        "REFUSED/MIN": number(key.refused_lately),
    }
    cells_ = "".join(_right(texts[column.title], column.size) for column in _shown(frame))
    style = _TONES[key.badness]
    return [(name + " " * (size - cells(name)), style), (cells_, style)]


def _right(text: str, size: int) -> str:
    text = squeeze(text, size - 1)
    return " " * (size - cells(text)) + text


def _soon(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else span(seconds)


def _keys(seen: Seen, frame: Frame, room: int | None) -> list[list[Part]]:
    """As many as there is room for, the worst of them in full, and what is left out."""
    if not seen.keys and not seen.others[0]:
        return [[("no call was made yet", "dim")]]
    details = [_details(key, frame) for key in seen.keys]
    shown = len(seen.keys)
    if room is not None:
        details = _in(room, seen, details)
        taken = sum(map(len, details))
        if shown + bool(seen.others[0]) + taken > room:
            shown = max(0, room - 1 - taken)
    lines = []
    for key, more in zip(seen.keys[:shown], details, strict=False):
        lines += [_row(key, seen, frame), *more]
    rest = seen.keys[shown:]
    return [*lines, _rest(rest, seen)] if rest or seen.others[0] else lines


def _in(room: int, seen: Seen, details: list[list[list[Part]]]) -> list[list[list[Part]]]:
    """The details there is room for: where not all have a line, at most half of it, and the worst first."""
    taken, rows, found = 0, len(seen.keys) + bool(seen.others[0]), []
    for number_, (key, lines) in enumerate(zip(seen.keys, details, strict=True)):
        half = max(0, room // 2 - taken)
        if rows + taken + len(lines) > room and (key.badness < _FULL or len(lines) > half):
            lines = lines[:half] if number_ == 0 else []
        taken += len(lines)
        found.append(lines)
    return found


def _rest(keys: Sequence[Key], seen: Seen) -> list[Part]:
    """What has no line of its own."""
    count, queued, flying = seen.others
    count += len(keys)
    queued += sum(key.queued for key in keys)
    flying += sum(key.in_flight for key in keys)
    return [(f"and {number(count)} more: {number(queued)} queued, {number(flying)} in flight", "dim")]


# -- a key in full --------------------------------------------------------------------


def _details(key: Key, frame: Frame) -> list[list[Part]]:
    """Why, its limits, its queue, and the last minute."""
    lines: list[list[Part]] = []
    reason = _COMMA.sub(" ", key.why.reason)
    if reason:
        lines += [[(line, "bold" if key.queued else "")] for line in _folded(f"  {reason}", frame)]
    if key.first is not None and key.new.binding:
        when = "at a time that nobody knows" if key.new.ready_s is None else f"in {_soon(key.new.ready_s)}"
        ahead = f", behind {number(key.new.ahead)}" if key.new.ahead else ""
        lines.append([(f"  a call that comes now goes {when}{ahead}", "")])
    lines += [_limit(limit, key, frame) for limit in key.limits]
    waiting = [band for band in key.bands if band.queued]
    if len(waiting) > 1:
        lines.append([_label("queue"), ("; ".join(map(_band, waiting)), "")])
    if any(key.let_out[-_BAR:]) or key.refused_lately:
        refused = f", {number(key.refused_lately)} refused in the last minute" if key.refused_lately else ""
        lines.append([_label("sent"), *_sparks(key.let_out, frame), (f"{key.pace:.1f}/s{refused}", "")])
    return lines


def _label(text: str) -> Part:
    text = squeeze(text, _LABEL - 3)
    return (f"  {text}{' ' * (_LABEL - 2 - cells(text))}", "dim")


def _limit(limit: Limit, key: Key, frame: Frame) -> list[Part]:
    binds = key.why.binding == limit.name
    words = [f"{number(limit.level)} of {number(limit.limit)}/{window(limit.window_s)} left"]
    if limit.source == _LEARNED and limit.window_s:  # a rate, and no store to draw from
        words = [f"at most {limit.limit / limit.window_s:.3g} a second"]
    if limit.gate_s:
        words.append(f"closed for {_soon(limit.gate_s)}")
    if limit.foreign >= 0.005:
        ours = f"we take {1 - limit.foreign:.0%}, " if binds else ""
        words.append(f"{ours}others {limit.foreign:.0%}")
    if limit.reserve:
        words.append(f"{number(limit.reserve)} in reserve")
    if limit.burst is not None:
        words.append(f"{number(limit.burst)} at once")
    if limit.server is not None and limit.server != limit.level:
        words.append(f"the server said {number(limit.server)}")
    if limit.source not in _HIDDEN_SOURCES:
        words.append(limit.source)
    style = "bold" if binds else ""
    return [_label(limit.name), *_bar(limit.used, "red" if binds else "cyan", frame), (", ".join(words), style)]


def _bar(share: float, colour: str, frame: Frame) -> list[Part]:
    if frame.width < _BARRED:
        return [(f"{share:>4.0%} used  ", "")]
    full, empty = ("#", "-") if frame.ascii_only else ("━", "┄")
    filled = int(_BAR * share + 0.5)
    return [(full * filled, colour), (empty * (_BAR - filled), "dim"), (f" {share:>4.0%} used  ", "")]


def _band(band: Band) -> str:
    tokens = f" ({number(band.tokens)} tokens)" if band.tokens else ""
    return f"priority {band.priority}: {number(band.queued)}{tokens} for {span(band.oldest_s)}"


def _sparks(counts: Sequence[int], frame: Frame) -> list[Part]:
    """A second each, as many as a bar has cells."""
    if frame.ascii_only or frame.width < _BARRED:
        return []
    last = counts[-_BAR:]
    most = max(last, default=0) or 1
    drawn = "".join(_SPARKS[-(-count * (len(_SPARKS) - 1) // most)] if count else " " for count in last)
    return [(f"{drawn:>{_BAR}}  ", "green")]


# -- lines ----------------------------------------------------------------------------


def _folded(text: str, frame: Frame) -> list[str]:
    return fold(text, frame.width - 1) if frame.folds else [text]


def _fit(line: Sequence[Part], frame: Frame) -> list[Part]:
    """A line that ends where the terminal does."""
    found: list[Part] = []
    room = frame.width if frame.folds else sum(cells(text) for text, _ in line)
    for text, style in line:
        text = cut(text, room)
        found.append((text.replace(ELLIPSIS, "~") if frame.ascii_only else text, style))
        room -= cells(text)
    return found
