"""``python -m benchmarks.page``: the page and its plots anew."""

from __future__ import annotations

import json
from pathlib import Path

from . import write

write(json.loads((Path(__file__).parent.parent / "results" / "latest.json").read_text(encoding="utf-8")))
