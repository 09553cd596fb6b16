"""
Make the pictures of README.md and docs/: scripts/pictures.py [--into FOLDER] [--light] [NAME ...], all unless named.

Law of this file: a picture is what a real terminal held. The program runs in a tmux
pane of a given size; what the pane shows, with its colours, becomes an SVG. Nothing
is drawn by hand, nothing waits for a time to pass: each picture names the words
that have to be on the screen. Model servers are ``ratelimit-client simulate``.

It needs tmux and rich, and leaves nothing behind: tmux gets a socket of its own in a
folder that goes again, which is also the home of everything that runs there.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
PATIENCE_S: Final = 180.0
LOOK_EACH_S: Final = 0.1
AT_ONCE: Final = 4

MINI: Final = "gpt-4o-mini-2024-07-18"
LARGE: Final = "gpt-4o-2024-08-06"
TUNED: Final = "ft:gpt-4o-mini-2024-07-18:acme-corp:customer-support:AbCdEfGh"
RUN: Final = "ratelimit-client run prompts.jsonl -o answers.jsonl"

CELL: Final = 12.2  # the width of a character in rich's SVG
LEADING: Final = re.compile(r'x="([\d.]+)"([^>]*)textLength="([\d.]+)"([^>]*)>((?:&#160;)+)(?=[^<])')

# As rich has it, without the font it would have a browser fetch from elsewhere.
FORMAT: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
    font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Pane:
    """A shell in a tmux pane, in a folder of its own."""

    def __init__(self, home: Path, width: int, height: int, environment: Sequence[str]) -> None:
        self.home = home
        self.width = width
        self._tmux = ["tmux", "-S", str(home / ".tmux"), "-f", os.devnull]
        clean = ["env", "-i", f"HOME={home}", f"PATH={home / '.bin'}:{os.environ['PATH']}", "TERM=xterm-256color"]
        shell = [*clean, "LANG=C.UTF-8", "PS1=$ ", *environment, "sh"]
        size = ["-x", str(width), "-y", str(height)]
        self._do("new-session", "-d", *size, "-c", str(home), shlex.join(shell))
        self._do("set-option", "-g", "status", "off")
        self._do("set-option", "-g", "history-limit", "5000")
        self.wait(r"^\$")

    def _do(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"pictures: tmux {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def type(self, line: str) -> None:
        """A line and Enter."""
        self._do("send-keys", "-l", line)
        self._do("send-keys", "Enter")

    def press(self, key: str) -> None:
        self._do("send-keys", key)

    def resize(self, width: int) -> None:
        self.width = width
        self._do("resize-window", "-x", str(width))

    def text(self) -> str:
        """What the pane shows."""
        return self._do("capture-pane", "-p").rstrip()

    def wait(self, words: str) -> None:
        """Until the pane shows *words*, a regular expression."""
        self.wait_until(lambda text: re.search(words, text, re.MULTILINE) is not None, words)

    def wait_until(self, shows: Callable[[str], bool], what: str) -> None:
        """Until what the pane shows is as it should be."""
        until = time.monotonic() + PATIENCE_S
        while not shows(text := self.text()):
            if time.monotonic() > until:
                raise SystemExit(f"pictures: waited {PATIENCE_S:g} s for {what!r}; the terminal shows\n{text}")
            time.sleep(LOOK_EACH_S)

    def wait_for_prompt(self) -> None:
        """Until the program has ended."""
        self.wait_until(lambda text: text.split("\n")[-1].rstrip() == "$", "the prompt")

    def lines(self) -> list[str]:
        """What it shows, with its colours."""
        lines = self._do("capture-pane", "-e", "-p").splitlines()
        while lines and not bare(lines[-1]).strip("$ "):
            lines.pop()
        return lines

    def close(self) -> None:
        """End the shell and whatever runs in it."""
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)


def bare(line: str) -> str:
    """A line without its colours."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)


class Stage:
    """Where one picture is taken: a home, the program in its PATH, model servers, panes."""

    def __init__(self, home: Path, clear: contextlib.ExitStack) -> None:
        self.home = home
        self._clear = clear
        program = home / ".bin" / "ratelimit-client"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m ratelimit_client "$@"\n')
        program.chmod(0o700)

    def rows(self, count: int, models: Sequence[str] = (MINI,), *, words: int = 40, then: Sequence[str] = ()) -> None:
        """Write prompts.jsonl: so many rows, of each model in turn, and further lines as they are."""
        with (self.home / "prompts.jsonl").open("w") as file:
            for number in range(count):
                content = f"Summarise letter {number}: {'a line of the letter; ' * (words // 5)}"
                body = {"model": models[number % len(models)], "messages": [{"role": "user", "content": content}]}
                row = {"custom_id": f"letter-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.writelines(line + "\n" for line in then)

    def server(self, *flags: str) -> subprocess.Popen[str]:
        """Start a model server; its URL is in the environment of the panes that are opened then."""
        words = [sys.executable, "-m", "ratelimit_client", "simulate", "--port", "0", *flags]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=self.home)
        self._clear.callback(_end, process)
        assert process.stdout is not None
        self.url = process.stdout.readline().strip()
        if not self.url:
            raise SystemExit("pictures: ratelimit-client simulate did not start")
        return process

    def call(self) -> None:
        """Somebody else spends a call."""
        body = json.dumps({"model": MINI, "messages": [{"role": "user", "content": "hello"}]}).encode()
        headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-others"}
        request = urllib.request.Request(f"{self.url}/chat/completions", body, headers)
        urllib.request.urlopen(request, timeout=10).close()

    def pane(self, width: int = 80, height: int = 24, *environment: str) -> Pane:
        """Open a terminal."""
        url = getattr(self, "url", "http://127.0.0.1:9/v1")
        pane = Pane(self.home, width, height, [f"OPENAI_BASE_URL={url}", "OPENAI_API_KEY=sk-picture", *environment])
        self._clear.callback(pane.close)
        return pane


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """A stage that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder, contextlib.ExitStack() as clear:
        yield Stage(Path(folder), clear)


# -- the pictures ---------------------------------------------------------------------

Shot = tuple[list[str], int]


def running(at: Stage, width: int = 80) -> Shot:
    """In the middle of a job of three models; one of them is left, and its limit binds."""
    at.rows(1200, (MINI, LARGE, TUNED))
    at.server("--limit", f"{TUNED}=240 requests/min", "--limit", "900 requests/min")
    pane = at.pane(width)
    pane.type(RUN)
    pane.wait(r"rows .*\b1 0[5-9]\d of")
    return pane.lines(), width


def wide(at: Stage) -> Shot:
    """The same at 200 columns."""
    return running(at, 200)


def no_colour(at: Stage) -> Shot:
    """The same with NO_COLOR, of two models."""
    at.rows(900, (MINI, LARGE))
    at.server("--limit", "300 requests/min")
    pane = at.pane(80, 24, "NO_COLOR=1")
    pane.type(RUN)
    pane.wait(r"rows .*\b6\d\d of")
    return pane.lines(), 80


def waiting(at: Stage) -> Shot:
    """A limit that fills up slowly is used up."""
    at.rows(60)
    at.server("--limit", "20 requests/h")
    pane = at.pane()
    pane.type(RUN)
    pane.wait(r"now .*waiting \d+")
    return pane.lines(), 80


def retrying(at: Stage) -> Shot:
    """A third of the answers is a 500."""
    at.rows(900)
    at.server("--limit", "1200 requests/min", "--server-errors", "0.3")
    pane = at.pane()
    pane.type(RUN)
    pane.wait(r"now .*again: \d\d")
    return pane.lines(), 80


def outage(at: Stage) -> Shot:
    """The server is gone in the middle of a job."""
    at.rows(600)
    server = at.server("--limit", "600 requests/min")
    pane = at.pane()
    pane.type(RUN)
    pane.wait(r"rows .*\b1\d\d of")
    server.kill()
    pane.wait(r"now +no answer.* for [5-9] s")
    return pane.lines(), 80


def long_wait(at: Stage) -> Shot:
    """Others have used up the limit of the day: nothing to stay awake for."""
    at.server("--limit", "40 requests/day", "--latency", "0.05")
    for _ in range(40):
        at.call()
    at.rows(100)
    pane = at.pane()
    pane.type(f"{RUN}; echo $?")
    pane.wait(r"^75$")
    return pane.lines(), 80


def summary(at: Stage) -> Shot:
    """Some rows failed: an unknown model, a line that is no row, a name used twice."""
    again = '{"custom_id": "letter-7", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "x": 1}}'
    at.rows(240, (MINI, MINI, MINI, LARGE, "gpt-4-ultra"), then=["{not a row", again])
    known = ("--model", MINI, "--model", LARGE)
    at.server("--limit", "120 requests/min", *known, "--latency", "0.2", "--server-errors", "0.02")
    pane = at.pane()
    pane.type(RUN)
    pane.wait(r"^next ")
    pane.wait_for_prompt()
    return pane.lines(), 80


def draining(at: Stage) -> Shot:
    """Ctrl-C, once."""
    at.rows(400)
    at.server("--limit", "600 requests/min", "--latency", "6")
    pane = at.pane()
    pane.type(RUN)
    pane.wait(r"calls .*\b[3-9]\d in flight")
    pane.press("C-c")
    pane.wait(r"now .*stopping")
    return pane.lines(), 80


def resized(at: Stage) -> Shot:
    """Made narrow and wide again while it runs."""
    at.rows(1200, (MINI, LARGE, TUNED))
    at.server("--limit", f"{TUNED}=240 requests/min", "--limit", "900 requests/min")
    pane = at.pane(200)
    pane.type(RUN)
    pane.wait(r"rows .*\b[1-9]\d* of")
    pane.resize(80)
    pane.wait(r"rows .*\b1 0[4-9]\d of")
    narrow = pane.lines()
    pane.resize(200)
    pane.wait(r"rows .*\b1 0[6-9]\d of")
    return [*narrow, "", *_note("... and wide again:"), "", *pane.lines()], 200


def _note(text: str) -> list[str]:
    return [f"\x1b[2;3m{text}\x1b[0m"]


def log(at: Stage) -> Shot:
    """What a log gets, where nobody watches."""
    at.rows(400)
    at.server("--limit", "200 requests/min")
    pane = at.pane(160)
    pane.type(f"{RUN} 2> run.log")
    pane.wait(r"\$ .*log\n\$ ?$")
    pane.type("cat run.log")
    pane.wait(r"^next ")
    return pane.lines(), 160


def top(at: Stage) -> Shot:
    """Why the calls of a run wait, seen from another terminal; of one model somebody else spends, too."""
    at.rows(1500, (MINI, LARGE), words=1500)
    at.server("--limit", f"{MINI}=600 requests/min", "--limit", f"{LARGE}=60000 tokens/min")
    pane = at.pane(100, 24)
    pane.type(f"{RUN} --metrics 0 2> run.log & until grep -q metrics run.log; do sleep 0.1; done; clear")
    pane.wait_until(lambda text: text.strip() == "$", "an empty screen")
    pane.type("ratelimit-client top $(sed -n 's/.*metrics on //p' run.log)")

    def shows(text: str) -> bool:
        with contextlib.suppress(urllib.error.HTTPError):
            at.call()
        return "others" in text and re.search(r"has waited [1-9]\d", text) is not None

    pane.wait_until(shows, "what others take")
    return pane.lines(), 100


def demo(at: Stage) -> Shot:
    """``make demo``, before its end and at its end."""
    pane = at.pane(88, 40)
    pane.type(f"cd {shlex.quote(str(ROOT))}; clear")
    pane.wait_until(lambda text: text.strip() == "$", "an empty screen")
    pane.type("make demo")
    pane.wait(r"rows .*\b(29|30)\d of")
    lines = pane.lines()
    pane.wait(r"^next ")
    pane.wait_for_prompt()
    ended = pane.lines()
    begin = next(number for number, line in enumerate(ended) if bare(line).startswith("rows"))
    return [*lines, "", *_note("... and at the end:"), "", *ended[begin:]], 88


PICTURES: Final[dict[str, Callable[[Stage], Shot]]] = {
    "running": running,
    "wide": wide,
    "waiting": waiting,
    "retrying": retrying,
    "outage": outage,
    "long-wait": long_wait,
    "no-colour": no_colour,
    "summary": summary,
    "draining": draining,
    "resized": resized,
    "log": log,
    "top": top,
    "demo": demo,
}


# -- drawing --------------------------------------------------------------------------


def svg(name: str, lines: Sequence[str], width: int, *, light: bool) -> str:
    """The picture of a terminal."""
    from rich.console import Console
    from rich.terminal_theme import DEFAULT_TERMINAL_THEME, DIMMED_MONOKAI
    from rich.text import Text

    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="crop", highlight=False)
    theme = DEFAULT_TERMINAL_THEME if light else DIMMED_MONOKAI
    drawn = console.export_svg(title="ratelimit-client", theme=theme, code_format=FORMAT, unique_id=name)
    drawn = LEADING.sub(_begin_later, drawn)
    return "\n".join(line.rstrip() for line in drawn.splitlines() if line.strip()) + "\n"


def _begin_later(found: re.Match[str]) -> str:
    """A text that begins with blanks begins where they end: not every program that shows an SVG shows them."""
    x, between, length, after, blanks = found.groups()
    shift = CELL * blanks.count(";")
    return f'x="{float(x) + shift:g}"{between}textLength="{float(length) - shift:g}"{after}>'


def take(name: str, folder: Path | None, *, light: bool) -> Path:
    """One picture, written; where somebody named a folder, its text beside it."""
    with stage() as at:
        lines, width = PICTURES[name](at)
    path = (folder or (DOCS if name == "demo" else DOCS / "pictures")) / f"{name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg(name, lines, width, light=light))
    if folder is not None:
        path.with_suffix(".txt").write_text("".join(bare(line) + "\n" for line in lines))
    return path


def missing() -> str | None:
    """What it needs and does not find."""
    if shutil.which("tmux") is None:
        return "tmux is missing: install it with the packages of your system"
    if importlib.util.find_spec("rich") is None:
        return "rich is missing: pip install '.[cli]'"
    return None


def main(words: Sequence[str]) -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="scripts/pictures.py", description="Make the pictures of the docs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (all): {', '.join(PICTURES)}")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="where they go (docs/pictures, the demo to docs)")
    parser.add_argument("--light", action="store_true", help="on a light background")
    given = parser.parse_args(words)
    if unknown := sorted(set(given.names) - PICTURES.keys()):
        parser.error(f"there is no picture {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    if (what := missing()) is not None:
        sys.stderr.write(f"pictures: {what}\n")
        return 2
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for path in pool.map(lambda name: take(name, given.into, light=given.light), given.names or PICTURES):
            sys.stdout.write(f"{path}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
