from __future__ import annotations

import json
from typing import Any

import pytest

from ratelimit_client.testing.charging import Ask
from ratelimit_client.testing.endpoints import ENDPOINTS, BadRequest, Facts, write_model

TEXT = "12345678"
CHAT = {"model": "m", "messages": [{"role": "user", "content": TEXT}]}


@pytest.mark.parametrize(
    ("path", "body", "ask"),
    [
        ("chat/completions", CHAT, Ask("m", 8)),
        ("chat/completions", {**CHAT, "max_tokens": 5, "n": 2}, Ask("m", 8, 5, 2)),
        ("chat/completions", {**CHAT, "max_tokens": 5, "max_completion_tokens": 9}, Ask("m", 8, 9)),
        (
            "chat/completions",
            {
                "model": "m",
                "messages": [
                    {"role": "system", "content": None},
                    {"role": "user", "content": [{"type": "text", "text": TEXT}, {"type": "image_url"}, 7]},
                ],
            },
            Ask("m", 8, texts=2, images=2),
        ),
        ("responses", {"model": "m", "input": TEXT, "instructions": TEXT}, Ask("m", 16, endpoint="responses")),
        (
            "responses",
            {"model": "m", "input": [{"role": "user", "content": TEXT}] * 3, "max_output_tokens": 4},
            Ask("m", 24, 4, endpoint="responses", texts=3),
        ),
        ("completions", {"model": "m", "prompt": TEXT}, Ask("m", 8, 16, endpoint="completions")),
        (
            "completions",
            {"model": "m", "prompt": [TEXT, TEXT], "n": 2, "max_tokens": 3},
            Ask("m", 16, 3, 2, "completions", 2),
        ),
        ("embeddings", {"model": "m", "input": [1, 2, 3]}, Ask("m", endpoint="embeddings", tokens=3)),
        ("embeddings", {"model": "m", "input": [[1, 2], [3]]}, Ask("m", endpoint="embeddings", texts=2, tokens=3)),
        ("moderations", {"input": TEXT}, Ask("omni-moderation-latest", 8, endpoint="moderations")),
        (
            "moderations",
            {"input": [{"type": "text", "text": TEXT}], "model": "m"},
            Ask("m", 8, endpoint="moderations"),
        ),
    ],
)
def test_what_a_body_asks_for(path: str, body: dict[str, Any], ask: Ask) -> None:
    """Every way to write a prompt is counted: text, parts, pictures, lists, token numbers."""
    assert ENDPOINTS[path].read(body) == ask


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("chat/completions", {"model": "m"}, "messages"),
        ("chat/completions", {"model": "m", "messages": []}, "messages"),
        ("chat/completions", {"model": "m", "messages": ["hello"]}, "messages"),
        ("chat/completions", {"messages": CHAT["messages"]}, None),
        ("chat/completions", {**CHAT, "model": 7}, None),
        ("chat/completions", {**CHAT, "n": 0}, "n"),
        ("chat/completions", {**CHAT, "max_tokens": "9"}, "max_tokens"),
        ("chat/completions", {**CHAT, "max_tokens": True}, "max_tokens"),
        ("responses", {"model": "m", "input": []}, "input"),
        ("completions", {"model": "m", "prompt": [1, "a"]}, "prompt"),
        ("embeddings", {"model": "m", "input": {}}, "input"),
    ],
)
def test_a_body_that_is_none(path: str, body: dict[str, Any], param: str | None) -> None:
    """What is missing or of the wrong kind is named."""
    with pytest.raises(BadRequest) as caught:
        ENDPOINTS[path].read(body)

    assert caught.value.param == param


def facts(path: str, **changed: Any) -> Facts:
    return Facts(7, 1_767_225_600, "m-2026", Ask("m", 8, endpoint=path, **changed), "Answer to row-7")


def test_a_chat_completion_has_its_parts() -> None:
    """id, object, created, the snapshot, one choice for each wanted, usage that adds up."""
    answer = ENDPOINTS["chat/completions"].write(facts("chat/completions", n=2, max_tokens=3))

    assert (answer["object"], answer["created"], answer["model"]) == ("chat.completion", 1_767_225_600, "m-2026")
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["Answer to row-7"] * 2
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 6, "total_tokens": 8}


def test_the_other_answers_have_their_parts() -> None:
    """Responses, completions, embeddings, moderations and models as clients read them."""
    response = ENDPOINTS["responses"].write(facts("responses"))
    assert response["output"][0]["content"][0]["text"] == "Answer to row-7"
    assert response["usage"] == {"input_tokens": 2, "output_tokens": 4, "total_tokens": 6}

    completion = ENDPOINTS["completions"].write(facts("completions", texts=2, n=2))
    assert [choice["index"] for choice in completion["choices"]] == [0, 1, 2, 3]

    embeddings = ENDPOINTS["embeddings"].write(facts("embeddings", texts=3))
    vectors = [each["embedding"] for each in embeddings["data"]]
    assert len({tuple(vector) for vector in vectors}) == 3
    assert all(-1 <= number <= 1 for vector in vectors for number in vector)
    assert embeddings["usage"] == {"prompt_tokens": 2, "total_tokens": 2}

    assert len(ENDPOINTS["moderations"].write(facts("moderations", texts=2))["results"]) == 2
    assert write_model("m", 5)["id"] == "m"


def test_answers_are_deterministic() -> None:
    """The same number and the same row give the same bytes; another number gives another id."""
    for path, endpoint in ENDPOINTS.items():
        assert json.dumps(endpoint.write(facts(path))) == json.dumps(endpoint.write(facts(path)))
