"""
The job of the demo: the example of a checkout, or one made up where there is none.

Law of this file: the same rows every time.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Final

_EXAMPLE: Final = Path("examples") / "job.jsonl"
_ROWS: Final = 320
_MODELS: Final = ("gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06")

_TASKS: Final = (
    "Summarise in one sentence:",
    "Translate into French:",
    "Name the three most important facts in:",
    "Rewrite for a child of ten:",
    "Find what is odd about:",
)
_SENTENCES: Final = (
    "The lighthouse keeper counted the ships of the week and found one more than the harbour master.",
    "Rain fell on the market for three days, and on the fourth the price of umbrellas halved.",
    "A letter that had been posted in spring arrived in autumn, smelling of salt.",
    "The bridge was measured twice and built once, which is cheaper than the other way round.",
    "Nobody had asked the baker for his opinion, so he wrote it on the bread.",
    "When the lights came back, the clocks disagreed about how long it had been dark.",
)


def example_job() -> Path | None:
    """The job of the checkout we run from, or of the one around this package."""
    checkout = Path(__file__).resolve().parents[3]
    for folder in (Path.cwd(), checkout):
        if (folder / _EXAMPLE).is_file() and (folder / "pyproject.toml").is_file():
            return folder / _EXAMPLE
    return None


def write_job(path: Path) -> None:
    """Make up a job of a few hundred rows of very different lengths."""
    dice = random.Random(20260101)
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, _ROWS + 1):
            sentences = dice.choices(_SENTENCES, k=min(60, 1 + int(dice.expovariate(0.15))))
            content = f"{dice.choice(_TASKS)}\n\n{' '.join(sentences)}"
            body = {"model": dice.choice(_MODELS), "messages": [{"role": "user", "content": content}]}
            row = {"custom_id": f"demo-{number:03}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
