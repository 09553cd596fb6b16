"""Reading what a registry shows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar

PREFIX = "ratelimit_client_"

Found = dict[tuple[str, ...], float]


def read(text: str) -> Found:
    """(name without prefix, values of the labels in the order of their names) -> value."""
    return {
        (sample.name.removeprefix(PREFIX), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(registry: CollectorRegistry) -> Found:
    """What a classic scrape shows."""
    return read(generate_latest(registry).decode())


def exemplars(registry: CollectorRegistry) -> dict[tuple[str, ...], Exemplar]:
    """The examples of a scrape in OpenMetrics, at the places of their samples."""
    return {
        (sample.name.removeprefix(PREFIX), *(value for _, value in sorted(sample.labels.items()))): sample.exemplar
        for family in openmetrics_families(generate_openmetrics(registry).decode())
        for sample in family.samples
        if sample.exemplar is not None
    }
