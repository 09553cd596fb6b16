"""The sections about several processes on one key, and about what the store between them costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .tables import NOTHING, held, number, table

_ASKED: Final = {"refused": 1.0, "over_ideal": 1.06}
_ASKED_KILLED: Final = {"refused": 3.0, "over_ideal": 1.35}
_MOST_US: Final = 3.0
_MOST_TRIPS: Final = 2.0

_NAMES: Final = {
    "ours": "ours",
    "alone": "ours, without a store",
    "token-throttle": "token-throttle",
    "limits": "limits, a fixed window",
    "limits-sliding": "limits, a sliding window",
    "pyrate-limiter": "pyrate-limiter",
}


def processes(found: dict[str, Any]) -> Iterator[str]:
    """Without a store and with one."""
    measured = [each for each in found["settings"] if "not_measured" not in each]
    yield (
        "Real processes on one key of a server that allows 3000 calls a minute, with answers of 0.3 s; no limit is "
        "typed in. *sliced*: 600 calls are there at once, and no header says so; *minute*: 3000 are. An outsider makes "
        "15 calls a second. *refused* is the share of the rows or calls, *time* from the first admission to the last "
        "as a multiple of the least there is, *used* the share of what was there and flowed in, so that what is kept "
        "for the next second counts as not used."
    )
    yield ""
    yield f"{found['at_once']} settings at a time, at a load of {found['load']}."
    yield ""
    yield "**Without a store.** Jobs cut in equal shards, `run --shard`:"
    yield ""
    jobs = [each for each in measured if "rows" in each]
    cells = (
        (each["kind"], each["processes"], each["rows"], each["lost"], f"{each['refused']:.2f} %", each["over_ideal"])
        for each in jobs
        if not each["stored"]
    )
    yield from table(("server", "processes", "rows", "lost", "refused", "time"), cells)
    yield ""
    yield f"Greedy processes for {_seconds(measured)} s:"
    yield ""
    yield from _crowds([each for each in measured if "greedy" in each and not each["stored"]])
    yield ""
    yield "**With a store**, four processes, 2400 rows; and with the store killed half way:"
    yield ""
    heads = ("server", "store", "rows", "lost", "refused", "time", "asked", "")
    yield from table(heads, (_verdict(each) for each in jobs if each["stored"]))
    yield ""
    yield (
        "And with light processes beside greedy ones, which have a call a second each; asked: a Jain index of 0.98 "
        "among the greedy, 97 % used, and at most two questions to the store a second:"
    )
    yield ""
    yield from _crowds([each for each in measured if "greedy" in each and each["stored"]])


def _seconds(measured: list[dict[str, Any]]) -> str:
    return number(next((each["seconds"] for each in measured if "greedy" in each), None))


def _crowds(crowds: list[dict[str, Any]]) -> Iterator[str]:
    heads = (
        "server",
        "greedy",
        "light",
        "refused",
        "used",
        "Jain",
        "least of a light one",
        "its median",
        "questions/s",
    )
    yield from table(
        heads,
        (
            (
                each["kind"],
                each["greedy"],
                each["light"],
                f"{each['refused']:.2f} %",
                f"{each['used']:.1f} %",
                f"{each['jain']:.4f}",
                NOTHING if each["light_done"] is None else f"{each['light_done']} of {each['seconds']:.0f}",
                NOTHING if each["light_median_s"] is None else f"{each['light_median_s']} s",
                number(each["trips_per_s"]),
            )
            for each in crowds
        ),
    )


def _verdict(each: dict[str, Any]) -> Iterator[object]:
    asked = _ASKED_KILLED if each["killed"] else _ASKED
    yield each["kind"]
    yield "killed" if each["killed"] else "there"
    yield each["rows"]
    yield each["lost"]
    yield f"{each['refused']:.2f} %"
    yield each["over_ideal"]
    yield f"0 lost, <= {asked['refused']:g} %, <= {asked['over_ideal']}"
    yield held(each["lost"] == 0 and all(each[what] <= most for what, most in asked.items()))


def crowds(found: list[dict[str, Any]]) -> Iterator[str]:
    """Without a store, where no machine is in the way."""
    yield (
        "Nobody's load changes these. The server is the same; on a *loaded* machine every call takes up to 0.4 s more "
        "in either direction. Two minutes of greedy processes, Jain's index of the second of them; then a job cut in "
        "equal shards."
    )
    yield ""
    heads = ("server", "processes", "refused", "used", "Jain", "of a job: refused", "time")
    cells = (
        (
            each["kind"],
            each["processes"],
            f"{each['refused']:.2f} %",
            f"{each['used']:.1f} %",
            f"{each['jain']:.3f}",
            f"{each['job_refused']:.2f} %",
            each["over_ideal"],
        )
        for each in found
    )
    yield from table(heads, cells)


def stored(found: dict[str, Any]) -> Iterator[str]:
    """What an acquisition costs through a Redis, beside those who ask for each."""
    if "not_measured" in found:
        yield found["not_measured"]
        return
    rows: dict[str, dict[str, Any]] = found["table"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    yield (
        "One process, one acquisition after another from a budget that is never short, on one redis-server, all in one "
        f"environment ({versions}); medians of {found['rounds']} rounds. *CPU* is of the process, and does not mind "
        "what else runs; *store* the CPU of redis-server."
    )
    yield ""
    heads = ("", "CPU", "wall", "store", "questions for each", "questions a second")
    cells = (
        (
            _NAMES[name],
            f"{number(each['own_us'])} us",
            f"{number(each['us'])} us",
            f"{number(each['store_us'])} us",
            number(each["trips"]),
            number(each["trips_per_s"]),
        )
        for name, each in rows.items()
    )
    yield from table(heads, cells)
    yield ""
    fits = found["more_us"] <= _MOST_US and rows["ours"]["trips_per_s"] <= _MOST_TRIPS
    yield (
        f"Through the store ours costs **{number(found['more_us'])} us more** for each than without; asked: at most "
        f"{_MOST_US:g} us, and {_MOST_TRIPS:g} questions a second: {held(fits)}."
    )
    yield ""
    ours = rows["ours"]["own_us"]
    better = [name for name, each in rows.items() if name not in ("ours", "alone") and each["own_us"] < ours]
    yield f"Cheaper than ours: {', '.join(better) or 'none'}."
    yield ""
    yield (
        "Where they are better: they ask for every call, so a process that dies takes nothing with it, where ours "
        "takes what it has leased, once; and what they count is exact to the call at any moment."
    )
