"""What a result depends on, as a short text: when it is the same, the run need not be made again."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
_KINDS = (".py", ".txt", ".json", ".toml", ".lock")


def digest(*texts: str) -> str:
    """Of these texts, in this order."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


@functools.cache
def of_files(*places: Path) -> str:
    """Of the code, requirements and data in these files and folders; one that is not there counts for nothing."""
    files = sorted(path for place in places for path in (place.rglob("*") if place.is_dir() else [place]))
    wanted = [path for path in files if path.is_file() and path.suffix in _KINDS]
    return digest(*(f"{path.name}\0{path.read_bytes().hex()}" for path in wanted))
