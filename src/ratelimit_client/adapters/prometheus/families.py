"""
The families of metrics: their names, types and labels.

Law of this file: it is the one list. What is exported, what the page of the docs says, and
what rules and dashboards may ask for, are read from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from ...core.counts import HELD_NS, MODELS_MAX, PPM, QUEUE_NS, RATIO_PPM
from ...core.units import to_s
from ...runtime.keeping import LATENCY_S

PREFIX: Final = "ratelimit_client_"

Kind = Literal["info", "counter", "gauge", "histogram"]
# How series of several processes become one, where a process writes them down for another to show.
Several = Literal["livesum", "livemax", "livemostrecent"]

_QUEUE_S = tuple(map(to_s, QUEUE_NS))
_SECONDS = tuple(map(to_s, HELD_NS))
_WHOLE = ("client", "model")

LABELS: Final[Mapping[str, str]] = {
    "client": "the name of the client or limiter",
    "code": "the status, or `timeout`, `connection`, `protocol` when there was none",
    "job": "the name of the output file",
    "limit": "the server's name for the dimension: `requests`, `tokens`, ...; of refusals also `quota` (the account is "
    "empty) and `unknown` (it named none)",
    "model": f"the key of the calls; {MODELS_MAX} by name, all others together as `other`",
    "op": "what was asked of the store: `renew`, `close`",
    "outcome": "`success`, `error`, `expired`, `cancelled`, `rejected`",
    "priority": "-2 to 2, lower first",
    "reason": "what made the attempt necessary: `rate_limited`, `server_error`, `connection`, ...",
    "source": "`header`, `config` or `learned`",
    "state": "`pending`, `running`, `done`, `failed`",
    "type": "`input`, `output`, `cached_input`, `reasoning`; the last two are parts of the first two",
    "version": "of the library",
    "window": "seconds",
}


@attrs.frozen
class Family:
    """
    Args:
        name: without the prefix, and of a counter without ``_total``.
        help: one sentence.
        labels: their names.
        bounds: of the buckets of a histogram.
        exemplars: requests are named as examples, where the format has a place for them.
        several: of a gauge, how those of several processes become one.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()
    exemplars: bool = False
    several: Several = "livemostrecent"

    @property
    def shown(self) -> str:
        """The name as a query has it."""
        return PREFIX + self.name + {"counter": "_total", "info": "_info"}.get(self.kind, "")


def _counter(name: str, label: str, text: str, *, exemplars: bool = False) -> Family:
    return Family(name, "counter", (*_WHOLE, label), text, exemplars=exemplars)


def _gauge(name: str, labels: tuple[str, ...], text: str, several: Several = "livemostrecent") -> Family:
    return Family(name, "gauge", labels, text, several=several)


def _histogram(name: str, bounds: tuple[float, ...], text: str, *more: str, exemplars: bool = False) -> Family:
    return Family(name, "histogram", ("client", *more), text, bounds, exemplars)


_LIST = (
    Family("build", "info", ("version",), "The version of the library."),
    _counter("requests", "outcome", "Calls by how they ended, one for each logical call."),
    _counter("attempts", "code", "Requests sent, by status or by what came instead of an answer.", exemplars=True),
    _counter("retries", "reason", "Attempts after the first, by what made them necessary."),
    _counter("rate_limited", "limit", "Refusals by the limit they name.", exemplars=True),
    _counter("tokens", "type", "Tokens used, as answers say."),
    _gauge("queue_depth", (*_WHOLE, "priority"), "Calls waiting for their turn.", "livesum"),
    _gauge(
        "queued_tokens",
        (*_WHOLE, "priority"),
        "Tokens that the waiting calls cost together, as we estimate.",
        "livesum",
    ),
    _gauge(
        "queue_oldest_wait_seconds",
        (*_WHOLE, "priority"),
        "How long the longest-waiting call has waited.",
        "livemax",
    ),
    _gauge("in_flight", _WHOLE, "Calls under way.", "livesum"),
    _gauge("concurrency_limit", _WHOLE, "Calls that may be under way.", "livesum"),
    _gauge("limit", (*_WHOLE, "limit", "window", "source"), "Units in a full window, as we believe."),
    _gauge("available", (*_WHOLE, "limit"), "Units left, as we believe."),
    _gauge("server_remaining", (*_WHOLE, "limit"), "Units left, as the server said last."),
    _gauge("foreign_usage_ratio", (*_WHOLE, "limit"), "Share of the refill that others take.", "livemax"),
    _gauge("cooldown_seconds", _WHOLE, "Seconds until the wait a server asked for is over.", "livemax"),
    _histogram("queue_wait_seconds", _QUEUE_S, "Time in the queue for each turn."),
    _histogram(
        "request_duration_seconds",
        _SECONDS,
        "Time of a logical call, queue and retries included.",
        exemplars=True,
    ),
    _histogram("attempt_duration_seconds", _SECONDS, "Time an attempt held its place, the body included."),
    _histogram(
        "time_to_first_token_seconds",
        _SECONDS,
        "Time from the start of the attempt that was answered to the first event of a stream.",
    ),
    _histogram(
        "token_estimate_ratio",
        tuple(ppm / PPM for ppm in RATIO_PPM),
        "Tokens charged over tokens estimated, where answers show what was charged.",
    ),
    Family("shared_budget_errors", "counter", ("client", "op"), "Questions that the store of a budget did not answer."),
    _histogram("shared_budget_latency_seconds", LATENCY_S, "Time of a round trip to the store.", "op"),
    _gauge("shared_budget_fallback", ("client", "op"), "Limiters that go on without their store.", "livesum"),
    _gauge("bulk_rows", ("job", "state"), "Rows of a bulk job by what has become of them.", "livesum"),
    _gauge("bulk_last_progress_timestamp_seconds", ("job",), "When a bulk job last finished a row.", "livemax"),
)

FAMILIES: Final[Mapping[str, Family]] = {family.name: family for family in _LIST}
