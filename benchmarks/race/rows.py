"""The rows of the jobs: lines as the Batch API has them, the same for every run of one seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Rows = Callable[[int], list[dict[str, Any]]]

MODEL = "gpt-4o-2024-08-06"


def plain(count: int) -> Rows:
    """So many small rows."""
    return lambda seed: [_row(number, f"Say the number {number} in words.") for number in range(count)]


def sized(count: int, chars: int) -> Rows:
    """So many rows of one size."""
    return lambda seed: [_row(number, _text(number, chars)) for number in range(count)]


def mixed(count: int, least: int, most: int) -> Rows:
    """So many rows of very different sizes (log-uniform)."""

    def rows(seed: int) -> list[dict[str, Any]]:
        dice = random.Random(seed)
        sizes = [int(least * (most / least) ** dice.random()) for _ in range(count)]
        return [_row(number, _text(number, size)) for number, size in enumerate(sizes)]

    return rows


def some_heavy(count: int, heavy: int, chars: int, heavy_chars: int) -> Rows:
    """So many rows of *chars*, of which *heavy*, wherever the seed puts them, have *heavy_chars*."""

    def rows(seed: int) -> list[dict[str, Any]]:
        big = set(random.Random(seed).sample(range(count), heavy))
        return [_row(number, _text(number, heavy_chars if number in big else chars)) for number in range(count)]

    return rows


def _text(number: int, chars: int) -> str:
    return (f"{number}: " + "lorem ipsum " * chars)[:chars]


def _row(number: int, text: str) -> dict[str, Any]:
    body = {"model": MODEL, "user": f"row-{number}", "messages": [{"role": "user", "content": text}]}
    return {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
