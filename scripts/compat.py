"""
`make compat`: each example of examples/frameworks against a server with a limit, in an environment of its own.

    python scripts/compat.py [NAME ...] [--write docs/compatibility.md]

Law of this file: what the table says has happened. An example is installed as its docstring
says, in the newest versions there are, and run as a program. It asks eighty different
questions at once of a server that holds sixty a minute, which nobody tells it. The server
counts: all answered, at most ten refused, none answered twice. What could not be installed
or started is told as "not run", and is not green. What is said not to work is seen to fail,
and is not green when it works.

Environments are kept in build/compat and brought up to date by the next run. uv is used when it is there.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
from compat_server import serving

from ratelimit_client import per_minute
from ratelimit_client.testing import ModelServer

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "frameworks"
BUILD = ROOT / "build" / "compat"
BEGIN, END = "<!-- make compat: begin -->", "<!-- make compat: end -->"

LIMIT, QUESTIONS, MOST_REFUSED = 60, 80, 10
INSTALL_S, RUN_S = 600.0, 240.0
UNDER = ("openai", "anthropic", "litellm", "httpx2", "httpx")
"""What frameworks stand on, the nearest to them first; named beside their version."""


@attrs.frozen
class Row:
    """
    One example.

    Args:
        name: of its file, without ``.py``.
        title: what it is put under.
        package: the one whose version is told.
        streams: half of the questions are answered in events.
        needs: a program that must be there.
        works: with False it shows what does not work, and is to be seen not to.
        proxied: it runs behind ``ratelimit-client serve``.
        most: refusals that it may cause.
        note: for the table.
    """

    name: str
    title: str
    package: str
    streams: bool = True
    needs: str | None = None
    works: bool = True
    proxied: bool = False
    most: int = MOST_REFUSED
    note: str = ""


ROWS = (
    Row("openai_sdk", "OpenAI SDK", "openai", note="responses, and chat streamed"),
    Row("anthropic_sdk", "Anthropic SDK", "anthropic", note="against a small server that speaks its language"),
    Row("langchain_chat", "LangChain", "langchain-openai"),
    Row("llama_index_llm", "LlamaIndex", "llama-index-llms-openai"),
    Row("pydantic_ai_agent", "Pydantic AI", "pydantic-ai-slim"),
    Row("instructor_models", "Instructor", "instructor", note="streamed: partial models"),
    Row("openai_agents_run", "OpenAI Agents", "openai-agents", note="responses"),
    Row("litellm_calls", "LiteLLM", "litellm", note="`openai/` chat and embeddings only, see below"),
    Row("dspy_program", "DSPy", "dspy", streams=False, note='`model_type="chat"` only, see below'),
    Row("fastapi_app", "FastAPI", "fastapi", note="under uvicorn, drained by the lifespan"),
    Row("taskiq_worker", "taskiq", "taskiq", streams=False, note="broker in the program"),
    Row("arq_worker", "arq", "arq", streams=False, needs="redis-server"),
    Row(
        "celery_prefork",
        "Celery",
        "celery",
        most=QUESTIONS,
        note="prefork, two processes; a limiter in each, and neither knows of the other",
    ),
    Row(
        "ray_data",
        "Ray Data",
        "ray",
        streams=False,
        most=QUESTIONS,
        note="`map_batches`, two workers; a limiter in each, and neither knows of the other",
    ),
    Row("dspy_ignores", 'DSPy, `model_type="responses"`', "dspy", streams=False, works=False),
    Row("dspy_ignores", 'DSPy, `model_type="responses"`', "dspy", streams=False, proxied=True),
    Row("celery_prefork", "Celery", "celery", proxied=True, note="prefork, two processes"),
)


@attrs.frozen
class Result:
    """
    What came of one.

    Args:
        row: of which example.
        versions: of its package, and of what that stands on.
        plain, streamed: answers, as the example itself counted them.
        refused, admitted, repeated: calls, as the server counted them.
        problem: why it was not run, or did not go well; None: it did.
        ran: it was run.
        said: its last line.
    """

    row: Row
    versions: Sequence[str] = ()
    plain: int = 0
    streamed: int = 0
    refused: int = 0
    admitted: int = 0
    repeated: int = 0
    problem: str | None = None
    ran: bool = False
    said: str = ""

    @property
    def green(self) -> bool:
        """It went as it should; what is to show that it does not work was seen not to."""
        return self.ran and (self.problem is None) is self.row.works


# ---- one example -------------------------------------------------------------------------------


async def tried(row: Row, python: str, *, questions: int = QUESTIONS, limit: int = LIMIT) -> Result:
    """Run the example of *row* with the interpreter *python* beside a server."""
    calls = questions // 2 if row.streams else questions
    server = ModelServer(per_minute(requests=limit), latency=0.05)
    async with serving(server) as url:
        with helper(row.needs) as there, proxy(url, row.proxied) as asked:
            env = {**os.environ, **there, **addresses(asked), "PYTHONUNBUFFERED": "1"}
            code, out, err = await run([python, str(EXAMPLES / f"{row.name}.py"), str(calls)], RUN_S, env)
    said = out.strip().splitlines()[-1] if out.strip() else ""
    counts = [int(number) for number in re.findall(r"\d+", said)] + [0, 0]
    tally = server.tally
    result = Result(
        row,
        plain=counts[0],
        streamed=counts[1] if row.streams else 0,
        refused=tally.refusals,
        admitted=tally.admitted,
        repeated=tally.repeated,
        ran=True,
        said=said,
    )
    return attrs.evolve(result, problem=f"exit code {code}: {last(err)}" if code else judged(result, calls))


def judged(result: Result, calls: int) -> str | None:
    """What is wrong with *result*, or None."""
    wanted = calls * 2 if result.row.streams else calls
    if result.plain + result.streamed != wanted:
        return f"{wanted - result.plain - result.streamed} of {wanted} not answered"
    if result.repeated or result.admitted != wanted:
        return f"{result.admitted} calls were made for {wanted} answers, {result.repeated} of them answered twice"
    if result.refused > result.row.most:
        return f"{result.refused} refusals"
    return None


def addresses(url: str) -> dict[str, str]:
    """What tells an example where the server is, and keeps it from asking anybody else."""
    return {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": "nobody-looks-at-it",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "nobody-looks-at-it",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "DO_NOT_TRACK": "1",
    }


@contextmanager
def helper(program: str | None) -> Iterator[dict[str, str]]:
    """A redis of its own while an example that needs one runs; gives what is to be in the environment."""
    if program is None:
        yield {}
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield {"REDIS_URL": f"redis://127.0.0.1:{port}"}
        finally:
            process.terminate()
            process.wait()


@contextmanager
def proxy(url: str, wanted: bool) -> Iterator[str]:
    """The address to ask: *url* itself, or that of a proxy before it."""
    if not wanted:
        yield url
        return
    command = [sys.executable, "-m", "ratelimit_client", "serve", "--upstream", f"{url}/v1", "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None  # it is a pipe
            yield process.stdout.readline().strip().rpartition("OPENAI_BASE_URL=")[2].removesuffix("/v1")
        finally:
            process.terminate()


async def run(command: Sequence[str], most_s: float, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout, stderr; killed after *most_s*."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(most_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        err += f"\nnot done after {most_s:.0f} s".encode()
    return process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


def last(err: str) -> str:
    """The last line of *err*, fit for a cell of a table."""
    return (err.strip().splitlines() or ["no word on stderr"])[-1][:200].replace("|", "/")


# ---- its environment ---------------------------------------------------------------------------


def packages(row: Row) -> list[str]:
    """What the docstring of the example says to install; this library is the one at hand."""
    text = ast.get_docstring(ast.parse((EXAMPLES / f"{row.name}.py").read_text(encoding="utf-8"))) or ""
    line = next(line for line in text.splitlines() if line.startswith("    pip install "))
    words = shlex.split(line, comments=True)[2:]
    return [word.replace("ratelimit-client", str(ROOT)) for word in words]


async def installed(row: Row) -> tuple[str, str | None]:
    """The interpreter of the environment of *row*, and what went wrong with it."""
    folder = BUILD / row.name
    python = folder / "bin" / "python"
    uv = shutil.which("uv", path=os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)]))
    if not python.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        make = [uv, "venv", "--quiet", "--seed", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        code, _, err = await run([*make, str(folder)], INSTALL_S)
        if code:
            return str(python), f"no environment: {last(err)}"
    pip = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    first, *others = packages(row)
    code, _, err = await run([*pip, "--quiet", "--upgrade", "--editable", first, *others], INSTALL_S)
    return str(python), f"not installed: {last(err)}" if code else None


async def versions(row: Row, python: str) -> list[str]:
    """Names and versions: the package of *row*, then what it stands on."""
    names = [row.package, *(name for name in UNDER if name != row.package)]
    code = (
        "import importlib.metadata as m, json; have = {d.name.lower(): d.version for d in m.distributions()}; "
        f"print(json.dumps([f'{{n}} {{have[n]}}' for n in {names!r} if n in have]))"
    )
    _, out, _ = await run([python, "-c", code], 60.0)
    found: list[str] = json.loads(out)
    return found


_making: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
"""Two rows may be of one example; its environment is made once."""


async def done(row: Row) -> Result:
    """Install and run the example of *row*, once the program that it needs is there."""
    if row.needs is not None and shutil.which(row.needs) is None:
        return Result(row, problem=f"no {row.needs} on this machine")
    async with _making[row.name]:
        python, problem = await installed(row)
    if problem is not None:
        return Result(row, problem=problem)
    found = await versions(row, python)
    return attrs.evolve(await tried(row, python), versions=found)


# ---- the table ---------------------------------------------------------------------------------


def table(results: Sequence[Result]) -> str:
    """What stands between the markers."""
    day = datetime.now(UTC).date().isoformat()
    python = ".".join(map(str, sys.version_info[:2]))
    head = ["| under | version | example | plain | streamed | refused | result |", "|---|---|---|---|---|---|---|"]
    lines = [f"Run on {day} with Python {python}: {QUESTIONS} questions at once, {LIMIT} requests a minute."]
    for title, works, proxied in (("", True, False), ("What does not work:", False, False), (BEHIND, True, True)):
        rows = [line(each) for each in results if (each.row.works, each.row.proxied) == (works, proxied)]
        lines += ["", *([title, ""] if title else []), *head, *rows]
    return "\n".join(lines)


BEHIND = "Behind the [proxy](proxy.md), which knows of all:"


def line(result: Result) -> str:
    """One row of it."""
    row = result.row
    version = ", on ".join(result.versions[:2]) or "-"
    example = f"[{row.name}.py](../examples/frameworks/{row.name}.py)"
    counts = [str(result.plain), str(result.streamed) if row.streams else "-", str(result.refused)]
    if not result.ran:
        counts, outcome = ["-", "-", "-"], f"**not run**: {result.problem}"
    elif not row.works:
        outcome = result.said if result.problem else f"works, which was not expected: {result.said}"
    else:
        well = "works" if result.refused <= MOST_REFUSED else "all answered, with more refusals than need be"
        outcome = well if result.problem is None else f"**fails**: {result.problem}"
    return (
        "| " + " | ".join([row.title, version, example, *counts, "; ".join(filter(None, [outcome, row.note]))]) + " |"
    )


def written(page: str, text: str) -> str:
    """*page* with *text* between the markers."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}"


async def all_of(rows: Sequence[Row], jobs: int) -> list[Result]:
    """The results, in the order of *rows*; *jobs* at a time."""
    gate = asyncio.Semaphore(jobs)

    async def one(row: Row) -> Result:
        async with gate:
            result = await done(row)
            mark, behind = "ok " if result.green else "NOT", " behind the proxy" if row.proxied else ""
            words = [f"{row.title}{behind}: {result.said}", f"{result.refused} refused", result.problem or ""]
            print(mark, "; ".join(filter(None, words)), file=sys.stderr, flush=True)
            return result

    return list(await asyncio.gather(*map(one, rows)))


def main() -> int:
    """0: all is green; 1: something is not, and the table says what."""
    parser = argparse.ArgumentParser(prog="make compat", description="Run the examples of frameworks.")
    parser.add_argument("names", nargs="*", choices=[[], *(row.name for row in ROWS)], help="of examples; all")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (%(default)s)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if not arguments.names or row.name in arguments.names]
    results = asyncio.run(all_of(rows, arguments.jobs))
    text = table(results)
    print(text)
    if arguments.write is not None and not arguments.names:
        page = arguments.write.read_text(encoding="utf-8")
        arguments.write.write_text(written(page, text), encoding="utf-8")
    return 0 if all(result.green for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
