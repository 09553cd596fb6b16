"""
How much a test tries: one word, RLC_SIZE, scales all of them.

``make test`` is 1, ``make test-ci`` ten times that, ``make nightly`` a thousand
times. A test that repeats something multiplies its own small number by SCALE;
property tests follow through the hypothesis profile that conftest.py loads.
"""

from __future__ import annotations

import os
from typing import Final

SIZES: Final = {"test": 1, "ci": 10, "nightly": 1000}

SIZE: Final = os.environ.get("RLC_SIZE", "test")
SCALE: Final = SIZES[SIZE]
