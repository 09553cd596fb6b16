"""
``demo``: the example job against a model server of its own.

Law of this file: no key, no network, under a minute, and nothing shown that a
real run does not show. The server has limits that the job exceeds; the client is
told none of them and has to find out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Final

from ...core.quota import Quotas, per_minute
from ...testing.conduct import LogNormal
from ...testing.serve import serve_in_process
from ..args import Request
from ..demo_job import example_job, write_job
from ..options import resolve
from ..tables import RUN
from ..voice import Voice
from . import run

# Chosen for the example job: the buckets of the first two models run dry, one by requests and one by tokens,
# and refill for some 25 s until all rows have passed.
_LIMITS: Final[dict[str, Quotas]] = {
    "gpt-4o-mini-2024-07-18": per_minute(requests=150, tokens=200_000),
    "gpt-4o-2024-08-06": per_minute(requests=500, tokens=40_000),
    "*": per_minute(requests=3_000, tokens=1_000_000),
}
_LATENCY: Final = LogNormal(0.6, most_s=3.0)


def main(request: Request, voice: Voice) -> int:
    """Show it."""
    with tempfile.TemporaryDirectory(prefix="ratelimit-client-") as folder:
        job = example_job()
        out = request.options["out"] or _out(job, Path(folder))
        if job is None:
            job = Path(folder) / "job.jsonl"
            write_job(job)
        with serve_in_process(_LIMITS, latency=_LATENCY, seed=1) as url:
            voice.write(_words(str(url), job))
            options = resolve(RUN, argparse.Namespace(), {})
            options |= {"input": str(job), "out_path": str(out), "base_url": str(url), "api_key": "sk-demo"}
            options |= {"overwrite": True, "progress": request.options["progress"]}
            return run.main(Request("run", options, ["run", str(job), "-o", str(out), f"--base-url={url}"]), voice)


def _out(job: Path | None, folder: Path) -> Path:
    """``out/demo.jsonl`` of the checkout; without one, or where that cannot be made, a file that goes again."""
    if job is not None:
        kept = job.parents[1] / "out"
        try:
            kept.mkdir(exist_ok=True)
        except OSError:
            return folder / "demo.jsonl"
        return Path(_near(kept / "demo.jsonl"))
    return folder / "demo.jsonl"


def _words(url: str, job: Path) -> str:
    limits = "\n".join(
        f"  {'any other model' if model == '*' else model:<24}{', '.join(str(quota) for quota in quotas)}"
        for model, quotas in _LIMITS.items()
    )
    return (
        f"A model server on {url} holds these limits,\nand nobody tells them to the client:\n{limits}\n\n"
        f"$ ratelimit-client run {_near(job)} -o ...\n"
    )


def _near(path: Path) -> str:
    """*path*, from here on where it is below here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
