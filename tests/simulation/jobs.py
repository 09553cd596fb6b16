"""
A bulk job over several lives: killed, unplugged or stopped, and begun again.

Law of this file: the job is the library's own, on real files, in virtual time and over the
simulator's wires. Whoever is killed does nothing more: what still runs in his loop writes
to no file and reaches no server. Who is unplugged also loses what was not synced, from some
byte on. The server lives on, and remembers whom it has answered.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
from collections import Counter
from pathlib import Path

import attrs

from ratelimit_client import Client, RetryPolicy, Timeout
from ratelimit_client.bulk.disk import Disk
from ratelimit_client.bulk.engines.local import LocalEngine
from ratelimit_client.bulk.job import Bounds, Job
from ratelimit_client.bulk.manifest import Manifest
from ratelimit_client.bulk.output import open_output
from ratelimit_client.bulk.source import Source
from ratelimit_client.bulk.walk import Walk
from ratelimit_client.core.units import NS
from ratelimit_client.testing import Answer, ModelServer, VirtualLoop

from .day import KEY
from .drawing import draw_site, draw_weather
from .serving import PORT, serving
from .weather import blow
from .world import Site, Weather

MOST_LIVES = 30
STOPS = ("kill", "kill", "unplug", "abort")


def finished(line: bytes) -> str | None:
    """The row that a line of an output finishes; one about a line that is no row finishes none."""
    name = name_of(line)
    error = json.loads(line).get("error") if name is not None else None
    return None if error is not None and error["code"] == "duplicate_custom_id" else name


@attrs.frozen(kw_only=True)
class Story:
    """
    Args:
        rows: the lines of the input.
        stops: how the first lives end, and after how many seconds; the last one runs to its end.
    """

    seed: int
    site: Site
    weather: Weather
    rows: tuple[bytes, ...]
    stops: tuple[tuple[str, float], ...]

    @property
    def names(self) -> set[str]:
        """The names of the rows that can be run."""
        return {name for name in map(name_of, self.rows) if name is not None}


def name_of(line: bytes) -> str | None:
    """The name of a row, or of a line of an output."""
    try:
        name = json.loads(line)["custom_id"]
    except (ValueError, TypeError, KeyError):
        return None
    return name if isinstance(name, str) else None


def draw(seed: int) -> Story:
    """The story of a seed."""
    dice = random.Random(f"job {seed}")
    site = draw_site(random.Random(f"site of job {seed}"), 0)
    most = min((quota.amount for quota in site.every_limit if quota.unit == "tokens"), default=8_000)
    sizes = (0, 40, most // 8)
    rows = []
    for number in range(dice.choice((3, 10, 25, 40))):
        message = {"role": "user", "content": "x" * dice.choice(sizes)}
        body = {"model": dice.choice(("gpt-4o", "o3")), "user": f"r{number}", "messages": [message]}
        row = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        rows.append(json.dumps(row).encode())
        if dice.random() < 0.03:
            rows.append(rows[-1])
        if dice.random() < 0.03:
            rows.append(b"{no row")
    weather = draw_weather(random.Random(f"air of job {seed}"), 60.0)
    stops = tuple(
        (dice.choice(STOPS), round(dice.choice((dice.uniform(0, 1), dice.uniform(0, 30))), 4))
        for _ in range(dice.choice((0, 1, 2, 4)))
    )
    return Story(seed=seed, site=site, weather=weather, rows=tuple(rows), stops=stops)


class MortalDisk(Disk):
    """The disk of a process until it dies; afterwards nothing reaches it. ``careless``: files closed without a sync."""

    def __init__(self) -> None:
        self.dead = False
        self.careless: list[str] = []
        self._files: dict[int, str] = {}
        self._synced: dict[int, int] = {}

    def die(self, *, unplugged: bool, dice: random.Random) -> int:
        """The process is gone, and with it its locks; *unplugged*: and bytes that were not synced. How many lines."""
        self.dead = True
        lost = 0
        for fd in self._files:
            size, safe = os.fstat(fd).st_size, self._synced[fd]
            if unplugged and size > safe:
                keep = dice.randint(safe, size)
                lost += os.pread(fd, size - safe, safe).count(b"\n")
                os.ftruncate(fd, keep)
            fcntl.flock(fd, fcntl.LOCK_UN)
        return lost

    def bury(self) -> None:
        """Nobody will ask for a descriptor any more."""
        for fd in self._files:
            os.close(fd)
        self._files.clear()

    def open(self, path: str, flags: int) -> int:
        fd = os.open(os.devnull, os.O_RDWR) if self.dead else super().open(path, flags)
        self._files[fd] = path
        self._synced[fd] = os.fstat(fd).st_size
        return fd

    def write(self, fd: int, data: bytes | memoryview) -> int:
        return len(data) if self.dead else super().write(fd, data)

    def truncate(self, fd: int, size: int) -> None:
        if not self.dead:
            super().truncate(fd, size)
            self._synced[fd] = min(self._synced[fd], size)

    def sync(self, fd: int) -> None:
        self._synced[fd] = os.fstat(fd).st_size  # nobody pulls the plug of the machine this runs on

    def close(self, fd: int) -> None:
        if not self.dead:
            if self._synced[fd] < os.fstat(fd).st_size:
                self.careless.append(self._files[fd])
            del self._files[fd]
            super().close(fd)

    def link(self, path: str, other: str) -> None:
        if not self.dead:
            super().link(path, other)

    def rename(self, path: str, other: str) -> None:
        if not self.dead:
            super().rename(path, other)

    def unlink(self, path: str) -> None:
        if not self.dead:
            super().unlink(path)


class Telling:
    """
    A story as it goes on, and what has to hold.

    * completeness: in the end every row has exactly one line, in OUT or among the errors, and every other line of the
      input has one among the errors (I17);
    * durability: what a life finds in the files is there in the end, at the same place (I18);
    * cost: a row that has a line is never sent again, and no more answers are paid for twice than were tried again,
      or were under way, or had lines that were lost, as lives ended (I19).
    """

    def __init__(self, story: Story, folder: Path) -> None:
        self.story = story
        self.dice = random.Random(f"telling {story.seed}")
        self.server = ModelServer(story.site.limits, **story.site.options)
        self.now_ns = 0
        self.out, self.errors, self.input = folder / "out", folder / "out.errors.jsonl", folder / "in"
        self.input.write_bytes(b"".join(line + b"\n" for line in story.rows))
        self.excused = 0
        self.done: set[str | None] = set()
        self.again: list[str] = []

    def tell(self) -> None:
        """All lives, to the end of the job."""
        for number in range(MOST_LIVES):
            how, after_s = self.story.stops[number] if number < len(self.story.stops) else ("", 0.0)
            found = {path: _whole(path) for path in (self.out, self.errors)}
            self.done = {name for text in found.values() for line in text.splitlines() if (name := finished(line))}
            ended = self._live(number, how, after_s)
            for path, text in found.items():
                assert _text(path).startswith(text) or not _text(path), f"{path.name} was changed in life {number}"
            assert not self.again, f"{self.again} had a line and were sent again in life {number}"
            if ended:
                break
        else:
            raise AssertionError(f"not done after {MOST_LIVES} lives")
        self.judge()

    # -- one life -------------------------------------------------------------------

    def _live(self, number: int, how: str, after_s: float) -> bool:
        """True when the job came to its end."""
        disk = MortalDisk()
        loop = VirtualLoop(seed=self.story.seed * MOST_LIVES + number, max_turns=20_000)
        loop.clock.advance_to(self.now_ns)
        began_s = loop.elapsed_s
        random.seed(self.story.seed)

        async def main() -> bool:
            blow(loop, self.story.weather, self.story.seed + number)
            async with serving(self.story.site, loop, self._arrived, self.server):
                job, client = self._job(loop, disk)
                running = asyncio.create_task(job.run())
                if how:
                    await asyncio.wait([running], timeout=after_s)
                    if not running.done():
                        self._stop(how, job, loop, disk, running)
                await asyncio.wait([running])
                if not running.cancelled():
                    running.result()
                job.close_output()
                job.source.close()
                self.excused += client.tally.retries.total()  # an answer may be lost on its way, and asked for again
                await client.close()
            assert disk.dead or not disk.careless, f"{disk.careless} were closed and not synced"
            return not disk.dead and job.stop is None and not running.cancelled()

        state = random.getstate()
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                return runner.run(main())
        finally:
            random.setstate(state)
            disk.bury()
            self.now_ns = loop.clock.monotonic_ns()
            assert loop.elapsed_s - began_s < 30 * 86_400

    def _job(self, loop: VirtualLoop, disk: Disk) -> tuple[Job, Client]:
        host = loop.net.add_host(self.story.site.name)
        client = Client(
            f"http://{host}:{PORT}/v1",
            api_key=KEY,
            retry=RetryPolicy.bulk(max_attempts=12, max_hint_s=86_400),
            timeout=Timeout(connect_s=5.0, idle_s=20.0),
            allow_insecure=True,
            organization="",
            project="",
        )
        source = Source.open(str(self.input))
        output = open_output(str(self.out), source, Manifest(input="in", base_url="u"), disk=disk)
        walk = Walk(output.ledger.table, glances=output.ledger.resumes)
        clock = loop.clock
        return Job(
            source,
            output,
            LocalEngine(client),
            walk,
            bounds=Bounds(),
            monotonic_ns=clock.monotonic_ns,
            wall_s=lambda: clock.wall_ns() / NS,
            rows_expected=source.count(),
        ), client

    def _stop(self, how: str, job: Job, loop: VirtualLoop, disk: MortalDisk, running: asyncio.Task[None]) -> None:
        limiter = job.engine.client.limiter
        self.excused += limiter.in_flight + limiter.queued  # of those in the queue some come back from a broken answer
        if how != "abort":
            loop.net.cut_off(self.story.site.name)
            self.excused += disk.die(unplugged=how == "unplug", dice=self.dice)
        running.cancel()

    def _arrived(self, gate: int, answer: Answer, now_ns: int) -> None:
        if answer.caller.mark is not None and answer.caller.mark in self.done:
            self.again.append(answer.caller.mark)

    # -- the end ----------------------------------------------------------------------

    def judge(self) -> None:
        """Completeness, the right answers, and the cost."""
        lines = [json.loads(line) for path in (self.out, self.errors) for line in _text(path).splitlines()]
        assert all(_text(path)[-1:] in (b"", b"\n") for path in (self.out, self.errors))
        finished = Counter(line["custom_id"] for line in lines)
        names = Counter(name_of(line) for line in self.story.rows)
        assert finished == names, f"{finished - names} too many, {names - finished} missing"
        for line in map(json.loads, _text(self.out).splitlines()):
            text = line["response"]["body"]["choices"][0]["message"]["content"]
            assert text.startswith(f"Answer to {line['custom_id']}: ")
        assert self.server.tally.repeated <= self.excused, f"{self.server.tally.repeated} answers were paid for twice"


def _text(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _whole(path: Path) -> bytes:
    """Up to the last newline, and a last line that only misses it."""
    text = _text(path).rstrip(b"\0")
    whole = text[: text.rfind(b"\n") + 1]
    tail = text[len(whole) :]
    return text if name_of(tail) is not None else whole
