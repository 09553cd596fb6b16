"""
Every record that the library writes: what it is called, how loud it is, what goes with it.

Law of this file: it is the list. What is not here is not written; ``docs/logging.md`` is made of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import attrs

from ...core.events import Kind

NAMES: Final[Mapping[str, str]] = {"unit": "limit"}
"""What a fact is called in a record, where that is another word: of a refusal the unit is the limit that was met."""


@attrs.frozen
class Told:
    """
    Args:
        level: how loud.
        text: what happened, as a sentence.
        fields: what goes with it, beside ``event``.
    """

    level: int
    text: str
    fields: tuple[str, ...] = ()


_D, _I, _W, _E = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
_ERROR = ("status", "request_id")

EVENTS: Final[Mapping[Kind, Told]] = {
    Kind.OUTAGE: Told(_W, "Ten failures in a row: no calls go but one now and then, to see.", ("request_id",)),
    Kind.RECOVERED: Told(_W, "The server answers again; calls begin anew, few at first."),
    Kind.ERRED: Told(_I, "An answer was an error and no refusal; see `reason`.", ("reason", "wait_s", *_ERROR)),
    Kind.REFUSED: Told(
        _I, "A limit of the server was met: the first of all calls that met it.", ("limit", "wait_s", *_ERROR)
    ),
    Kind.FAILED: Told(_I, "No usable answer came.", ("failure",)),
    Kind.EXPIRED: Told(_I, "A call ended in the queue; see `error`.", ("error",)),
    Kind.LIMIT_CHANGED: Told(
        _I,
        "The server shows a limit for the first time, or another than before.",
        ("limit", "window_s", "amount", "before", "request_id"),
    ),
    Kind.SLICE_LEARNT: Told(
        _I, "The server refuses bursts that its limit would allow; none are sent any more.", ("limit", "burst")
    ),
    Kind.RATE_LEARNT: Told(_I, "The server shows no limits, and refused: a rate was learnt.", ("request_id",)),
    Kind.SLOWED_DOWN: Told(
        _I, "The server says that the rate grew too fast: a pace was set.", ("limit", "per_minute", "request_id")
    ),
    Kind.QUEUED: Told(_D, "A call has to wait.", ("priority",)),
    Kind.GRANTED: Told(_D, "A call may go.", ("waited_s", "tokens")),
    Kind.ANSWERED: Told(_D, "The head of an answer came.", ("latency_s", *_ERROR)),
    Kind.SETTLED: Told(_D, "A call said what it really used.", ("charged", "tokens")),
    Kind.ESTIMATED: Told(_D, "It was seen what an estimate was worth.", ("charged", "estimated")),
    Kind.RELEASED: Told(_D, "An attempt is over.", ("ending", "held_s")),
    Kind.RETRYING: Told(_D, "A call is to be sent again.", ("wait_s",)),
    Kind.CANCELLED: Told(_D, "A call was given up before it was sent."),
}
"""What ``LoggingInstrument`` writes, to ``ratelimit_client.events``."""

LEVELS: Final[Mapping[Kind, int]] = {kind: told.level for kind, told in EVENTS.items()}

OTHERS: Final[Mapping[str, Told]] = {
    "hook_failed": Told(_W, "An instrument raised; it is not reported again.", ("instrument",)),
    "store_lost": Told(_W, "The shared store cannot be reached; once until it is back.", ("client", "store", "error")),
    "store_back": Told(_I, "It can be reached again.", ("client", "store")),
    "store_missing": Told(_W, "A run began while the store was not there.", ("error",)),
    "api_key_failed": Told(_W, "The `api_key` callable failed; the last key stays in use.", ("error",)),
    "not_understood": Told(_D, "A field of an answer could not be read; once for each kind.", ("client", "kind")),
    "line_unfinished": Told(_W, "The last line of a file has no end: it is left for the next run.", ("line",)),
    "worker_lost": Told(_W, "A worker of a cluster is gone; others have its rows.", ("rows",)),
    "ray_said": Told(_W, "Ray wrote something.", ()),
    "answers_dropped": Told(
        _W, "The output takes no answers, and more than can be held have come.", ("file", "held_mb")
    ),
    "proxy_failed": Told(_E, "A bug in the proxy ended a request.", ("error",)),
    "no_page": Told(_W, "The metrics page cannot listen where it was told to.", ("host", "port", "error")),
    "metrics_failed": Told(_W, "The page or the files of metrics cannot be written; not reported again."),
    "live_page_failed": Told(_W, "The live page cannot be told what is done; not reported again."),
    "gauge_failed": Told(_W, "A gauge cannot be read; not reported again.", ("gauge",)),
    "telemetry_failed": Told(_W, "A tracer or a meter raised; it is not reported again.", ("error",)),
    "no_trace": Told(_D, "A tracer raised when it was asked for the id of a trace."),
}
"""What other loggers below ``ratelimit_client`` write, by the field ``event``."""
