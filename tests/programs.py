"""
Run a program as a reader would, against a model server that stands in for the API.

The program is a process of its own: it finds the server through OPENAI_BASE_URL,
warnings are errors in it, and it must leave nothing on stderr.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import attrs

from ratelimit_client import Quotas
from ratelimit_client.testing import ModelServer, serve_model
from tests import canary

ROOT = Path(__file__).parent.parent
EXAMPLE_KEY = canary.KEY
PATIENCE_S = 60.0


@attrs.frozen
class Outcome:
    """What a program left behind: its exit code, its two streams, and the server it talked to."""

    code: int
    stdout: str
    stderr: str
    server: ModelServer


def run(*arguments: str, folder: Path, limits: Quotas | None = None, **options: Any) -> Outcome:
    """
    Run ``python ARGUMENTS`` in *folder* beside a model server.

    Args:
        arguments: of the interpreter: a file, or ``-c`` and code, or ``-m`` and a module.
        limits: of the `ModelServer` for each model; its own default when None.
        options: its other arguments.
    """
    return asyncio.run(_run(arguments, folder, limits, options))


async def _run(arguments: tuple[str, ...], folder: Path, limits: Quotas | None, options: dict[str, Any]) -> Outcome:
    async with serve_model(limits, api_keys=[EXAMPLE_KEY], **options) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "error",
            *arguments,
            cwd=folder,
            env={**_plain_environment(), "OPENAI_BASE_URL": str(url), "OPENAI_API_KEY": EXAMPLE_KEY},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                stdout, stderr = await process.communicate()
        except TimeoutError:
            process.kill()
            stdout, stderr = await process.communicate()
            stderr += f"\nkilled after {PATIENCE_S:.0f} s".encode()
        canary.clean(stdout, "the stdout of a program")
        canary.clean(stderr, "the stderr of a program")
        return Outcome(process.returncode or 0, stdout.decode(), stderr.decode(), url.server)


def _plain_environment() -> dict[str, str]:
    """The environment without anything that configures the program under test."""
    ours = ("OPENAI_", "RATELIMIT_CLIENT_", "PYTHONWARNINGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
