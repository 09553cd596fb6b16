"""The small costs are taken of what the library has now."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.micro.calls import deciding, looking, reading, scheduling


@pytest.mark.parametrize("use", [deciding, looking, reading, scheduling])
def test_what_is_measured_is_there(use: Callable[[int], None]) -> None:
    """Three calls of each; the core lets them in, or it is an error."""
    use(3)
