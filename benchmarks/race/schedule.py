"""
Many races side by side, each with a server of its own, and a journal of what is done.

Law of this file: a run is done when its line stands in the journal. The line names what
the result depends on (a digest of the scenario, of the model server, and of what the
competitor is made of), so a broken schedule goes on where it stopped, a changed peer is run
again and the others are not.

Theory. A race of twenty seconds at twenty calls a second costs a second of CPU, start-up and
server included; the rest is waiting. So several fit on one machine without one waiting for
another's CPU, as long as the machine is not full: every line says how many ran and how busy
the cores were, and everybody, us included, runs under the same conditions, in turn by seed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import attrs

from .digests import ROOT, digest, of_files
from .entrants import Entrant
from .run import Run, once
from .scenarios import Scenario

JOURNAL = ROOT / "benchmarks" / "results" / "race.jsonl"
AT_ONCE = 4


@attrs.frozen
class Race:
    """One run that is to be."""

    scenario: Scenario
    entrant: Entrant
    seed: int

    @property
    def depends_on(self) -> str:
        """Of all that the result depends on."""
        who = self.entrant
        return digest(_of_scenario(self.scenario), who.peer, who.variant, who.version, who.made_of)


def races(scenarios: Iterable[Scenario], entrants: Sequence[Entrant], seeds: int) -> Iterator[Race]:
    """All of them; seeds first, so that whatever was done when it broke is comparable."""
    scenarios = tuple(scenarios)
    return (Race(each, who, seed) for seed in range(seeds) for each in scenarios for who in entrants)


def _print(text: str) -> None:
    print(text, flush=True)


def run_all(
    wanted: Iterable[Race],
    *,
    at_once: int = AT_ONCE,
    journal: Path | None = None,
    of: str = "",
    make: Callable[[Scenario, Entrant, int], Run] = once,
    say: Callable[[str], object] = _print,
) -> list[tuple[Run, int]]:
    """
    Run what the journal does not hold yet, up to *at_once* side by side.

    Args:
        journal: where results are, and go to as they come; None: everything is run.
        of: the commit, for the reader of the journal.
        make: what makes one run.
        say: where a line on each goes.

    Returns:
        Every wanted run, with how many ran side by side when it was made; without those that could not be made.
    """
    wanted = list(wanted)
    done = {} if journal is None else dict(_read(journal))
    found = [done[each.depends_on, each.seed] for each in wanted if (each.depends_on, each.seed) in done]
    left = [each for each in wanted if (each.depends_on, each.seed) not in done]
    if done:
        say(f"{len(found)} of {len(wanted)} runs are in the journal")
    with ThreadPoolExecutor(at_once) as pool:
        going = {pool.submit(make, each.scenario, each.entrant, each.seed): each for each in left}
        try:
            for number, future in enumerate(as_completed(going), len(found) + 1):
                race = going[future]
                try:
                    run = future.result()
                except Exception as error:  # noqa: BLE001 - hours of other runs are worth more than this one
                    say(
                        f"[{number}/{len(wanted)}] {race.scenario.name} {race.entrant.peer} could not be run: {error!r}"
                    )
                    continue
                say(f"[{number}/{len(wanted)}] {line(run)}")
                found.append((run, at_once))
                if journal is not None:
                    _append(journal, race, run, at_once, of)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def line(run: Run) -> str:
    """A run in a line."""
    seconds = "   no end" if run.seconds is None else f"{run.seconds:7.2f} s"
    ended = "" if run.ended else "  KILLED"
    complaint = f"  exit {run.exit_code}: {run.complaint}" if run.complaint else ""
    return (
        f"{run.scenario:9} {run.peer}, {run.variant}, seed {run.seed}: {seconds}  {run.ratio:6.3f} x ideal  "
        f"{run.refused:4} refused  {run.calls:5} calls  lost {run.lost}  repeated {run.repeated}"
        f"{ended}{complaint}"
    ).replace("\n", " ")


# ---- the journal -------------------------------------------------------------------------------


def _read(journal: Path) -> Iterator[tuple[tuple[str, int], tuple[Run, int]]]:
    if not journal.exists():
        return
    names = {field.name for field in attrs.fields(Run)}
    for text in journal.read_text(encoding="utf-8").splitlines():
        facts = json.loads(text)
        yield (
            (facts["digest"], facts["seed"]),
            (Run(**{name: facts[name] for name in names if name in facts}), facts["at_once"]),
        )


def _append(journal: Path, race: Race, run: Run, at_once: int, of: str) -> None:
    facts: dict[str, Any] = {
        **attrs.asdict(run),
        "version": race.entrant.version,
        "at_once": at_once,
        "commit": of,
        "digest": race.depends_on,
    }
    journal.parent.mkdir(exist_ok=True)
    with journal.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(facts, separators=(",", ":")) + "\n")


@functools.cache
def _of_scenario(scenario: Scenario) -> str:
    """A scenario as it is run: its server and its rows, and the code of the model server."""
    facts = [scenario.name, repr(scenario.limits), repr(sorted(scenario.server.items())), str(scenario.in_flight)]
    return digest(*facts, json.dumps(scenario.rows(0)), of_files(ROOT / "src/ratelimit_client/testing"))
