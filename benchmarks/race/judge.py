"""
What is asked of us, alone and among the peers.

Law of this file: medians over the seeds are compared, the spread stands beside them, and lost
rows are added up: whoever lost a row in one run of five is not reliable in the other four.

Among the peers a scenario is won by being first, or within 2 % of the first, among those who
lost nothing, with nothing lost, and with the fewest refusals among those within 5 % of the
best time. Where no row can be answered (D) it is won by asking least often and ending at
once. For differences of a few milliseconds nobody is blamed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from .entrants import Entrant
from .run import Run
from .scenarios import Scenario

WITHIN = 1.02
NEAR = 1.05
_NOTHING_S = 0.05


@attrs.frozen(kw_only=True)
class Verdict:
    """Our medians over the seeds, and whether the bounds hold."""

    name: str
    says: str
    seconds: float | None
    ratio: float | None
    refused: float
    refused_most: int
    calls: float
    lost: int
    repeated: int
    spread_s: tuple[float, float] | None
    bound: str
    holds: bool | None
    ideal_s: float
    at_once: int
    busy: float | None


def alone(scenario: Scenario, found: Sequence[tuple[Run, int]]) -> Verdict:
    """The median run, held against the bounds of the scenario."""
    runs = [run for run, _ in found]
    facts = summed(found)
    checks = [
        (f"<= {scenario.seconds_at_most} s", _or_never(facts["seconds"]), scenario.seconds_at_most),
        (f"<= {scenario.ratio_at_most} x ideal", _or_never(facts["ratio"]), scenario.ratio_at_most),
        (f"<= {scenario.refused_at_most} refused", facts["refused"], scenario.refused_at_most),
        (f"<= {scenario.calls_at_most} calls", facts["calls"], scenario.calls_at_most),
    ]
    asked = [(text, value <= bound) for text, value, bound in checks if bound is not None]
    whole = facts["lost"] == 0 and facts["repeated"] == 0 and all(not run.complaint for run in runs)
    shown = {name: value for name, value in facts.items() if name in {each.name for each in attrs.fields(Verdict)}}
    return Verdict(
        name=scenario.name,
        says=scenario.says,
        bound=", ".join(text for text, _ in asked),
        holds=(whole and all(held for _, held in asked)) if asked else None,
        **shown,
    )


def _or_never(value: float | None) -> float:
    return math.inf if value is None else value


def summed(found: Sequence[tuple[Run, int]]) -> dict[str, Any]:
    """Medians, spreads and sums of one competitor in one scenario."""
    runs = [run for run, _ in found]
    times = sorted(run.seconds for run in runs if run.seconds is not None)
    ratio = statistics.median(run.ratio for run in runs)
    busy = [run.busy for run in runs if run.busy is not None]
    return {
        "seeds": len(runs),
        "seconds": round(statistics.median(times), 2) if times else None,
        "spread_s": (round(times[0], 2), round(times[-1], 2)) if times else None,
        "ideal_s": round(statistics.median(run.ideal_s for run in runs), 2),
        "ratio": None if math.isinf(ratio) else round(ratio, 3),
        "refused": statistics.median(run.refused for run in runs),
        "refused_least": min(run.refused for run in runs),
        "refused_most": max(run.refused for run in runs),
        "calls": statistics.median(run.calls for run in runs),
        "lost": sum(run.lost for run in runs),
        "repeated": sum(run.repeated for run in runs),
        "killed": sum(not run.ended for run in runs),
        "cpu_s": round(statistics.median(run.cpu_s for run in runs), 2),
        "at_once": max(at_once for _, at_once in found),
        "busy": round(statistics.median(busy), 2) if busy else None,
        "complaint": next((run.complaint for run in runs if run.complaint), ""),
    }


# ---- among the peers -----------------------------------------------------------------------------


def among_peers(scenario: Scenario, found: Iterable[tuple[Entrant, Sequence[tuple[Run, int]]]]) -> dict[str, Any]:
    """The table of one scenario, best first, with the verdict on us and who is better in what."""
    entrants = [
        {"peer": who.peer, "variant": who.variant, "version": who.version, "ours": who.ours, **summed(runs)}
        for who, runs in found
        if runs
    ]
    entrants.sort(key=lambda each: (not _finished(each), _or_never(each["seconds"]), each["refused"]))
    ours = next((each for each in entrants if each["ours"]), None)
    peers = [each for each in entrants if not each["ours"]]
    judged = _verdict(ours, peers, hopeless=scenario.exit_code != 0) if ours and peers else None
    return {
        "name": scenario.name,
        "says": scenario.says,
        "ideal_s": min((each["ideal_s"] for each in entrants), default=None),
        "entrants": entrants,
        "verdict": judged,
        "better": list(_better(ours, peers, hopeless=scenario.exit_code != 0)) if ours else [],
    }


def _finished(each: dict[str, Any]) -> bool:
    """Ended by itself in every run, and nothing lost."""
    return each["lost"] == 0 and each["killed"] == 0 and each["seconds"] is not None


def _within(seconds: float, best_s: float, factor: float) -> bool:
    return seconds <= max(best_s * factor, best_s + _NOTHING_S)


def _verdict(ours: dict[str, Any], peers: Sequence[dict[str, Any]], *, hopeless: bool) -> dict[str, Any]:
    rivals = [each for each in peers if _finished(each)]
    seconds = ours["seconds"] if _finished(ours) else math.inf
    best_s = min([seconds, *(each["seconds"] for each in rivals)])
    near = [each for each in rivals if _within(each["seconds"], best_s, NEAR)]
    what = "calls" if hopeless else "refused"
    least = min((each[what] for each in (rivals if hopeless else near)), default=None)
    first = _within(seconds, best_s, WITHIN)
    fewest = least is None or ours[what] <= least
    return {
        "best_s": None if best_s == math.inf else best_s,
        "best": next((_name(each) for each in [ours, *rivals] if each["seconds"] == best_s), None),
        "behind": None if seconds == math.inf else round(seconds / best_s, 3),
        "first": first,
        "fewest_of": what,
        "least": least,
        "fewest": fewest,
        "lost": ours["lost"],
        "repeated": ours["repeated"],
        "holds": first and fewest and _finished(ours) and ours["repeated"] == 0,
    }


def _better(ours: dict[str, Any], peers: Sequence[dict[str, Any]], *, hopeless: bool) -> Iterable[str]:
    """In words, for everyone who beats us in something and lost nothing."""
    what = "calls" if hopeless else "refusals"
    key = "calls" if hopeless else "refused"
    for each in peers:
        if not _finished(each):
            continue
        if not _finished(ours):
            yield f"{_name(each)}: done in {each['seconds']:.2f} s with {each[key]:g} {what}, and we were not"
            continue
        sooner_s = ours["seconds"] - each["seconds"]
        fewer = ours[key] - each[key]
        if sooner_s > _NOTHING_S:
            yield f"{_name(each)}: {sooner_s:.2f} s sooner, {each[key]:g} {what} against our {ours[key]:g}"
        elif fewer > 0:
            yield f"{_name(each)}: {fewer:g} fewer {what}, in {each['seconds']:.2f} s against our {ours['seconds']:.2f}"


def _name(each: dict[str, Any]) -> str:
    return f"{each['peer']}, {each['variant']}"
