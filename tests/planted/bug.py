"""What a bug that was planted on purpose is."""

from __future__ import annotations

import attrs


@attrs.frozen
class Bug:
    """
    Args:
        name: a handle.
        breaks: the promise that no longer holds.
        file: below src/ratelimit_client.
        old, new: what is replaced by what.
        tests: where the suite looks, most telling first; paths below tests/.
        hangs: being found may mean that a test never ends.
    """

    name: str
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    hangs: bool = False
