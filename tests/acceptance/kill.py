"""
kill -9 at random moments, and tails torn and zeroed in between.

    python -m tests.acceptance.kill 500

Law of this file: nobody who is killed keeps the books. The model server counts in a
process of its own that survives every kill; what is durable is read from the files
after each of them; at the end the two have to agree.

A round starts the program, kills it after a random time and then does to the ends of
its files what a power failure could: nothing, a cut at any byte, zeros from any byte
on, zeros beyond the end. The job is over when the program ends by itself; then the
next job begins, until enough kills were made.

Killed processes are forked from one that has imported the program already, so that
most kills meet it at work and not at its imports.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import attrs

from ratelimit_client.testing.serve import RemoteURL, serve_in_process

ROWS: Final = 240
IN_FLIGHT: Final = 16
LATENCY_S: Final = 0.03
LONGEST_ROUND_S: Final = 0.5
# Beyond what one turn of the loop writes at once, so that cuts fall into whole lines, too.
TORN_BYTES: Final = 6000
EVERY_FLAW: Final = 30
_PATIENCE_S: Final = 60.0


@attrs.define
class Figures:
    """
    What all rounds together came to.

    Args:
        kills: processes killed while they ran.
        cut, zeroed: tails that were torn in between.
        calls: requests that the server counted.
        again_in_flight: rows sent again because they were out, unwritten, at a kill.
        again_torn: rows sent again because the torn tail held their answer.
        lost, repeated, bad: rows without a line, rows with several, lines that are none.
        durable_sent: rows sent again although a whole line of them was there.
        unexplained: rows sent more often than kills and torn tails explain.
        most_open: rows sent and not in a file at one kill, at most.
    """

    jobs: int = 0
    kills: int = 0
    cut: int = 0
    zeroed: int = 0
    rows: int = 0
    calls: int = 0
    again_in_flight: int = 0
    again_torn: int = 0
    lost: int = 0
    repeated: int = 0
    bad: int = 0
    durable_sent: int = 0
    unexplained: int = 0
    most_open: int = 0

    @property
    def wrong(self) -> dict[str, int]:
        """The figures that are not as they have to be."""
        found = {
            "lost": self.lost,
            "repeated": self.repeated,
            "bad": self.bad,
            "durable_sent": self.durable_sent,
            "unexplained": self.unexplained,
            "more open than allowed in flight": max(0, self.most_open - IN_FLIGHT),
        }
        return {name: count for name, count in found.items() if count}


@attrs.define(eq=False)
class Rounds:
    """One job, killed again and again until it is done."""

    folder: Path
    url: RemoteURL
    dice: random.Random
    figures: Figures
    name: str
    _allowed: Counter[str] = attrs.field(factory=Counter)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def errors(self) -> Path:
        return self.folder / "out.errors.jsonl"

    def run(self, kills: int) -> None:
        """Kill the job at most so often, then let it finish, and compare the books."""
        good = self._write_input()
        durable: set[str] = set()
        in_flight: set[str] = set()
        torn: set[str] = set()
        before = self._sent()
        while True:
            killed = self._one_run(last=self.figures.kills >= kills)
            sent = self._sent()
            now = sent - before
            before = sent
            self.figures.durable_sent += len(durable & now.keys())
            self.figures.again_in_flight += len(in_flight & now.keys())
            self.figures.again_torn += len(torn & now.keys())
            if not killed:
                break
            self.figures.kills += 1
            written = self._names(self.out)
            self._tear(self.out)
            self._tear(self.errors)
            durable = self._names(self.out)
            self.figures.most_open = max(self.figures.most_open, len(now.keys() - written))
            torn = (torn | written) - durable
            in_flight = (in_flight | now.keys()) - written - torn  # of this run, or of one before it
            for row in in_flight | torn:
                self._allowed[row] += 1
        self._compare(good, sent)

    # -- the input ----------------------------------------------------------------------

    def _write_input(self) -> set[str]:
        """Rows to be answered, and among them some that are never sent; gives the names of the former."""
        lines, good = [], set()
        for number in range(ROWS):
            name = f"{self.name}-{number}"
            flawed = number % EVERY_FLAW == EVERY_FLAW // 2
            lines.append(_row(name, url="/x") if flawed else _row(name))
            if not flawed:
                good.add(name)
        lines.insert(ROWS // 3, "this is no row")
        lines.append(_row(f"{self.name}-0"))
        (self.folder / "in").write_text("\n".join(lines) + "\n")
        return good

    # -- one run ------------------------------------------------------------------------

    def _one_run(self, *, last: bool) -> bool:
        """Start the program and kill it after a while; False when it was faster."""
        words = [self.folder / "in", "-o", self.out, "--base-url", self.url, "--max-in-flight", IN_FLIGHT]
        process = _start([str(word) for word in words])
        if not last and self.dice.random() < 0.5:
            self._wait_for_work(process)
        process.join(_PATIENCE_S if last else self.dice.uniform(0.0, LONGEST_ROUND_S))
        killed = process.is_alive()
        assert not (killed and last), "the job does not come to its end"
        process.kill()
        process.join()
        assert killed or process.exitcode == 1, f"exit code {process.exitcode}"  # the flawed rows make it 1
        process.close()
        return killed

    def _wait_for_work(self, process: BaseProcess) -> None:
        """Until it has written something: half of the kills come after that, however slow the machine is."""
        size = self.out.stat().st_size if self.out.exists() else 0
        end = time.monotonic() + _PATIENCE_S
        while process.is_alive() and (not self.out.exists() or self.out.stat().st_size <= size):
            assert time.monotonic() < end, "nothing was written"
            time.sleep(0.005)

    def _sent(self) -> Counter[str]:
        """Calls by row, once all that was on the wire has arrived."""
        calls = -1
        while True:
            report = self.url.stats(marks=True)
            if report["calls"] == calls:
                return Counter(report["attempts"])
            calls = report["calls"]
            time.sleep(0.01)

    # -- what a power failure does ------------------------------------------------------

    def _tear(self, path: Path) -> None:
        if not path.exists() or self.dice.random() < 0.3:
            return
        size = path.stat().st_size
        place = max(0, size - self.dice.randrange(TORN_BYTES + 1))
        with path.open("r+b") as file:
            if self.dice.random() < 0.5:
                file.truncate(place)
                self.figures.cut += 1
            else:
                file.seek(place)
                file.write(b"\0" * (size - place + self.dice.choice((0, 1, 4096))))
                self.figures.zeroed += 1

    # -- the books ------------------------------------------------------------------------

    def _names(self, path: Path) -> set[str]:
        """Rows with a whole line, the last one with or without its newline."""
        found = set()
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            try:
                found.add(json.loads(line)["custom_id"])
            except (ValueError, TypeError):
                continue
        return found

    def _compare(self, good: set[str], sent: Counter[str]) -> None:
        figures = self.figures
        figures.jobs += 1
        figures.rows += len(good)
        answers, errors = self._all_lines(self.out), self._all_lines(self.errors)
        found = Counter(line["custom_id"] for line in answers)
        figures.lost += len(good - found.keys()) + len(found.keys() - good)
        figures.repeated += sum(found.values()) - len(found)

        flaws = Counter((line["custom_id"], line["error"]["code"]) for line in errors)
        expected = ROWS - len(good) + 2
        figures.lost += max(0, expected - len(flaws))
        figures.repeated += sum(flaws.values()) - len(flaws)

        for row in good:
            figures.calls += sent[row]
            figures.unexplained += max(0, sent[row] - 1 - self._allowed[row])

    def _all_lines(self, path: Path) -> list[dict[str, Any]]:
        text = path.read_bytes()
        self.figures.bad += not text.endswith(b"\n")
        found = []
        for line in text.split(b"\n")[:-1]:
            try:
                row = json.loads(line)
                assert row["id"].startswith("rlc_")
                assert (row["error"] is None) == (path == self.out)
                found.append(row)
            except (ValueError, TypeError, KeyError, AssertionError):
                self.figures.bad += 1
        return found


def _row(name: str, url: str = "/v1/chat/completions") -> str:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"say {name}"}], "user": name}
    return json.dumps({"custom_id": name, "method": "POST", "url": url, "body": body})


def _start(words: list[str]) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ratelimit_client.cli.commands.run", "ratelimit_client.cli.args"])
    process = context.Process(target=_program, args=(words,), daemon=True)
    process.start()
    return process


def _program(words: list[str]) -> None:
    """The program in this process: silent, with a key."""
    from ratelimit_client.cli import main

    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    os.environ["OPENAI_API_KEY"] = "sk-none"
    sys.exit(main(["run", *words, "--progress", "none"]))


def rounds(kills: int, *, seed: int, folder: Path) -> Figures:
    """Jobs one after the other until so many kills were made."""
    dice, figures = random.Random(seed), Figures()
    with serve_in_process(["1000000 requests/min", "1000000000 tokens/min"], latency=LATENCY_S, headers=False) as url:
        while figures.kills < kills:
            place = folder / f"job-{figures.jobs}"
            place.mkdir()
            Rounds(place, url, dice, figures, f"job{figures.jobs}").run(kills)
    return figures


def main() -> int:
    """So many kills as were asked for; the figures on stdout, 1 when one of them is not as it has to be."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        figures = rounds(kills, seed=seed, folder=Path(folder))
    said = {"seed": seed, "seconds": round(time.monotonic() - began, 1), **attrs.asdict(figures)}
    sys.stdout.write(json.dumps(said, indent=1) + "\n")
    return int(bool(figures.wrong))


if __name__ == "__main__":
    sys.exit(main())
