"""The section about the models in virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .tables import table


def models(found: dict[str, Any]) -> Iterator[str]:
    """What the rules do on servers that exist in memory."""
    yield "How to fold `remaining` into the local bucket: 600 a minute, 300 in flight, answers of 4 s, ten minutes."
    yield ""
    rows = ((name, f"{refused:.2f} %", f"{used:.1f} %") for name, refused, used in found["reconciliation"])
    yield from table(("", "refused", "used"), rows)
    yield ""
    yield "Several processes on one key without a store."
    yield ""
    yield from table(
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
    yield from table(("", "ours", "a simpler rule"), settled)


def newcomer(found: list[Any]) -> Iterator[str]:
    """The fifth worker, with and without what the other four tell."""
    yield (
        "Five workers on one budget of 6000 requests and 500 000 tokens a minute through a store, in virtual time; no "
        "limit is typed. One was alone for a minute, three more came, and of the fifth's first minute this is how far "
        "the prices of its calls were off, its refusals, and how much of the limit all five used."
    )
    yield ""
    rows = (
        (name, words, f"{error:.1f} %", f"{first:.1f} %", f"{refused:g}", f"{used:.0f} %")
        for name, words, error, first, refused, used in found
    )
    heads = ("the server charges", "the fifth is", "prices off by", "its first ten", "refused", "used")
    yield from table(heads, rows)


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
    yield from table(("", "slow_downs for 100 rows", "used", "rows that failed"), rows)
    yield ""
    strays = (f"{100 * share:g} %: {slowed:.1f} s ({reset:.1f} s)" for share, slowed, reset in found["strays"])
    yield (
        "9000 rows at 100 a second, a share of whose answers says slow_down by chance (or is a reset): "
        f"{', '.join(strays)}."
    )
    yield ""


def _short(values: Iterable[float]) -> str:
    return ", ".join(f"{round(value, 3):g}" for value in values)
