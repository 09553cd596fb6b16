"""What a page of metrics shows of a day."""

from __future__ import annotations

from typing import Any

from ratelimit_client.adapters.prometheus import Collector

from ..check import Check

_SERIES = 2000
_GAUGES = ("queue_depth", "queued_tokens", "queue_oldest_wait_seconds", "in_flight")
_PREFIX = "ratelimit_client_"


class Shown(Check):
    """
    I24. A page of metrics shows each turn, each attempt and each end once, and in the end nothing that waits or is
    under way; its series have a bound.
    """

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self.collector = Collector(None)
        self.turns = self.attempts = self.ends = 0

    def begins(self) -> None:
        for limiter in self.day.limiters:
            self.collector.watch(limiter)

    def granted(self, of: Any, state: Any, ticket: Any, now_ns: int) -> None:
        self.turns += 1

    def answered(self, of: Any, ticket: Any, signals: Any, now_ns: int) -> None:
        self.attempts += 1

    def failed(self, of: Any, ticket: Any, failure: Any, now_ns: int) -> None:
        self.attempts += 1

    def released(self, of: Any, ticket: Any, ending: Any, now_ns: int) -> None:
        self.ends += 1

    def rests(self) -> None:
        sums: dict[str, float] = {}
        series = 0
        for family in self.collector.collect():
            for sample in family.samples:
                series += 1
                name = sample.name.removeprefix(_PREFIX)
                sums[name] = sums.get(name, 0.0) + sample.value
        for name, count in (
            ("queue_wait_seconds_count", self.turns),
            ("attempts_total", self.attempts),
            ("attempt_duration_seconds_count", self.ends),
            *((gauge, 0) for gauge in _GAUGES),
        ):
            if sums.get(name, 0.0) != count:
                self.broken(f"the page shows {name} as {sums.get(name, 0.0):g}, and there were {count}")
        if series > _SERIES:
            self.broken(f"the page has {series} series")
