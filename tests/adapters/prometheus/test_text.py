"""What a scrape reads, and how often it is made anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ratelimit_client import Limiter
from ratelimit_client.adapters.prometheus import watch
from ratelimit_client.adapters.prometheus.text import Text
from ratelimit_client.testing import ManualClock

CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
MODERN = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Slow:
    """A collector that takes a second, and says how often it was asked."""

    def __init__(self, clock: ManualClock, takes_s: float = 1.0) -> None:
        self.clock = clock
        self.takes_s = takes_s
        self.asked = 0
        self.breaks = False

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        self.clock.advance(self.takes_s)
        self.asked += 1
        if self.breaks:
            raise RuntimeError("somebody else's")
        yield GaugeMetricFamily("asked", "times", self.asked)


def of(slow: Slow) -> Text:
    registry = CollectorRegistry()
    registry.register(slow)
    return Text(lambda: registry, lambda: slow.clock.monotonic_ns() / 1e9)


def test_making_it_takes_a_twentieth_of_the_time_at_most():
    """
    Asked ten times a second for 200 s, something that takes a second is made about ten times.
    """
    slow = Slow(ManualClock())
    text = of(slow)
    for _ in range(2000):
        text.read("")
        slow.clock.advance(0.1)

    assert 5 <= slow.asked <= 12


def test_who_comes_seldom_finds_the_present():
    """
    Every 15 s, a page that takes 25 ms: each time a new one, and two at once as well.
    """
    slow = Slow(ManualClock(), 0.025)
    text = of(slow)
    for number in range(10):
        assert f"asked {2 * number + 1}.0".encode() in text.read("")[1]
        assert f"asked {2 * number + 2}.0".encode() in text.read("")[1]
        slow.clock.advance(15)


def test_what_was_made_last_is_of_the_format_that_is_asked_for():
    """
    When there is none of it yet, it is made, whatever that takes.
    """
    slow = Slow(ManualClock())
    text = of(slow)
    assert text.read("")[2] != text.read("application/openmetrics-text")[2]
    assert slow.asked == 2
    assert b"asked 1.0" in text.read("")[1]
    assert b"# EOF" in text.read("application/openmetrics-text")[1]
    assert slow.asked == 2


@pytest.mark.parametrize(
    ("accept", "modern"),
    [
        ("", False),
        ("text/plain", False),
        ("*/*", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", True),
        ("text/plain, Application/OpenMetrics-Text", True),
        ("application/openmetrics-text; version=9\r\nX: y; escaping=z", True),
        ("application/openmetrics-text-x", False),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", False),
    ],
)
def test_the_format_is_one_of_two(accept: str, modern: bool):
    """
    Nothing that a scraper says comes back to it.
    """
    registry = CollectorRegistry()
    watch(Limiter(), registry)
    status, body, kind = Text(lambda: registry).read(accept)

    assert (status, kind) == (200, MODERN if modern else CLASSIC)
    assert body.endswith(b"# EOF\n") == modern


def test_a_collector_that_breaks(caplog: pytest.LogCaptureFixture):
    """
    The scraper is told, the log says why, once; when it works again so does the page.
    """
    slow = Slow(ManualClock(), 0.001)
    text = of(slow)
    slow.breaks = True
    for _ in range(3):
        status, body, _ = text.read("")
        assert (status, b"somebody else" in body) == (500, False)
    slow.breaks = False
    assert text.read("")[0] == 200
    assert caplog.text.count("the metrics cannot be written") == 1
