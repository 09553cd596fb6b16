"""``python -m benchmarks.micro``: JSON on stdout."""

from __future__ import annotations

import json

from . import micro

if __name__ == "__main__":
    print(json.dumps(micro(), indent=1))
