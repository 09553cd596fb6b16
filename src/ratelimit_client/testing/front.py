"""
From an HTTP request to a decision: key, path, body, sender.

Law of this file: what is wrong with a request is found in the order in which OpenAI
finds it (key, path, method, JSON, fields), said in its words, and charged to nobody.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .answers import NOBODY, Answer, Caller
from .charging import Ask
from .endpoints import ENDPOINTS, BadRequest, write_model
from .streaming import STREAMS, StreamOptions

if TYPE_CHECKING:
    from .model_server import ModelServer

_CLIENT_REQUEST_ID_MAX = 512
_NOTHING_ASKED = Ask(model="")


def handle(
    server: ModelServer, method: str, path: str, headers: Mapping[str, str], body: bytes, *, now_ns: int
) -> Answer:
    """Decide an HTTP request that arrives now."""
    problem = _key_problem(server, headers)
    if problem is not None:
        return server.refuse("invalid_api_key", _NOTHING_ASKED, message=problem, now_ns=now_ns)
    name = path.removeprefix(server.base_path).strip("/")
    if not path.startswith(server.base_path + "/"):
        return _not_here(server, method, path, now_ns)
    if name == "models" or name.startswith("models/"):
        return _models(server, method, path, name.removeprefix("models").strip("/"), now_ns)
    endpoint = ENDPOINTS.get(name)
    if endpoint is None:
        return _not_here(server, method, path, now_ns)
    if method != "POST":
        return _not_so(server, method, path, now_ns)
    caller = NOBODY
    try:
        parsed = _parse(body)
        caller = _caller(headers, parsed, body)
        ask = endpoint.read(parsed)
        stream = _stream(parsed, name)
    except BadRequest as error:
        return server.refuse(
            "invalid_request", _NOTHING_ASKED, caller, message=str(error), param=error.param, now_ns=now_ns
        )
    if not endpoint.metered:
        return server.pass_unmetered(ask, caller, None, now_ns=now_ns)
    pictures = {"images": ask.images, "input-images": ask.images} if ask.images else {}
    return server.decide(ask, caller, others=pictures, stream=stream, now_ns=now_ns)


def refuse_session(server: ModelServer, headers: Mapping[str, str], model: str | None, *, now_ns: int) -> Answer | None:
    """The answer to a realtime handshake that is not granted; None: it is. Neither is charged."""
    problem = _key_problem(server, headers)
    if problem is not None:
        return server.refuse("invalid_api_key", _NOTHING_ASKED, message=problem, now_ns=now_ns)
    if not model:
        message = "you must provide a model parameter"
        return server.refuse("invalid_request", _NOTHING_ASKED, message=message, now_ns=now_ns)
    if server.models is not None and model not in server.models:
        return server.refuse("model_not_found", Ask(model=model), now_ns=now_ns)
    if server.sessions_refused < server.realtime.refused:
        server.sessions_refused += 1
        message = "Rate limit reached for sessions. Please try again in 1s."
        return server.refuse("rate_limit", Ask(model=model), message=message, now_ns=now_ns)
    return None


def mark_of(parsed: Mapping[str, Any], body: bytes) -> str:
    """The name of a row: ``metadata.row``, else ``user``, else a hash of the body."""
    metadata = parsed.get("metadata")
    row = metadata.get("row") if isinstance(metadata, dict) else None
    if row is None:
        row = parsed.get("user")
    return str(row) if row is not None else hashlib.blake2b(body, digest_size=8).hexdigest()


def _parse(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise BadRequest("We could not parse the JSON body of your request.")
    return parsed


def _stream(parsed: Mapping[str, Any], endpoint: str) -> StreamOptions | None:
    """How the caller wants the answer to come."""
    wanted = parsed.get("stream")
    if not wanted:
        return None
    if wanted is not True:
        raise BadRequest("Invalid type for 'stream': expected a boolean.", "stream")
    if endpoint not in STREAMS:
        raise BadRequest(f"Unrecognized request argument supplied: stream ({endpoint} does not stream).", "stream")
    options = parsed.get("stream_options")
    return StreamOptions(usage=isinstance(options, dict) and options.get("include_usage") is True)


def _caller(headers: Mapping[str, str], parsed: Mapping[str, Any], body: bytes) -> Caller:
    own_id = headers.get("X-Client-Request-Id")
    if own_id is not None and not (own_id.isascii() and len(own_id) <= _CLIENT_REQUEST_ID_MAX):
        raise BadRequest(f"X-Client-Request-Id must be ASCII, at most {_CLIENT_REQUEST_ID_MAX} characters.")
    return Caller(
        mark_of(parsed, body),
        headers.get("Idempotency-Key"),
        own_id,
        headers.get("OpenAI-Organization"),
        headers.get("OpenAI-Project"),
    )


def _key_problem(server: ModelServer, headers: Mapping[str, str]) -> str | None:
    if server.api_keys is None:
        return None
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        return "You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_KEY'."
    # As OpenAI's, the message shows no more of the key than its end.
    return None if key in server.api_keys else f"Incorrect API key provided: ...{key[-4:]}."


def _not_here(server: ModelServer, method: str, path: str, now_ns: int) -> Answer:
    message = f"Invalid URL ({method} {path})"
    return server.refuse("invalid_request", _NOTHING_ASKED, message=message, status=404, now_ns=now_ns)


def _not_so(server: ModelServer, method: str, path: str, now_ns: int) -> Answer:
    message = f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
    return server.refuse("invalid_request", _NOTHING_ASKED, message=message, status=405, now_ns=now_ns)


def _models(server: ModelServer, method: str, path: str, name: str, now_ns: int) -> Answer:
    if method != "GET":
        return _not_so(server, method, path, now_ns)
    known = sorted(server.models if server.models is not None else {*server.limits} - {"*"})
    if not name:
        listed = [write_model(each, server.epoch_s) for each in known]
        return server.pass_unmetered(_NOTHING_ASKED, NOBODY, {"object": "list", "data": listed}, now_ns=now_ns)
    if server.models is not None and name not in known:
        return server.refuse("model_not_found", Ask(model=name), now_ns=now_ns)
    return server.pass_unmetered(Ask(model=name), NOBODY, write_model(name, server.epoch_s), now_ns=now_ns)
