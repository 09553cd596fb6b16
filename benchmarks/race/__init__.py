"""
The race: jobs against model servers with limits, run by us untold and by peers told.

``scenarios`` are the servers and jobs, ``ideal`` the least time they allow; ``run`` makes one
run of one of the ``entrants``, ``schedule`` many side by side, ``judge`` compares them, and
``command`` is what ``python -m benchmarks race`` and ``race-peers`` do.
"""

from __future__ import annotations

from .command import peers, race

__all__ = ["peers", "race"]
