"""
Calls within the limits from Ray: for Ray Data's ``map_batches``, and for ``run --engine ray``.

    from ratelimit_client.adapters.ray import Answers

    rows.map_batches(Answers, fn_constructor_args=(make, ask), concurrency=4, batch_size=64)

Law of this package: Ray is imported when something of Ray is used, and not before.
"""

from __future__ import annotations

from .answers import Answers

__all__ = ["Answers"]
