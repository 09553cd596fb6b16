"""What is drawn of the results. A plot of a part that was not measured is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from .svg import WIDTH, Axis, Drawing, Kind, apart

_LEFT: Final = 66
_RIGHT: Final = WIDTH - 150
_TOP: Final = 74
_STEP: Final = 42


# ---- the race ----------------------------------------------------------------------------------


def _whole(each: dict[str, Any]) -> bool:
    return each["seconds"] is not None and not each["lost"] and not each["killed"]


def _race_of(found: list[dict[str, Any]], name: str, says: str, axis: Axis, label: str, value: Any) -> Drawing:
    bottom = _TOP + _STEP * len(found)
    drawing = Drawing(name, says, bottom + 56)
    _race_key(drawing)
    drawing.grid_below(axis, _TOP, bottom, label)
    for number, scenario in enumerate(found):
        y = _TOP + _STEP * (number + 0.5)
        drawing.text(20, y + 5, scenario["name"], "strong")
        drawing.line(axis.start, y, axis.end, y, "grid")
        for each in sorted(scenario["entrants"], key=lambda each: each["ours"]):
            _mark(drawing, axis, y, each, value(each))
    return drawing


def _mark(drawing: Drawing, axis: Axis, y: float, each: dict[str, Any], value: float) -> None:
    seconds = "no end" if each["seconds"] is None else f"{each['seconds']:.2f} s"
    says = f"{each['peer']}, {each['variant']}: {seconds}, {each['refused']:g} refused, {each['lost']} lost"
    x = axis.at(value)
    if each["ours"]:
        drawing.diamond(x, y, "a", says)
    elif not _whole(each):
        drawing.cross(x, y + (9 if each["variant"] == "tuned" else -9), "b", says)
    elif each["variant"] == "tuned":
        drawing.dot(x, y + 9, "other", says)
    else:
        drawing.dot(x, y - 9, "other hollow", says)


def _race_key(drawing: Drawing) -> None:
    y = 54
    drawing.diamond(28, y - 4, "a", radius=7)
    drawing.text(42, y, "this library, limits untold", "small")
    drawing.dot(222, y - 4, "other hollow")
    drawing.text(234, y, "a peer as its README shows", "small")
    drawing.dot(430, y - 4, "other")
    drawing.text(442, y, "a peer, tuned", "small")
    drawing.cross(548, y - 4, "b")
    drawing.text(560, y, "lost rows or did not end", "small")


def race(results: dict[str, Any]) -> Drawing | None:
    """Time over the ideal, of everyone in every scenario."""
    found = [each for each in _raced(results) if not _is_hopeless(each)]
    if not found:
        return None
    most = max((each["ratio"] or 1 for scenario in found for each in scenario["entrants"]), default=2)
    axis = Axis(0.97, max(2.0, min(most * 1.1, 30)), _LEFT, WIDTH - 30)
    return _race_of(
        found,
        "The race: time over the ideal",
        "For every scenario in which rows can be answered, the median time of each competitor as a multiple of the "
        "least time that the limits allow. Further left is better; the table of the page says the same in numbers.",
        axis,
        "median time, in ideals (log scale; who did not end lies at the right)",
        lambda each: each["ratio"] or math.inf,
    )


def refusals(results: dict[str, Any]) -> Drawing | None:
    """How often the server had to say no to everyone."""
    found = _raced(results)
    if not found:
        return None
    most = max((each["refused"] for scenario in found for each in scenario["entrants"]), default=10)
    axis = Axis(0, max(10.0, most * 1.1), _LEFT, WIDTH - 30, Kind.LOG_FROM_ZERO)
    return _race_of(
        found,
        "The race: refusals",
        "For every scenario, how many requests of each competitor the server refused, the median of the seeds. "
        "Further left is better.",
        axis,
        "requests refused, median (log scale from 0)",
        lambda each: each["refused"],
    )


def _is_hopeless(scenario: dict[str, Any]) -> bool:
    """No row can be answered, and who asks least often wins: its time is nobody's merit."""
    verdict = scenario["verdict"]
    return verdict is not None and bool(verdict["fewest_of"] == "calls")


def _raced(results: dict[str, Any]) -> list[dict[str, Any]]:
    if "peers" not in results:
        return []
    return [each for each in results["peers"]["found"] if each["entrants"]]


# ---- curves --------------------------------------------------------------------------------------

Points = Sequence[tuple[float, float]]


def _curves(
    drawing: Drawing, across: Axis, up: Axis, labels: tuple[str, str], lines: Iterable[tuple[str, str, Points, str]]
) -> None:
    """Each line: its label, its class, its points and the unit that a point says."""
    drawing.grid_below(across, up.end, up.start, labels[0])
    drawing.grid_left(up, across.start, across.end, labels[1])
    drawn = [line for line in lines if line[2]]
    heights = apart([up.at(points[-1][1]) for _, _, points, _ in drawn], 17)
    for (label, kind, points, unit), height in zip(drawn, heights, strict=True):
        places = [(across.at(x), up.at(y)) for x, y in points]
        drawing.curve(places, kind)
        for (x, y), (n, value) in zip(places, points, strict=True):
            drawing.dot(x, y, kind.split()[0], f"{label}, {n:g}: {value:g} {unit}", 3.5)
        drawing.text(across.end + 10, height + 4, label, kind.split()[0])


def _points(found: Iterable[dict[str, Any]], x: str, *path: str) -> Points:
    points = []
    for each in found:
        value: Any = each
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, int | float) and value > 0:
            points.append((float(each[x]), float(value)))
    return points


def growth(results: dict[str, Any]) -> Drawing | None:
    """What joining and leaving the queue costs as it grows, and what the floor does."""
    queued = results.get("growth", {}).get("found", {}).get("queued", [])
    lines = [
        ("enqueue", "a", _points(queued, "n", "enqueue_us"), "us"),
        ("cancel", "b", _points(queued, "n", "cancel_us"), "us"),
        ("bare enqueue", "a dashed", _points(queued, "n", "bare_enqueue_us"), "us"),
        ("bare cancel", "b dashed", _points(queued, "n", "bare_cancel_us"), "us"),
    ]
    return _curved(
        lines,
        "Growth: what a call costs as the queue grows",
        "Microseconds to queue a call and to cancel one in any order, for queues of growing length. The dashed lines "
        "are the floor: a bare task and the future it waits for, under the same event loop and garbage collector.",
        ("calls queued (log scale)", "us a call (log scale)"),
    )


def memory(results: dict[str, Any]) -> Drawing | None:
    """The largest resident set of a run and of a resume, over the rows of its input."""
    rows = results.get("growth", {}).get("found", {}).get("input", [])
    lines = [
        ("run", "a", _points(rows, "rows", "run", "largest_mb"), "MB"),
        ("resume", "b", _points(rows, "rows", "resume", "largest_mb"), "MB"),
        ("the input itself", "c dashed", _points(rows, "rows", "mb"), "MB"),
    ]
    return _curved(
        lines,
        "Growth: memory over the rows of a job",
        "The largest resident set of a process that runs a job of so many rows, and of one that finds it done, beside "
        "the size of the input. The dotted line is the 200 MB that are asked for at ten million rows.",
        ("rows of the input (log scale)", "MB (log scale)"),
        goal=200,
    )


def _curved(
    lines: list[tuple[str, str, Points, str]], name: str, says: str, labels: tuple[str, str], goal: float | None = None
) -> Drawing | None:
    points = [point for _, _, points, _ in lines for point in points]
    if len(points) < 2:
        return None
    highest = max([y for _, y in points] + ([goal] if goal else []))
    drawing = Drawing(name, says, 400)
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    across = Axis(left, max(right, 10 * left), _LEFT, _RIGHT)
    up = Axis(min(y for _, y in points) / 1.3, highest * 1.3, 340, _TOP)
    _curves(drawing, across, up, labels, lines)
    if goal:
        drawing.line(across.start, up.at(goal), across.end, up.at(goal), "goal")
        drawing.text(across.start + 6, up.at(goal) - 6, f"asked: {goal:g} {labels[1].split()[0]}", "small")
    return drawing


PLOTS: Final[dict[str, Callable[[dict[str, Any]], Drawing | None]]] = {
    "race": race,
    "refusals": refusals,
    "growth": growth,
    "memory": memory,
}


def drawn(results: dict[str, Any]) -> Iterator[tuple[str, Drawing]]:
    """Every plot of which there are numbers, by its name."""
    for name, draw in PLOTS.items():
        if (drawing := draw(results)) is not None:
            yield name, drawing
