"""
The others in the race: what they are, of which version, and what it takes to run them.

Law of this folder: a script of this folder knows nothing of this project. It runs in an
environment that holds its peer and nothing of ours, reads a job file (job.py says what stands in
it), and no line of a peer is changed. Scripts have a hyphen in their name, so that none can hide
the package it is about.

Every peer races twice: with its *defaults*, as its README shows it, and *tuned*, as somebody would set
it who has read its source for what it offers. Both are told the limits, the bound on calls in flight
and the bound on attempts, as far as the peer can be told. What was set, and why, stands at the head
of each script.
"""

from __future__ import annotations

from pathlib import Path

import attrs

FOLDER = Path(__file__).parent
VARIANTS = ("defaults", "tuned")


@attrs.frozen(kw_only=True)
class Peer:
    """
    Args:
        name: of the script and of the requirement file.
        package, version: what is raced, as the package index has it.
        python: the least Python it runs on.
        variants: how it is set up, one race each.
        notes: what a reader of the table should know.
    """

    name: str
    package: str
    version: str
    python: tuple[int, int] = (3, 11)
    variants: tuple[str, ...] = VARIANTS
    notes: str = ""

    @property
    def script(self) -> Path:
        return FOLDER / f"{self.name}.py"

    @property
    def requirements(self) -> Path:
        return FOLDER / "requirements" / f"{self.name}.txt"


PEERS: tuple[Peer, ...] = (
    Peer(
        name="async-batch-llm",
        package="async-batch-llm",
        version="0.28.0",
        notes="Its default cooldown after a refusal is 300 s; tuned it is 1 s.",
    ),
    Peer(
        name="lm-deluge",
        package="lm-deluge",
        version="0.0.168",
        notes="Reserves 512 tokens for a reply unless told otherwise; tuned 16.",
    ),
    Peer(name="infermesh-client", package="infermesh", version="0.3.2", python=(3, 12), notes="Reads the headers."),
    Peer(
        name="token-throttle",
        package="token-throttle",
        version="14.0.0",
        python=(3, 12),
        notes="A limiter; calls and retries are the openai SDK's, and tuned the script's.",
    ),
    Peer(name="litellm-router", package="litellm", version="1.110.2"),
    Peer(
        name="langroid-limiter",
        package="langroid",
        version="0.69.16",
        notes="Its limiter and retries around the openai SDK; cannot be told limits, reads the headers.",
    ),
    Peer(name="openai-sdk", package="openai", version="3.57.0", notes="No limiter: cannot be told limits."),
    Peer(
        name="openai-cookbook",
        package="aiohttp",
        version="3.14.5",
        notes="The loop of the cookbook's script for many parallel requests, written anew on aiohttp.",
    ),
    Peer(
        name="aiolimiter-aiohttp",
        package="aiolimiter",
        version="1.3.0",
        notes="The loop of a careful user.",
    ),
)
