"""``--report``: the page of a run, read as a browser would."""

from __future__ import annotations

import json
import os
import re
import signal
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ratelimit_client.testing import Faults, sliced
from tests.jobs import KEY, row, rows, run, serving, start, wait_for, write

HOSTILE = "<script>alert(1)</script>\"'&\u202egpt"
# What a page of text, tables and plots is made of.
HARMLESS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer", "h1", "h2", "p", "b"),
    *("code", "dl", "dt", "dd", "div", "figure", "ul", "li", "details", "summary", "table", "caption", "thead"),
    *("tbody", "tr", "th", "td", "svg", "desc", "path", "rect", "text"),
}


class Page(HTMLParser):
    """
    A report.

    Args:
        tables: by caption or label, the rows below the head.
        tiles: what -> (figure, a few words more).
        words: all text, in order.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._open: list[str] = []
        self._cells: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self._tile: list[str] = []
        self.tiles: dict[str, tuple[str, str]] = {}
        self.style = ""
        self.words = ""
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], dict(attrs).get("aria-label") or ""
        elif tag in ("td", "th"):
            self._cells.append("")
        elif tag in ("dt", "dd"):
            self._tile.append("")

    def handle_data(self, data: str) -> None:
        at = self._open[-1] if self._open else ""
        if at == "style":
            self.style += data
            return
        self.words += data
        if at in ("td", "th"):
            self._cells[-1] += data
        elif at == "caption":
            self._caption += data
        elif at in ("dt", "dd"):
            self._tile[-1] += data

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "tr":
            self._rows.append(self._cells)
            self._cells = []
        elif tag == "table":
            self.tables[self._caption] = self._rows[1:]
        elif tag == "div" and self._tile:
            self.tiles[self._tile[0]] = (self._tile[1], self._tile[2])
            self._tile = []

    def counts(self, caption: str) -> dict[str, int]:
        """A table of names and numbers."""
        return {name: whole(number) for name, number in self.tables.get(caption, [])}

    def column(self, caption: str, number: int) -> int:
        """The sum of a column."""
        return sum(whole(line[number]) for line in self.tables[caption])


def whole(text: str) -> int:
    return int(text.replace(" ", ""))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def reported(folder: Path, *words: str | Path, code: int = 0) -> tuple[Page, dict[str, Any]]:
    """Run the job of *folder*; its page and its summary."""
    out: list[str | Path] = [] if "-o" in words else ["-o", folder / "out"]
    more: list[str | Path] = ["--report", folder / "report.html", "--summary-file", folder / "sum.json"]
    assert run(folder / "in", *out, *more, *words) == code
    facts: dict[str, Any] = json.loads((folder / "sum.json").read_text())
    return Page(folder / "report.html"), facts


def test_the_numbers_of_the_page_are_those_of_the_server(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Calls, answers by status, refusals by limit: counted on the other side of the wire. The summary says the same.
    """
    write(folder / "in", *rows(40))
    with serving("1200 requests/min", enforcement=sliced(0.5), faults=Faults(server_error=0.15), seed=7) as server:
        page, facts = reported(folder)
    tally = server.tally
    assert tally.refused.total() > 0
    assert tally.statuses[500] > 0

    by_status = page.counts("Calls by what came of them")
    seen = {"2xx" if status == 200 else str(status): count for status, count in tally.statuses.items()}
    assert by_status == seen == facts["attempts_by_code"]
    assert sum(by_status.values()) == tally.calls == whole(page.tiles["Calls"][0]) == facts["calls"]
    assert page.counts("Refusals by the limit they named") == dict(tally.refused) == facts["refused_by_limit"]
    assert whole(page.tiles["Refused (429)"][0]) == tally.refused.total() == facts["refused_429"]
    again = page.counts("Calls made again, by reason")
    assert again == {"rate limited": tally.refused.total(), "server error": tally.statuses[500]}
    assert facts["retries"] == tally.statuses[500]
    assert (page.column("Calls by time", 1), page.column("Calls by time", 2)) == (tally.calls, tally.refused.total())
    assert page.column("Latency of the server: rows by time", 1) == facts["latency_s"]["rows"] == 40
    assert page.column("Waits in the queue: rows by time", 1) == facts["queue_wait_s"]["rows"] == 40
    assert page.tiles["Rows answered"] == ("40", "of 40")
    assert "Finished. 40 rows answered." in " ".join(page.words.split())
    said = capfd.readouterr().err
    assert f"refused   {tally.refused.total()} x requests\n" in said
    assert re.search(rf"^retried   .*\b{tally.statuses[500]} x server_error", said, re.MULTILINE)
    assert re.search(r"^latency   half within \d", said, re.MULTILINE)


def test_the_page_stands_alone(folder: Path) -> None:
    """
    No script, nothing from elsewhere, no style but the one whose hash its policy names, no key; for its owner only.
    """
    write(folder / "in", *rows(3))
    with serving():
        page, _ = reported(folder)

    assert {tag for tag, _ in page.tags} <= HARMLESS
    named = {name for _, attributes in page.tags for name in attributes}
    assert not named & {"style", "src", "href", "xlink:href", "action", "srcset"}
    assert not [name for name in named if name.startswith("on")]
    assert "url(" not in page.style
    assert "@import" not in page.style
    assert "http" not in page.text.replace("http-equiv", "")
    [policy] = [found["content"] or "" for _, found in page.tags if "http-equiv" in found]
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{b64encode(sha256(page.style.encode()).digest()).decode()}'" in policy
    assert KEY not in page.text
    assert (folder / "report.html").stat().st_mode & 0o777 == 0o600
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))


def test_names_from_outside_are_text_and_few(folder: Path) -> None:
    """
    Of models, of the output, of codes: escaped, without what turns text around; of many models some are shown.
    """
    models = [f"{HOSTILE}{number}" for number in range(60)]
    write(folder / "in", *(row(f"r{number}", model=model) for number, model in enumerate(models)))
    with serving():
        page, _ = reported(folder, "-o", folder / "<b>out")

    assert {tag for tag, _ in page.tags} <= HARMLESS
    assert "\u202e" not in page.text
    assert "<script" not in page.text
    assert "<script>alert(1)</script>" in page.words
    assert page.words.split()[0] == "<b>out:"
    assert 1 <= len(page.tables["Models"]) <= 40
    assert len(page.text) < 100_000


def test_a_run_that_went_on_tells_itself_from_the_whole_job(folder: Path) -> None:
    """
    Rows of this run, of earlier ones and of both; all else is of this run alone, and says so.
    """
    write(folder / "in", *rows(9), row("bad", url="/x"), *rows(12)[9:])
    with serving():
        first, _ = reported(folder, "--max-rows", "10", code=75)
        second, _ = reported(folder, code=1)

    assert "The whole job" not in first.words
    assert "Stopped: the 10 rows of --max-rows are done." in first.words
    assert first.tiles["Rows answered"] == ("10", "of 13")
    assert second.tables["Rows of the whole job"] == [
        ["answered", "2", "10", "12"],
        ["failed", "0", "1", "1"],
        ["still to be done", "", "", "0"],
    ]
    assert "are of this run alone" in second.words
    assert whole(second.tiles["Calls"][0]) == 2
    assert second.tiles["Rows answered"] == ("2", "in this run")


def test_an_interrupted_run_leaves_a_page(folder: Path) -> None:
    """
    After Ctrl-C, with what was done until then.
    """
    write(folder / "in", *rows(400))
    with serving("60 requests/min") as server:
        job = start(folder / "in", "-o", folder / "out", "--report", folder / "report.html")
        wait_for(folder / "out", 20)
        job.send_signal(signal.SIGINT)
        job.communicate(timeout=60)
        assert job.returncode == 130
    page = Page(folder / "report.html")

    assert "Stopped: by SIGINT." in page.words
    assert whole(page.tiles["Calls"][0]) == server.tally.calls
    assert sorted(os.listdir(folder)) == ["in", "out", "out.job.json", "report.html"]


def test_no_row_one_row_no_limit(folder: Path) -> None:
    """
    What there is nothing of is said in words.
    """
    write(folder / "in")
    with serving():
        page, facts = reported(folder)
        assert "There was nothing to be done." in page.words
        assert "No call was made." in page.words
        assert "No row was answered." in page.words
        assert "The server named no limit" in page.words
        assert (facts["queue_wait_s"], facts["latency_s"], facts["foreign_share"]) == (None, None, None)
        assert facts["utilisation"] is facts["estimate_ratio"] is None

        write(folder / "in", row("only"))
        page, facts = reported(folder)
        assert page.tiles["Rows answered"] == ("1", "of 1")
        assert "1 answered row: p50" in page.words
        assert facts["latency_s"]["p50"] == facts["latency_s"]["p99"] == facts["latency_s"]["max"] > 0


def test_a_job_that_is_refused_as_a_whole_has_a_page(folder: Path) -> None:
    """
    A key that is not accepted: the verdict says so, no row was answered, and the key is nowhere.
    """
    write(folder / "in", *rows(5))
    with serving(api_keys=["sk-another"]) as server:
        page, _ = reported(folder, code=3)

    assert "Stopped: the server did not accept the key" in page.words
    assert page.counts("Calls by what came of them") == {"401": server.tally.statuses[401]}
    assert "No row was answered." in page.words
    assert KEY not in page.text


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
@pytest.mark.parametrize("name", ["in", "out", "out.errors.jsonl", "none/report.html", "sum.json", "-"])
def test_a_place_that_cannot_be_is_refused_before_the_first_call(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str, words: tuple[str, ...]
) -> None:
    """
    With 2 and one sentence; nothing is sent, nothing is there afterwards.
    """
    write(folder / "in", *rows(2))
    path = name if name == "-" else str(folder / name)
    with serving() as server:
        code = run(
            folder / "in", "-o", folder / "out", "--report", path, "--summary-file", folder / "sum.json", *words
        )

    assert code == 2
    assert server.tally.calls == 0
    assert os.listdir(folder) == ["in"]
    said = capfd.readouterr().err
    assert said.startswith(f"ratelimit-client: --report {path} cannot be written: ")
    assert said.count("\n") == 1


def test_a_page_that_cannot_be_written_in_the_end_is_a_warning(folder: Path) -> None:
    """
    The rows are answered: that is what the exit code says.
    """
    write(folder / "in", *rows(30))
    (folder / "pages").mkdir()
    with serving("10 requests/s"):
        job = start(folder / "in", "-o", folder / "out", "--report", folder / "pages" / "report.html")
        wait_for(folder / "out", 1)
        (folder / "pages").rmdir()  # somebody tidies up while the run goes on
        _, said = job.communicate(timeout=60)
    assert job.returncode == 0
    assert b"report.html could not be written: No such file or directory" in said
