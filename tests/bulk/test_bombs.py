"""Small texts that are large or slow to read: in a row, in the files of a job, in an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ratelimit_client import dialects
from ratelimit_client.adapters.aiohttp.codec import NotJson, decode
from ratelimit_client.bulk import lines, manifest, state
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.row import Flaw, Row, read_row
from ratelimit_client.errors import ConfigurationError

BOMBS = {
    "lists without end": "[" * 200_000,
    "lists in lists": "[" * 200_000 + "]" * 200_000,
    "objects in objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "many digits": "9" * 200_000,
    "a digit more than Python reads": "9" * 4301,
    "many digits below zero": "-" + "9" * 5000,
    "a large exponent": "1e" + "9" * 5000,
    "a small exponent": "1e-" + "9" * 5000,
    "many keys": "{" + ",".join(f'"k{n}":1' for n in range(50_000)) + "}",
    "one key, often": "{" + ",".join('"k":1' for _ in range(50_000)) + "}",
    "escapes": '"' + "\\u0041" * 100_000 + '"',
    "half characters": '"' + "\\ud800" * 10_000 + '"',
    "space": " " * 1_000_000 + "1",
    "a text without end": '"' + "a" * 1_000_000,
}
"""None takes a second, none ends the process: each is a value or a typed no."""


@pytest.fixture(params=BOMBS)
def bomb(request: pytest.FixtureRequest) -> str:
    return BOMBS[request.param]


def test_a_row_is_a_row_or_an_error_line(bomb: str) -> None:
    """
    In its body, in a member nobody knows, or as the whole line.
    """
    for text in (
        f'{{"custom_id":"a","method":"POST","url":"/v1/x","body":{{"model":"m","x":{bomb}}}}}',
        f'{{"custom_id":"a","method":"POST","url":"/v1/x","body":{{}},"metadata":{bomb}}}',
        f'{{"custom_id":{bomb},"method":"POST","url":"/v1/x","body":{{}}}}',
        bomb,
    ):
        row = read_row(Line(number=1, offset=0, data=text.encode()))
        assert isinstance(row, Row | Flaw)
        assert isinstance(row, Row) or len(row.message) < 300


def test_the_files_of_a_job_are_read_or_refused(bomb: str, tmp_path: Path) -> None:
    """
    Job file and file of limits, which somebody else may have written; a line of an output is known or is not.
    """
    path = tmp_path / "file"
    for text in (bomb, f'{{"version":1,"input":{bomb}}}', f'{{"version":1,"limits":{bomb}}}', f'{{"version":{bomb}}}'):
        path.write_text(text)
        for load in (lambda: manifest.load(str(path)), lambda: state.load(str(path), now_s=0.0)):
            refused: Any = None
            try:
                load()
            except ConfigurationError as error:
                refused = error
            assert refused is None or len(str(refused)) < 300

    line = lines.read_line(f'{{"id":"rlc_0123456789abcdef0123","custom_id":"a","response":{bomb}}}'.encode())
    assert line is None or line.custom_id == "a"


def test_an_answer_is_data_or_none(bomb: str) -> None:
    """
    The body of a success is a value or no JSON; that of a refusal is still a refusal.
    """
    try:
        decode(bomb.encode())
    except NotJson as error:
        said = str(error)
    else:
        said = ""
    assert len(said) < 300

    for body in (bomb, f'{{"error":{{"message":"No.","code":{bomb}}}}}', f'{{"error":{bomb}}}'):
        signals = dialects.read(429, {"retry-after": "1"}, body.encode())
        assert signals.reason == "rate_limited"
        assert signals.retry_after_s == 1.0
