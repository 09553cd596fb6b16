"""Rows of somebody's own pipeline."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from ratelimit_client import Client
from ratelimit_client.adapters.ray import Answers
from ratelimit_client.adapters.ray.answers import plain
from tests.jobs import serving


def ask(row: Mapping[str, Any]) -> dict[str, Any]:
    body = {"model": row["model"], "messages": [{"role": "user", "content": row["text"]}], "n": row["n"]}
    return {"path": "/chat/completions", "json": body}


class Number:
    """A number of somebody else's, with a shape."""

    shape = ()

    def item(self) -> int:
        return 1


def answered(batch: Mapping[str, Any], ask: Any = ask) -> list[Mapping[str, Any]]:
    async def work() -> list[Mapping[str, Any]]:
        return [found async for found in Answers(Client, ask)(batch)]

    return asyncio.run(work())


def test_each_row_has_its_answer_in_its_place() -> None:
    """
    Beside the columns it came with; one that failed has an error, and the others their answers.
    """
    batch = {"text": ["a", "b", "c"], "model": ["gpt-4o-mini", "nobody-knows-it", "gpt-4o-mini"], "n": [Number()] * 3}
    with serving(models=["gpt-4o-mini"]) as server:
        (found,) = answered(batch)

    assert server.tally.calls == 3
    assert {name: found[name] for name in batch} == batch
    assert found["status_code"] == [200, 404, 200]
    assert [json.loads(text)["object"] for text in found["response"][::2]] == ["chat.completion"] * 2
    assert [error is None for error in found["error"]] == [True, False, True]
    assert "nobody-knows-it" in found["error"][1]


def test_without_an_answer_the_status_is_none_s() -> None:
    """
    Nothing was sent for a row that makes no request.
    """
    with serving() as server:
        (found,) = answered({"text": ["a"]}, lambda row: {"path": "/chat/completions", "nonsense": 1})

    assert server.tally.calls == 0
    assert (found["status_code"], found["response"]) == ([0], [None])
    assert "nonsense" in found["error"][0]


def test_a_mistake_in_the_question_is_shown() -> None:
    """
    It is the pipeline's own bug, no answer of a server.
    """
    with serving(), pytest.raises(KeyError):
        answered({"other": ["a"]})


def test_an_empty_batch_is_an_empty_batch() -> None:
    """
    Ray makes some.
    """
    with serving():
        assert answered({"text": []}) == [{"text": [], "status_code": [], "response": [], "error": []}]


def test_numbers_become_python_s_own() -> None:
    """
    Texts, lists and what is one already stay.
    """
    assert [plain(value) for value in (Number(), "a", [1], 2.5, None)] == [1, "a", [1], 2.5, None]
