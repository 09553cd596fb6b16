"""
Counters and histograms of one scrape, from whole numbers.

Law of this file: what has equal labels is added; a family without a value is not written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.samples import Exemplar

from .families import FAMILIES, PREFIX
from .meter import cumulative


class Sums:
    """A counter; the last of its labels is what is told apart."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._values: dict[tuple[str, ...], int] = {}
        self._examples: dict[tuple[str, ...], Exemplar] = {}

    def add(self, client: str, counts: Iterable[tuple[tuple[str, str], int]]) -> None:
        """Counts by (model, label)."""
        for (model, label), count in counts:
            at = (client, model, label)
            self._values[at] = self._values.get(at, 0) + count

    def like(self, client: str, at: tuple[str, str], example: Exemplar | None) -> None:
        """One of those that were counted."""
        if example is not None:
            self._examples[client, *at] = example

    def family(self) -> Iterator[Metric]:
        """It, if it has a value."""
        if not self._values:
            return
        about = FAMILIES[self._name]
        family = Metric(PREFIX + self._name, about.help, "counter")
        for at, value in self._values.items():
            labels = dict(zip(about.labels, at, strict=True))
            family.add_sample(about.shown, labels, float(value), exemplar=self._examples.get(at))
        yield family


class Spread:
    """A histogram."""

    def __init__(self, name: str) -> None:
        about = FAMILIES[name]
        self._bounds = about.bounds
        self._family = HistogramMetricFamily(PREFIX + name, about.help, labels=about.labels)

    def add(
        self, labels: tuple[str, ...], counts: list[int], total: float, examples: Sequence[Exemplar | None] = ()
    ) -> None:
        """How many in each bucket alone, and the sum of all."""
        if any(counts):
            buckets = cumulative(self._bounds, counts)
            if examples:
                shown = [(*pair, example) if example else pair for pair, example in zip(buckets, examples, strict=True)]
                self._family.add_metric(labels, shown, total)
            else:
                self._family.add_metric(labels, buckets, total)

    def family(self) -> Iterator[Metric]:
        """It, if it has a value."""
        if self._family.samples:
            yield self._family
