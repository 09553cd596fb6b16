"""
Make ``docs/pictures/report.png``: the upper part of a report, as a browser shows it.

    python scripts/report_picture.py [--into FOLDER]

Law of this file: nothing is drawn that a user would not see. A job runs for about a minute against a model
server that has a limit and fails now and then; a Chromium without a window opens the page that ``--report``
wrote. It needs ``chromium`` in the PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ratelimit_client.cli import main as ratelimit_client
from ratelimit_client.core.quota import Quotas, per_minute
from ratelimit_client.testing import Faults, LogNormal, serve_in_process

ROOT: Final = Path(__file__).resolve().parents[1]
WIDTH: Final = 880
HEIGHT: Final = 1415
MODEL: Final = "gpt-4o-mini-2024-07-18"
ROWS: Final = 1_600
LIMITS: Final = {"*": Quotas.of(per_minute(requests=900))}
LIGHT: Final = "--blink-settings=preferredColorScheme=1"


def report(folder: Path) -> Path:
    """Run the job; gives the page."""
    with (folder / "prompts.jsonl").open("w", encoding="utf-8") as file:
        for number in range(ROWS):
            content = f"Summarise letter {number}: {'a line of the letter; ' * (1 + number % 40)}"
            body = {"model": MODEL, "messages": [{"role": "user", "content": content}]}
            row = {"custom_id": f"letter-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(row) + "\n")
    conduct: dict[str, Any] = {
        "latency": LogNormal(0.7, most_s=8.0),
        "faults": Faults(server_error=0.01),
        "seed": 4,
    }
    with serve_in_process(LIMITS, **conduct) as url:
        os.environ["OPENAI_API_KEY"] = "sk-picture"
        words = [folder / "prompts.jsonl", "-o", folder / "answers.jsonl", "--report", folder / "report.html"]
        code = ratelimit_client(["run", *map(str, words), f"--base-url={url}", "--progress", "plain"])
    if code:
        raise SystemExit(f"report_picture: the run ended with {code}")
    return folder / "report.html"


def take(page: Path, picture: Path) -> None:
    """Let the browser draw it."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", LIGHT]
    words += [f"--user-data-dir={page.parent / 'profile'}", f"--window-size={WIDTH},{HEIGHT}"]
    done = subprocess.run(
        ["chromium", *words, f"--screenshot={picture}", page.as_uri()], capture_output=True, text=True, check=False
    )
    if done.returncode or not picture.exists():
        raise SystemExit(f"report_picture: chromium ended with {done.returncode}: {done.stderr[-1000:]}")


def main(words: Sequence[str]) -> int:
    """Make the picture."""
    parser = argparse.ArgumentParser(prog="scripts/report_picture.py", description="Make the picture of a report.")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "pictures", metavar="FOLDER", help="where it goes")
    given = parser.parse_args(words)
    if shutil.which("chromium") is None:
        sys.stderr.write("report_picture: chromium is missing: install it with the packages of your system\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="report-") as name:
        picture = given.into / "report.png"
        take(report(Path(name)), picture)
    sys.stdout.write(f"{picture}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
