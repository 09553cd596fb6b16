"""
Header languages: what an answer's status, headers and body say about limits.

``read`` takes an answer of any server and gives `Signals`; ``Dialect`` is the table to
write for a server of one's own; ``names`` and ``lookup`` are the tables that exist,
``detect`` tells which one an answer would be read by.

This floor is pure. Wall time enters it as a number (or as the answer's own ``Date``)
and leaves it as a duration.
"""

from __future__ import annotations

from .dialect import Dialect, Field
from .durations import Unit
from .registry import detect, lookup, names, read

__all__ = ["Dialect", "Field", "Unit", "detect", "lookup", "names", "read"]
