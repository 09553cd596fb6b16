"""
Celery with its prefork pool: tasks block, so the limiter of each process lives on a loop in the background.

    pip install "ratelimit-client[openai]" celery
    CELERY_FOLDER=$PWD celery --workdir examples/frameworks -A celery_prefork worker --pool prefork
    python examples/frameworks/celery_prefork.py [CALLS]     # with a broker of files, a worker of two processes

The limiter is made after the fork, in ``worker_process_init``. Each process learns for itself what the
others leave of the limit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_process_init
from openai import OpenAI

from ratelimit_client import Client, Limiter
from ratelimit_client.adapters.httpx.openai import sync_http_client
from ratelimit_client.runtime.background import background

MODEL = "gpt-4o-mini"
FOLDER = Path(os.environ.get("CELERY_FOLDER") or tempfile.mkdtemp(prefix="celery-"))
ways = {name: str(FOLDER) for name in ("data_folder_in", "data_folder_out", "control_folder")}
app = Celery("celery_prefork", broker="filesystem://", backend=f"file://{FOLDER}")
app.conf.update(broker_transport_options={**ways, "polling_interval": 0.05}, worker_prefetch_multiplier=1)
here: dict[str, Any] = {}


@worker_process_init.connect
def begin(**_: Any) -> None:
    here["limiter"] = Limiter()
    here["openai"] = OpenAI(http_client=sync_http_client(here["limiter"]))
    here["client"] = Client(limiter=here["limiter"])


@app.task
def ask(question: str) -> str:
    return here["openai"].responses.create(model=MODEL, input=question).output_text


@app.task
def tell(question: str) -> str:
    """A coroutine of one's own, run on the loop in the background."""
    return background().run(told(question))


async def told(question: str) -> str:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
    async with here["client"].stream("/chat/completions", json=asked) as events:
        return "".join([event.data["choices"][0]["delta"].get("content") or "" async for event in events])


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    worker = [sys.executable, "-m", "celery", "-A", "celery_prefork", "worker", "--pool", "prefork"]
    quiet = ["--concurrency", "2", "--loglevel", "error", "--without-gossip", "--without-mingle"]
    where = {**os.environ, "CELERY_FOLDER": str(FOLDER)}
    process = subprocess.Popen([*worker, *quiet], cwd=Path(__file__).parent, env=where, stdout=subprocess.DEVNULL)
    try:
        asked = [ask.delay(f"What is {n} in Roman numerals?") for n in range(calls)]
        tolds = [tell.delay(f"Count to {n}.") for n in range(calls)]
        plain, streamed = ([each.get(timeout=120) for each in results] for results in (asked, tolds))
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(FOLDER)
    print(f"{len(list(filter(None, plain)))} answers, {len(list(filter(None, streamed)))} streamed")


if __name__ == "__main__":
    main()
