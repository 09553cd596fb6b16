"""
``--engine ray``: the input and the workers of a run on a cluster.

Law of this file: this process reads, keeps the journal and shows how it goes; the calls
are made by the workers. The cluster is let go of when the run is over.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..bulk.engines import Engine
from ..bulk.engines.crew import Crew, Seat
from ..bulk.engines.ray import connected
from ..bulk.engines.recipe import divided
from ..bulk.ray_source import open_ray_source
from ..bulk.source import Source
from .counter import counter_of
from .target import new_client, recipe_of
from .voice import Voice


@contextlib.contextmanager
def with_cluster(
    options: Mapping[str, Any], input_: str, voice: Voice
) -> Iterator[tuple[Mapping[str, Any], Source, Engine]]:
    """
    What a run works with, and its options with the number of its workers.

    Raises:
        ConfigurationError: what the workers need cannot be, the cluster cannot be reached, or there is no input.
    """
    new_client(options)  # what cannot be is refused here, in the words of a run without a cluster
    counter_of(options, voice)
    with connected(options["ray_address"]) as cluster:
        recipe = recipe_of(options)
        recipes = divided(recipe, cluster.worker_count(options["ray_workers"]))
        source = open_ray_source(input_)
        try:
            seats = [Seat(cluster.hire(), each) for each in recipes]
            crew = Crew(seats, _key, in_parts=recipe.store is None, deadline_s=recipe.deadline_s)
            nodes = "1 node" if cluster.nodes == 1 else f"{cluster.nodes} nodes"
            voice.say(f"{len(seats)} {'worker' if len(seats) == 1 else 'workers'} on a Ray cluster of {nodes}")
            yield {**options, "ray_workers": len(seats)}, source, crew
        finally:
            source.close()


def _key() -> str | None:
    """As it is now, and kept nowhere."""
    return os.environ.get("OPENAI_API_KEY")
