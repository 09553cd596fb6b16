"""
Real answers with what a correct client concludes from them.

Each line of data/headers.jsonl is one answer: where it was seen, its status, headers
and body, and ``expect``, the conclusions that can be checked by a program. Header
names keep the spelling of the source; a value is a list where a recording had
several lines. Identities are replaced; nothing else is. The lines of data/unseen.jsonl
have the same form; they were collected when the tables were finished, and their
conclusions were drawn before the tables were asked (docs/dialects.md).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs

from ratelimit_client.dialects import names

OTHER_NAMES = {
    "dockerhub": "docker",
    "openai-batch": "openai",
    "openai-codex": "openai",
    "openai-realtime": "openai",
    "vllm": "openai",
}

DATA = Path(__file__).parent / "data"


@attrs.frozen
class Sample:
    """One answer, its source, and what to conclude."""

    number: int
    source: str
    evidence: str
    provider: str
    status: int
    headers: dict[str, Any]
    body: Any
    meaning: str
    expect: dict[str, Any]

    @property
    def dialect(self) -> str:
        """The dialect of its sender, as a user would name it; "auto" for a sender that has none of its own."""
        name = OTHER_NAMES.get(self.provider, self.provider)
        return name if name in names() else "auto"

    @property
    def url(self) -> str | None:
        """Where the request went, if the source says so."""
        found = re.search(r"\((https?://[^ )]+)", self.source)
        return found[1] if found else None

    def __str__(self) -> str:
        return f"{self.number}-{self.provider}-{self.status}"


def _samples(name: str) -> tuple[Sample, ...]:
    with (DATA / name).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return tuple(
        Sample(number=number, **{**row, "status": row["status"] or 0, "headers": row["headers"] or {}})
        for number, row in enumerate(rows, start=1)
    )


SAMPLES = _samples("headers.jsonl")
UNSEEN = _samples("unseen.jsonl")
