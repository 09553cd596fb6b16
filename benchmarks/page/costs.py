"""The sections about what the library costs: CPU, memory, time to start."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from .tables import NOTHING, figure, held, number, table

_COLUMNS = ("enqueue", "grant", "cancel")
_GROWN = {
    "keys": {"permit_us": "uncontended permit, us", "bytes_per_key": "bytes a key"},
    "tenants": {"enqueue_us": "enqueue, us", "grant_us": "grant, us", "bytes_per_tenant": "bytes a tenant"},
}


def cpu(found: dict[str, Any]) -> Iterator[str]:
    """A bulk run against a bare loop; one setting, or several by name."""
    yield (
        "Whole processes with their start-up, in turn with a bare aiohttp loop that does the same calls and writes, "
        "and reads and writes JSON by the same library."
    )
    yield ""
    settings = {"": found} if "ratio" in found else {name: each for name, each in found.items() if "ratio" in each}
    yield from table(
        ("", "rows", "bulk run", "bare loop", "times", "asked", ""),
        (
            (
                name,
                f"{each['rows']:,}",
                f"{each['bulk_cpu_s']} s",
                f"{each['bare_cpu_s']} s",
                f"{each['ratio']} ({each['ratio_least']} to {each['ratio_most']})",
                f"<= {each['asked']}" if "asked" in each else NOTHING,
                held(each["ratio"] <= each["asked"]) if "asked" in each else NOTHING,
            )
            for name, each in settings.items()
        ),
    )


def sdk(found: dict[str, Any]) -> Iterator[str]:
    """Under the OpenAI SDK."""
    yield (
        "CPU of a call of `AsyncOpenAI` alone and with the limiter underneath, in one process and in turn, against a "
        "server that limits nothing and answers at once; asked: at most 1.1 times."
    )
    yield ""
    yield from table(
        ("", "alone", "with the limiter", "times"),
        (
            (
                name,
                f"{each['sdk_us']:.0f} us",
                f"{each['with_us']:.0f} us",
                f"{each['ratio']} ({each['ratio_least']} to {each['ratio_most']})",
            )
            for name, each in found["cpu"].items()
        ),
    )
    yield ""
    yield (
        "All calls at once, the SDK's defaults untouched, 600 requests a minute in slices of 5 s that no header shows, "
        "nothing typed in; asked: at most 1.1 times the ideal, 10 refusals, none lost, none repeated."
    )
    yield ""
    rows = (
        (each["name"], f"{each['seconds']} s", each["ratio"], each["refused"], each["lost"], each["repeated"])
        for each in found["race"]
    )
    yield from table(("", "time", "x ideal", "refused", "lost", "repeated"), rows)


# ---- small costs -------------------------------------------------------------------------------


def micro(found: dict[str, Any]) -> Iterator[str]:
    """One operation each, beside the floor and the peers."""
    if "table" not in found:
        yield from _flat(found)
        return
    yield (
        "One operation, the median of several runs with the least and the most beside it. *Floor* is what anybody pays "
        "who does the same without this library, *times* how many of it ours takes, run by run. A dash is a thing that "
        "a library has not. Unless said, the garbage collector runs."
    )
    yield ""
    peers = list(dict.fromkeys(name for row in found["table"] for name in row["peers"]))
    versions = found.get("versions", {})
    yield from table(
        ("", "ours", "floor", "times", *peers, "asked", ""),
        (
            (
                row["what"] + (", collector off" if row["collector"] == "off" and "off" not in row["what"] else ""),
                figure(row["ours"], row["unit"]),
                figure(row["floor"], row["unit"]) + (f": {row['floor_is']}" if row["floor_is"] else ""),
                figure(row["ratio"]),
                *(figure(row["peers"].get(name)) for name in peers),
                row["goal"] or NOTHING,
                held(row["holds"]),
            )
            for row in found["table"]
        ),
    )
    if versions:
        yield ""
        yield f"Peers: {', '.join(f'{name} {version}' for name, version in versions.items())}."
    yield from _who_is_better(found["table"])


def _who_is_better(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Peers whose median is below ours, which is no shame where they do less, and is said."""
    better = []
    for row in rows:
        ours = row["ours"]
        if not isinstance(ours, dict):
            continue
        names = [
            f"{name} ({number(ours['median'] / its['median'])} times as cheap)"
            for name, its in row["peers"].items()
            if isinstance(its, dict) and 0 < its["median"] < ours["median"]
        ]
        if names:
            better.append(f"- {row['what']}: {', '.join(names)}")
    if better:
        yield ""
        yield "Cheaper than ours, most of them keeping one bucket, no order and no memory of what a server said:"
        yield ""
        yield from better


def _flat(found: dict[str, Any]) -> Iterator[str]:
    """The figures of a run without peers."""
    rows = [
        ("uncontended `permit` over three buckets", f"{found['permit_3_buckets_us']} us", "<= 6 us"),
        ("aiolimiter, one bucket", f"{found['aiolimiter_us']} us", NOTHING),
        ("asyncio.Semaphore", f"{found['semaphore_us']} us", NOTHING),
        ("a parked call, its task included, of 50 000", f"{found['bytes_per_waiter']} bytes", "<= 1600 bytes"),
        ("cancelling one, oldest first", f"{found['cancel_us_oldest_first']} us", "<= 25 us"),
        ("cancelling one, newest first", f"{found['cancel_us_newest_first']} us", "<= 25 us"),
        ("cancelling one, in any order", f"{found['cancel_us_any_order']} us", "<= 25 us"),
        ("the same, garbage collector off", f"{found['cancel_us_any_order_collector_off']} us", NOTHING),
        ("a bare task and its future, in any order", f"{found['bare_cancel_us']} us", NOTHING),
        ("the same, garbage collector off", f"{found['bare_cancel_us_collector_off']} us", NOTHING),
        ("CPU of 2 s with 50 000 parked", f"{found['idle_cpu_s_in_2_s']} s", "none"),
    ]
    yield from table(("", "measured", "asked"), rows)


# ---- growth ------------------------------------------------------------------------------------


def growth(found: dict[str, Any]) -> Iterator[str]:
    """What grows with the queue, the keys, the tenants and the input."""
    if goals := found.get("goals"):
        rows = ((each["what"], each["goal"], each["measured"], held(each["holds"])) for each in goals)
        yield from table(("", "asked", "measured", ""), rows)
        yield ""
    if queued := found.get("queued"):
        yield "Calls in the queue; microseconds a call, and how many times a bare task and its future that is."
        yield ""
        sizes = (
            (
                f"{each['n']:,}",
                *(f"{number(each.get(f'{name}_us'))} ({number(each.get(f'{name}_ratio'))})" for name in _COLUMNS),
                number(each.get("bytes")),
                number(each.get("bare_bytes")),
            )
            for each in queued
        )
        heads = ("queued", *(f"{name}, us (times)" for name in _COLUMNS), "bytes a call", "bytes of the floor")
        yield from table(heads, sizes)
        yield ""
    for name, columns in _GROWN.items():
        if each_size := found.get(name):
            yield from table((name, *columns.values()), (_cells(each, columns) for each in each_size))
            yield ""
    yield from _input(found)


def _cells(each: dict[str, Any], columns: dict[str, str]) -> Iterator[str]:
    yield f"{each['n']:,}"
    for column in columns:
        yield number(each.get(column))


def _input(found: dict[str, Any]) -> Iterator[str]:
    if rows := found.get("input"):
        yield "A whole job in a process of its own: run with an engine that answers at once, and begun again when done."
        yield ""
        parts = [(part, what) for part in ("run", "resume") for what in ("seconds", "cpu_s", "largest_mb")]
        cells = (
            (f"{each['rows']:,}", number(each.get("mb")), *(number((each.get(a) or {}).get(b)) for a, b in parts))
            for each in rows
        )
        words = {"seconds": "s", "cpu_s": "s of CPU", "largest_mb": "MB at most"}
        yield from table(("rows", "MB of input", *(f"{part}: {words[what]}" for part, what in parts)), cells)
    if ids := found.get("ids"):
        yield ""
        yield "The table of names alone, which is what grows with the rows:"
        yield ""
        cells = (
            (name, f"{each['ids']:,}", number(each["bytes_an_id"]), number(each["largest_mb"]), number(each["seconds"]))
            for name, each in ids.items()
        )
        yield from table(("", "names", "bytes a name", "MB at most", "s"), cells)


# ---- start-up, and the proxy ---------------------------------------------------------------------


def startup(found: dict[str, Any]) -> Iterator[str]:
    """What a process takes until it can do something, beyond the interpreter."""
    yield f"CPU of whole processes, in turn, beyond that of `python -c pass` ({figure(found['bare_s'], 's')})."
    yield ""
    rows = (
        (each["what"], figure(each["beyond_s"], "s"), _most_s(each["asked_s"]), held(each["holds"]))
        for each in found["table"]
    )
    yield from table(("", "beyond the interpreter", "asked", ""), rows)


def _most_s(asked: float | None) -> str:
    return NOTHING if asked is None else f"<= {asked} s"


def metrics(found: dict[str, Any]) -> Iterator[str]:
    """What counting and being scraped cost."""
    yield (
        "With the collector of Prometheus on a limiter; a page of 32 models and 100 more that share a name. The runs "
        f"are whole processes of {found['rows']:,} rows in turn, with `--metrics` and a scrape a second and without; "
        "in instructions the cost of a row is the same on any machine."
    )
    yield ""
    rows = (
        ("an event that is counted", f"{found['event_us']} us", "<= 0.3 us", found["event_us"] <= 0.3),
        ("a scrape", f"{found['scrape_ms']} ms", "<= 25 ms", found["scrape_ms"] <= 25),
        ("series on the page", f"{found['series']:,}", "<= 2,000", found["series"] <= 2000),
        ("time of a watched run", _over(found["watched_time"]), "<= 1.02", found["watched_time_median"] <= 1.02),
        ("CPU of a watched run", _over(found["watched_cpu"]), NOTHING, None),
        ("instructions of a watched row", f"{found['watched_over_row']:.4f}", NOTHING, None),
    )
    yield from table(("", "", "asked", ""), ((*row[:3], held(row[3])) for row in rows))


def _over(ratios: list[float]) -> str:
    return f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def proxy(found: dict[str, Any]) -> Iterator[str]:
    """What a call pays that goes through the proxy."""
    yield (
        f"A chat call through `ratelimit-client serve`, {found['pairs']:,} times in turn with the same call direct: "
        f"{found['through_p50_ms']} ms against {found['direct_p50_ms']} ms at the median, "
        f"**{found['added_p50_ms']} ms added** ({found['added_p99_ms']} ms at the 99th percentile); "
        "asked: at most 1.5 ms."
    )
    yield ""
    yield (
        f"{found['calls']:,} calls on {found['connections']} connections, the proxy on one core: "
        f"{found['calls_per_s']:,} a second, {found['cpu_us_per_call']} us of its CPU each, which is "
        f"**{found['calls_per_cpu_s']:,} for each second of it**; asked: at least 2000. "
        "The load and the server share what other core there is."
    )
