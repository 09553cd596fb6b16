"""The two sections about the race: with peers, and alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .tables import NOTHING, held, number, table


def peers(found: list[dict[str, Any]]) -> Iterator[str]:
    """Every scenario: who was how fast, whose calls were refused, who lost rows, and who is better than we."""
    yield (
        "Everyone against the same server, in a process of its own, with the same rows; medians over the seeds. The "
        "peers are told the limits, as they stand at the start; this library is not. *Defaults* is what a library's "
        "README shows, *tuned* what a careful expert of it would set. Calls, refusals and repeated rows are counted by "
        "the server; a row without an answer is lost. *Ideal* is the least time that the limits allow."
    )
    yield ""
    yield from _summary(found)
    yield ""
    yield from _matrix(found)
    for scenario in found:
        yield ""
        yield from _scenario(scenario)


def _summary(found: list[dict[str, Any]]) -> Iterator[str]:
    yield "### In one table"
    yield ""
    yield (
        "Asked of us: first, or within 2 % of the first, of those who lost nothing; nothing lost or repeated; and the "
        "fewest refusals of those within 5 % of the best time."
    )
    yield ""
    rows = []
    for scenario in found:
        verdict = scenario["verdict"]
        if verdict is None:
            rows.append((scenario["name"], scenario["says"], *[NOTHING] * 5))
            continue
        best_s = f"{number(verdict['best_s'], 4)} s" if verdict["best_s"] is not None else NOTHING
        rows.append(
            (
                scenario["name"],
                scenario["says"],
                f"{best_s} ({verdict['best']})" if verdict["best"] else NOTHING,
                NOTHING if verdict["behind"] is None else f"{verdict['behind']:.3f} of it",
                f"{number(_ours(scenario, verdict['fewest_of']))} / {number(verdict['least'])}",
                f"{verdict['lost']} / {verdict['repeated']}",
                held(verdict["holds"]),
            )
        )
    heads = ("", "server and job", "best time", "ours", "refused: ours / fewest nearby", "lost / repeated", "")
    yield from table(heads, rows)
    better = [(scenario["name"], words) for scenario in found for words in scenario["better"]]
    yield ""
    yield "### Where a peer is better"
    yield ""
    if not better:
        yield "In no scenario was a peer that lost nothing sooner, or as soon with fewer refusals."
    for name, words in better:
        yield f"- **{name}**: {words}"


def _ours(scenario: dict[str, Any], what: str) -> float | None:
    return next((each[what] for each in scenario["entrants"] if each["ours"]), None)


def _matrix(found: list[dict[str, Any]]) -> Iterator[str]:
    """Time over the ideal, of everyone in every scenario."""
    yield "### Time over the ideal"
    yield ""
    yield "*x* lost rows, *k* did not end in time and was killed, each at least once."
    yield ""
    names: dict[tuple[str, str], dict[str, str]] = {}
    for scenario in found:
        for each in scenario["entrants"]:
            marks = ("x" if each["lost"] else "") + ("k" if each["killed"] else "")
            cell = NOTHING if each["ratio"] is None else f"{each['ratio']:.2f}"
            shown = f"**{cell}**" if each["ours"] else cell
            names.setdefault((each["peer"], each["variant"]), {})[scenario["name"]] = f"{shown} {marks}".strip()
    scenarios = [scenario["name"] for scenario in found]
    ours = {(each["peer"], each["variant"]) for scenario in found for each in scenario["entrants"] if each["ours"]}
    order = sorted(names, key=lambda who: (who not in ours, who))
    rows = ((peer, variant, *(names[peer, variant].get(name, "") for name in scenarios)) for peer, variant in order)
    yield from table(("", "", *scenarios), rows)


def _scenario(scenario: dict[str, Any]) -> Iterator[str]:
    ideal = f" (ideal {number(scenario['ideal_s'])} s)" if scenario["ideal_s"] is not None else ""
    yield "<details>"
    yield f"<summary>{scenario['name']}: {scenario['says']}{ideal}</summary>"
    yield ""
    yield from table(
        ("", "", "version", "time", "least to most", "x ideal", "refused", "calls", "lost", "repeated", "CPU", "runs"),
        (
            (
                f"**{each['peer']}**" if each["ours"] else each["peer"],
                each["variant"],
                each["version"],
                "no end" if each["seconds"] is None else f"{each['seconds']:.2f} s",
                NOTHING if each["spread_s"] is None else "{:.2f} to {:.2f}".format(*each["spread_s"]),
                NOTHING if each["ratio"] is None else f"{each['ratio']:.3f}",
                f"{each['refused']:g} ({each['refused_least']} to {each['refused_most']})",
                f"{each['calls']:g}",
                each["lost"],
                each["repeated"],
                f"{each['cpu_s']} s",
                f"{each['seeds']}{', killed ' + str(each['killed']) if each['killed'] else ''}",
            )
            for each in scenario["entrants"]
        ),
    )
    complaints = [each for each in scenario["entrants"] if each.get("complaint")]
    if complaints:
        yield ""
        yield "Last words of those that did not do as they should:"
        yield ""
    for each in complaints:
        yield f"- {each['peer']}, {each['variant']}: `{_plain(each['complaint'])}`"
    yield ""
    yield "</details>"


def _plain(words: str) -> str:
    return " ".join(words.replace("`", "'").split())


def alone(found: list[dict[str, Any]]) -> Iterator[str]:
    """Ours, with what is asked of it."""
    yield "`ratelimit-client run` against a server in another process, no limit typed in; medians of the seeds."
    yield "*Ideal* is the least time that the limits allow: (total cost - burst) / rate + one answer."
    yield ""
    yield from table(
        ("", "server and job", "time", "x ideal", "refused (most)", "calls", "lost", "repeated", "asked", ""),
        map(_alone, found),
    )


def _alone(each: dict[str, Any]) -> Iterable[object]:
    seconds, ratio = each["seconds"], each["ratio"]
    return (
        each["name"],
        each["says"],
        "no end" if seconds is None else f"{seconds:.2f} s",
        NOTHING if ratio is None else f"{ratio:.3f}",
        f"{each['refused']:.0f} ({each['refused_most']})",
        f"{each['calls']:.0f}",
        each["lost"],
        each["repeated"],
        each["bound"] or NOTHING,
        "reported" if each["holds"] is None else held(each["holds"]),
    )
