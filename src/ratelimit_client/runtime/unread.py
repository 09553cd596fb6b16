"""
What this limiter's servers said and nobody understood.

Law of this file: each kind is counted and told to the log once, at debug level; of more
kinds than are kept the rest is counted together. A kind is a header's name and what is
wrong with it, made fit for a log where it was read, so nothing private is in either.

Theory: a field that cannot be used is left out, and the answer stands. Silence would hide
that a server speaks otherwise than its table says; a line for each answer would fill a disk.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from .logs import fields, one_line

_logger = logging.getLogger("ratelimit_client")

MOST_KINDS = 64
OTHER = "other"


class Unread:
    """
    Args:
        name: of the limiter, for the log.

    Attributes:
        counts: kind -> answers that told of it; ``other`` stands for all kinds that came too late to be kept.
    """

    __slots__ = ("_name", "counts")

    def __init__(self, name: str) -> None:
        self._name = name
        self.counts: dict[str, int] = {}

    def note(self, kinds: Iterable[str]) -> None:
        """One answer told of *kinds*, each once."""
        late = False
        for kind in kinds:
            if kind in self.counts or len(self.counts) < MOST_KINDS:
                self._count(kind)
            else:
                late = True
        if late:
            self._count(OTHER)

    def _count(self, kind: str) -> None:
        had = self.counts.get(kind, 0)
        self.counts[kind] = had + 1
        if not had:
            extra = fields("not_understood", client=self._name, kind=kind)
            _logger.debug("limiter %r: not understood in an answer: %s", self._name, one_line(kind), extra=extra)
