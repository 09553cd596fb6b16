"""docs/benchmarks.md, written from the results; nobody edits it by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_HEAD = """# Benchmarks

Written by `make bench` from `benchmarks/results/latest.json`; do not edit. Absolute times are of one
shared machine and worth little; compare within a table. Run it yourself: it takes about fifteen minutes
and needs nothing but the checkout.
"""


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    parts = [_HEAD]
    for name, write in (
        ("race", _race),
        ("cpu", _cpu),
        ("sdk", _sdk),
        ("micro", _micro),
        ("proxy", _proxy),
        ("models", _models),
    ):
        if name in results:
            parts.append("\n".join([*write(results[name]["found"]), "", _of(results[name]["of"])]))
    return "\n\n".join(parts) + "\n"


def _of(of: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in of["versions"].items())
    return (
        f"_Measured {of['date']} at commit {of['commit'][:12]}"
        f"{' with uncommitted changes' if of['commit'].endswith('changes') else ''}, Python {of['python']}, "
        f"{of['system']} {of['machine']}, {of['cores']} cores; {versions}._"
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    heads = list(heads)
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"


def _race(found: list[dict[str, Any]]) -> Iterator[str]:
    yield "## The race"
    yield ""
    yield "`ratelimit-client run` against a server in another process, no limit typed in; medians of five seeds."
    yield "*Ideal* is (total cost - burst) / rate + one answer."
    yield ""
    yield from _table(
        ("", "server and job", "time", "x ideal", "refused (most)", "calls", "lost", "repeated", "asked", ""),
        (
            (
                each["name"],
                each["says"],
                f"{each['seconds']:.2f} s",
                f"{each['ratio']:.3f}",
                f"{each['refused']:.0f} ({each['refused_most']})",
                f"{each['calls']:.0f}",
                each["lost"],
                each["repeated"],
                each["bound"] or "-",
                {True: "holds", False: "**missed**", None: "reported"}[each["holds"]],
            )
            for each in found
        ),
    )


def _cpu(found: dict[str, float]) -> Iterator[str]:
    yield "## CPU of a bulk run"
    yield ""
    yield (
        f"{found['rows']:,} rows, whole processes with their start-up, in turn with a bare aiohttp loop that does the "
        f"same calls and writes: {found['bulk_cpu_s']} s against {found['bare_cpu_s']} s, "
        f"**{found['ratio']} times** ({found['ratio_least']} to {found['ratio_most']}); asked: at most 1.6."
    )


def _sdk(found: dict[str, Any]) -> Iterator[str]:
    yield "## Under the OpenAI SDK"
    yield ""
    yield (
        "CPU of a call of `AsyncOpenAI` alone and with the limiter underneath, in one process and in turn, against a "
        "server that limits nothing and answers at once; asked: at most 1.1 times."
    )
    yield ""
    yield from _table(
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
    yield from _table(("", "time", "x ideal", "refused", "lost", "repeated"), rows)


def _micro(found: dict[str, float]) -> Iterator[str]:
    yield "## Small costs"
    yield ""
    rows = [
        ("uncontended `permit` over three buckets", f"{found['permit_3_buckets_us']} us", "<= 6 us"),
        ("aiolimiter, one bucket", f"{found['aiolimiter_us']} us", "-"),
        ("asyncio.Semaphore", f"{found['semaphore_us']} us", "-"),
        ("a parked call, its task included, of 50 000", f"{found['bytes_per_waiter']} bytes", "<= 1600 bytes"),
        ("cancelling one, oldest first", f"{found['cancel_us_oldest_first']} us", "<= 25 us"),
        ("cancelling one, newest first", f"{found['cancel_us_newest_first']} us", "<= 25 us"),
        ("cancelling one, in any order", f"{found['cancel_us_any_order']} us", "<= 25 us"),
        ("the same, garbage collector off", f"{found['cancel_us_any_order_collector_off']} us", "-"),
        ("a bare task and its future, in any order", f"{found['bare_cancel_us']} us", "-"),
        ("the same, garbage collector off", f"{found['bare_cancel_us_collector_off']} us", "-"),
        ("CPU of 2 s with 50 000 parked", f"{found['idle_cpu_s_in_2_s']} s", "none"),
    ]
    yield from _table(("", "measured", "asked"), rows)


def _proxy(found: dict[str, float]) -> Iterator[str]:
    yield "## The proxy"
    yield ""
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


def _models(found: dict[str, Any]) -> Iterator[str]:
    yield "## Models in virtual time"
    yield ""
    yield "How to fold `remaining` into the local bucket: 600 a minute, 300 in flight, answers of 4 s, ten minutes."
    yield ""
    rows = ((name, f"{refused:.2f} %", f"{used:.1f} %") for name, refused, used in found["reconciliation"])
    yield from _table(("", "refused", "used"), rows)
    yield ""
    yield "Several processes on one key without a store."
    yield ""
    yield from _table(
        ("", "refused", "used", "Jain"),
        (
            (name, f"{refused:.2f} %", f"{used:.1f} %", f"{jain:.3f}")
            for name, refused, used, jain in found["contention"]
        ),
    )
    yield ""
    refused, over, lost = found["storms"]
    yield (
        f"A server that says nothing but no (6000 calls, 20 a second, halved for two minutes): "
        f"{refused:.3f} refusals per success, {over:.3f} of the ideal time, {lost} lost."
    )
    yield ""
    yield from _ramp(found)
    yield "Settings in which simpler rules were caught out."
    yield ""
    settings = found["second_look"]
    settled = ((name, _short(values), other) for name, values, other in settings)
    yield from _table(("", "ours", "a simpler rule"), settled)


def _ramp(found: dict[str, Any]) -> Iterator[str]:
    if "ramp" not in found:
        return
    yield (
        "A server that minds how fast a rate grows: a minute may hold 100 calls, or one and a half times the mean "
        "minute of the quarter of an hour before. *Used* is the share of what somebody would get through who knows "
        "the rule."
    )
    yield ""
    rows = ((name, f"{slowed:.2f}", f"{used:.1f} %", failed) for name, slowed, used, failed in found["ramp"])
    yield from _table(("", "slow_downs for 100 rows", "used", "rows that failed"), rows)
    yield ""
    strays = (f"{100 * share:g} %: {slowed:.1f} s ({reset:.1f} s)" for share, slowed, reset in found["strays"])
    yield (
        "9000 rows at 100 a second, a share of whose answers says slow_down by chance (or is a reset): "
        f"{', '.join(strays)}."
    )
    yield ""


def _short(values: Iterable[float]) -> str:
    return ", ".join(f"{round(value, 3):g}" for value in values)
