from __future__ import annotations

import json
from typing import Any

import pytest

from ratelimit_client import per_minute
from ratelimit_client.testing import Answer, ModelServer

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
CHAT = "/v1/chat/completions"


def ask(
    server: ModelServer, body: Any = BODY, *, method: str = "POST", path: str = CHAT, **headers: str
) -> tuple[int, Any, Answer]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = server.handle(method, path, names, raw, now_ns=0)
    return answer.status, json.loads(answer.body), answer


def test_a_good_request_is_answered() -> None:
    """200, the echo of the row, the debug headers and the limits."""
    status, body, answer = ask(
        ModelServer(per_minute(requests=3)),
        {**BODY, "user": "row-1"},
        X_Client_Request_Id="mine-1",
        Idempotency_Key="key-1",
        OpenAI_Organization="org-a",
        OpenAI_Project="proj-b",
    )

    assert status == 200
    assert "row-1" in body["choices"][0]["message"]["content"]
    assert answer.headers["x-client-request-id"] == "mine-1"
    assert answer.headers["openai-organization"] == "org-a"
    assert answer.headers["openai-project"] == "proj-b"
    assert answer.headers["openai-version"] == "2020-10-01"
    assert answer.headers["openai-processing-ms"] == "0"
    assert answer.headers["x-ratelimit-remaining-requests"] == "2"


@pytest.mark.parametrize(
    ("body", "mark"),
    [
        ({**BODY, "metadata": {"row": 7}, "user": "u"}, "7"),
        ({**BODY, "metadata": {"other": 7}, "user": "u"}, "u"),
        ({**BODY, "metadata": "none"}, None),
        (BODY, None),
    ],
)
def test_a_row_is_known_by_its_mark(body: dict[str, Any], mark: str | None) -> None:
    """metadata.row, else user, else a hash of the body, which is the same for the same body."""
    server = ModelServer()
    ask(server, body)
    ask(server, body)

    (seen,) = server.tally.answered
    assert server.tally.answered[seen] == 2
    assert seen == mark if mark is not None else len(seen) == 16


@pytest.mark.parametrize(
    ("status", "message", "request_"),
    [
        (404, "Invalid URL (POST /v1/nothing)", {"path": "/v1/nothing"}),
        (404, "Invalid URL (POST /chat/completions)", {"path": "/chat/completions"}),
        (404, "Invalid URL (POST /v1)", {"path": "/v1"}),
        (405, "Not allowed to GET", {"method": "GET"}),
        (405, "Not allowed to POST", {"path": "/v1/models"}),
        (400, "could not parse", {"body": b"{"}),
        (400, "could not parse", {"body": b"\xff\xfe"}),
        (400, "could not parse", {"body": b"[" * 100_000}),
        (400, "could not parse", {"body": []}),
        (400, "model parameter", {"body": {"messages": BODY["messages"]}}),
        (400, "expected a boolean", {"body": {**BODY, "stream": 1}}),
        (400, "does not stream", {"path": "/v1/embeddings", "body": {"model": "e", "input": "x", "stream": True}}),
        (400, "must be ASCII", {"X_Client_Request_Id": "é"}),
        (400, "must be ASCII", {"X_Client_Request_Id": "x" * 513}),
    ],
)
def test_what_is_wrong_is_said_and_not_charged(status: int, message: str, request_: dict[str, Any]) -> None:
    """A request that is none gets its error, no limits are shown and nothing is paid."""
    server = ModelServer(per_minute(requests=3))
    got, body, answer = ask(server, **request_)

    assert got == status
    assert message in body["error"]["message"]
    assert body["error"]["type"] == "invalid_request_error"
    assert not [name for name in answer.headers if "ratelimit" in name or name == "openai-processing-ms"]
    assert server.tally.admitted == 0


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (None, 401),
        ("Bearer ", 401),
        ("Basic right", 401),
        ("Bearer wrong", 401),
        ("Bearer right", 200),
        ("bearer right", 200),
    ],
)
def test_the_key_is_looked_at_when_there_are_keys(sent: str | None, status: int) -> None:
    """401 for no key, another scheme or another key; the message does not repeat the key."""
    server = ModelServer(api_keys=["right"])
    got, body, answer = ask(server, **({} if sent is None else {"Authorization": sent}))

    assert got == status
    if status == 401:
        assert body["error"]["code"] == "invalid_api_key"
        assert "wrong" not in body["error"]["message"]
        assert "right" not in repr(server)
        assert answer.signals.reason == "auth"


def test_the_models_that_are_known() -> None:
    """/models lists them, /models/NAME shows one, any other name is a 404; neither costs anything."""
    server = ModelServer(per_minute(requests=3), models=["b", "a"])

    _, listed, _ = ask(server, b"", method="GET", path="/v1/models")
    assert [each["id"] for each in listed["data"]] == ["a", "b"]
    assert ask(server, b"", method="GET", path="/v1/models/a")[0] == 200
    status, body, _ = ask(server, b"", method="GET", path="/v1/models/c")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    status, body, _ = ask(server)
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert server.tally.admitted == 0


def test_every_name_is_a_model_when_none_is_listed() -> None:
    """Without a list any name is answered; /models lists those that have limits of their own."""
    server = ModelServer({"*": per_minute(requests=3), "gpt-4o": per_minute(requests=5)})

    _, listed, _ = ask(server, b"", method="GET", path="/v1/models")
    assert [each["id"] for each in listed["data"]] == ["gpt-4o"]
    assert ask(server, b"", method="GET", path="/v1/models/anything")[0] == 200


def test_moderations_are_not_metered() -> None:
    """They cost nothing and show no limits, as recorded."""
    server = ModelServer(per_minute(requests=1))
    for _ in range(3):
        status, _, answer = ask(server, {"input": "hello"}, path="/v1/moderations")
        assert status == 200
        assert not [name for name in answer.headers if "ratelimit" in name]


def test_the_base_path_may_be_another() -> None:
    """A server behind a prefix answers there and nowhere else."""
    server = ModelServer(base_path="/api/v1")

    assert ask(server, path="/api/v1/chat/completions")[0] == 200
    assert ask(server)[0] == 404


def test_pictures_are_a_unit_of_their_own() -> None:
    """A quota of images is paid with the pictures of the call."""
    server = ModelServer("5 images/min")
    parts = [{"type": "image_url", "image_url": {"url": "data:,"}}] * 3
    _, _, answer = ask(server, {"model": "m", "messages": [{"role": "user", "content": parts}]})

    assert answer.headers["x-ratelimit-remaining-images"] == "2"
