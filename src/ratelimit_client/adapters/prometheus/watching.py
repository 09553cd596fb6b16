"""
What to type to have limiters and clients shown.

Law of this file: a registry that is named gets a collector, of which there is one in each. The
default is that of the process, or, where several write down what they count, their files.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry

from .collector import Collector
from .processes import are_several, exporter

_collectors: weakref.WeakKeyDictionary[CollectorRegistry, Collector] = weakref.WeakKeyDictionary()


def watch(what: Any, registry: CollectorRegistry | None = None) -> None:
    """
    Show a limiter, or a client and its limiter, in *registry*.

    Nothing listens because of this; see ``MetricsPage`` for a page of one's own.

    Args:
        registry: None: the default one; where PROMETHEUS_MULTIPROC_DIR is set, the files of all processes.
    """
    if registry is None and are_several():
        exporter().watch(what)
    else:
        collector_of(registry).watch(what)


def gauge(
    name: str, labels: Mapping[str, str], read: Callable[[], float], registry: CollectorRegistry | None = None
) -> None:
    """
    Show what *read* says at each scrape, such as the rows of a bulk job that are done.

    Args:
        name: of one of the families that ``docs/metrics.md`` lists, without the prefix.
        labels: all of that family.

    Raises:
        KeyError: there is no such family, or a label is missing.
    """
    collector_of(registry).gauge(name, labels, read)


def progress(job: str, read: Callable[[], Mapping[str, Any]], registry: CollectorRegistry | None = None) -> None:
    """
    Show what *read* says of a job on the live page, whenever somebody looks at that.

    Args:
        job: its name.
        read: ``done``, ``total``, ``failed`` (rows), ``rate`` (rows a second), ``eta_s`` (seconds), ``state`` (a
            sentence); each may be missing or None, and others are told in ``/state.json`` as they are.
    """
    collector_of(registry).progress(job, read)


def known_collector(registry: CollectorRegistry | None) -> Collector | None:
    """The one of *registry*, if anything is shown there."""
    if registry is None and are_several():
        return exporter().collector
    return _collectors.get(REGISTRY if registry is None else registry)


def collector_of(registry: CollectorRegistry | None) -> Collector:
    """The one of *registry*; made when it is first asked for."""
    if registry is None:
        if are_several():
            return exporter().collector
        registry = REGISTRY
    collector = _collectors.get(registry)
    if collector is None:
        collector = _collectors[registry] = Collector(registry)
    return collector


def _after_fork() -> None:
    for collector in list(_collectors.values()):
        collector.begin_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
