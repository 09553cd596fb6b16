"""The section about jobs on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .tables import NOTHING, table


def ray(found: dict[str, Any]) -> Iterator[str]:
    """``run --engine ray`` beside Ray's own HTTP processor."""
    yield (
        "`run --engine ray` and `ray.data.llm.HttpRequestProcessorConfig`, one after the other, on "
        f"{found['rows']} rows before a server that holds {found['limit']} with the whole minute as a burst; an answer "
        f"takes {found['latency_s']:g} s, so nobody can be done before {found['ideal_s']:g} s. Time is the server's, "
        "from the first call to the last answer, so starting Ray takes none; starting further workers does. The "
        "processor is told its pace (`qps`, for each worker), for it reads no headers."
    )
    yield ""
    rows = (
        (
            each["who"],
            f"{each['seconds']} s" if each["done"] else f"not done after {found['most_s']:g} s",
            each["of_ideal"] if each["done"] else NOTHING,
            each["calls"],
            each["refused"],
            each["admitted"],
        )
        for each in found["by"]
    )
    yield from table(("", "time", "x ideal", "calls", "refused", "answered"), rows)
    yield ""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    idle = ", with idle priority" if found["idle_priority"] else ""
    yield f"Once each{idle}, on a machine that others used as well (load {found['load']:g} at the start); {versions}."
