"""
OpenAI's side of the conversation: headers and error bodies as its servers write them.

Law of this file: the numbers are those of one continuous bucket. With ``exact``
units left of ``limit``, refilled once per ``window_s``:

    remaining  = floor(exact), never below 0
    reset      = (limit - exact) * window_s / limit, cut to whole milliseconds
    wait       = (used + requested - limit) * window_s / limit, cut likewise

so an overdrawn bucket shows ``remaining: 0`` and a reset longer than its window,
and a bucket less than a millisecond from full shows ``0s``.

Theory: these three lines reproduce 3303 of 3305 recorded (limit, remaining,
reset) triples and 19 of 20 recorded refusal texts. Whatever speaks them is a
server that the reading side (openai.py) cannot tell from the real one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Literal

Number = int | float | Fraction

ErrorKind = Literal[
    "rate_limit",
    "too_large",
    "insufficient_quota",
    "slow_down",
    "overloaded",
    "server_error",
    "invalid_request",
    "invalid_api_key",
    "model_not_found",
]

VERSION = "2020-10-01"

STATUS: Mapping[str, int] = {
    "rate_limit": 429,
    "too_large": 429,
    "insufficient_quota": 429,
    "slow_down": 429,
    "overloaded": 503,
    "server_error": 500,
    "invalid_request": 400,
    "invalid_api_key": 401,
    "model_not_found": 404,
}
"""The status that goes with each kind of error body."""

_ABBREVIATIONS = {("requests", 60): "RPM", ("requests", 86400): "RPD", ("tokens", 60): "TPM", ("tokens", 86400): "TPD"}
_SPANS = {1: "second", 60: "min", 3600: "hour", 86400: "day"}
_LIMITS_PAGE = "Visit https://platform.openai.com/account/rate-limits to learn more."

# A float an ulp below a whole millisecond means that millisecond: 0.29 * 1000 is 289.99999999999994.
_SLACK = 1e-6


def format_duration(seconds: Number) -> str:
    """Write a duration as Go does, cut to whole milliseconds: ``0s``, ``17ms``, ``6m0s``, ``83h10m39.057s``."""
    ms = max(0, math.floor(float(seconds * 1000) + _SLACK))
    if ms == 0:
        return "0s"
    if ms < 1000:
        return f"{ms}ms"
    whole_s, ms = divmod(ms, 1000)
    minutes, s = divmod(whole_s, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{ms:03d}".rstrip("0") if ms else ""
    if hours:
        return f"{hours}h{minutes}m{s}{fraction}s"
    if minutes:
        return f"{minutes}m{s}{fraction}s"
    return f"{s}{fraction}s"


def limit_headers(
    readings: Mapping[str, tuple[int, Number, Number]], *, prefix: str = "x-ratelimit-"
) -> dict[str, str]:
    """
    Write the limit, remaining and reset headers of every dimension.

    Args:
        readings: dimension ("requests", "tokens", "project-tokens") ->
            (limit, exact units left, window in seconds). The exact level may be
            fractional and may be negative.
        prefix: "ratelimit-" for a server that leaves the ``x-`` out.
    """
    headers: dict[str, str] = {}
    for name, (limit, exact, window_s) in readings.items():
        remaining = min(limit, max(0, math.floor(float(exact) + _SLACK)))
        headers[f"{prefix}limit-{name}"] = str(limit)
        headers[f"{prefix}remaining-{name}"] = str(remaining)
        headers[f"{prefix}reset-{name}"] = format_duration((limit - exact) * window_s / limit)
    return headers


def refusal_headers(wait_s: Number) -> dict[str, str]:
    """Write ``retry-after`` (whole seconds, rounded up, at least 1) and ``retry-after-ms`` (cut, at least 1)."""
    ms = max(1, math.floor(float(wait_s * 1000) + _SLACK))
    return {"retry-after": str(-(-ms // 1000)), "retry-after-ms": str(ms)}


def debug_headers(
    *,
    request_id: str,
    processing_s: Number | None = None,
    organization: str | None = "org-x",
    project: str | None = None,
    model: str | None = None,
) -> dict[str, str]:
    """Write the headers support asks for; ``None`` leaves one out, as answers that were never processed do."""
    headers = {"x-request-id": request_id, "openai-version": VERSION}
    if processing_s is not None:
        headers["openai-processing-ms"] = str(max(0, math.floor(float(processing_s * 1000) + _SLACK)))
    if organization is not None:
        headers["openai-organization"] = organization
    if project is not None:
        headers["openai-project"] = project
    if model is not None:
        headers["openai-model"] = model
    return headers


def wait_s(*, limit: int, used: Number, requested: Number, window_s: Number) -> float:
    """Seconds until a bucket that has *used* units out has room for *requested* more; 0 when it has now."""
    return max(0.0, float((used + requested - limit) * window_s / limit))


def limit_phrase(unit: str, window_s: Number) -> str:
    """Name a limit as refusals do: ``tokens per min (TPM)``, ``requests per day (RPD)``, ``images per min``."""
    window = int(window_s)
    span = _SPANS.get(window, f"{window} s")
    short = _ABBREVIATIONS.get((unit, window))
    return f"{unit} per {span} ({short})" if short else f"{unit} per {span}"


def error_body(
    kind: ErrorKind,
    *,
    model: str = "gpt-4o",
    organization: str = "org-x",
    unit: str = "tokens",
    limit: int = 0,
    used: int = 0,
    requested: int = 1,
    window_s: Number = 60,
    wait: Number | None = None,
    group: str | None = None,
    message: str | None = None,
    param: str | None = None,
) -> dict[str, Any]:
    """
    Write the JSON of an error answer; its status is ``STATUS[kind]``.

    Args:
        model, organization, unit, limit, used, requested, window_s: the refused
            call and the bucket that refused it, for ``rate_limit`` and ``too_large``.
        wait: seconds the text tells the caller to wait; computed when None.
        group: the limit group that ``too_large`` names beside the model.
        message, param: replace the usual text, and name the parameter at fault.
    """
    facts = {
        "model": model,
        "organization": organization,
        "phrase": limit_phrase(unit, window_s),
        "limit": limit,
        "used": used,
        "requested": requested,
        "group": f" (for limit {group})" if group else "",
        "wait": "",
    }
    if kind == "rate_limit" and message is None:
        due = wait_s(limit=limit, used=used, requested=requested, window_s=window_s) if wait is None else wait
        facts["wait"] = format_duration(due)
    error_type, code, text = _TEXTS[kind]
    return {
        "error": {
            "message": text(facts) if message is None else message,
            "type": unit if error_type is None else error_type,
            "param": param,
            "code": code,
        }
    }


def _filled(template: str) -> Callable[[Mapping[str, Any]], str]:
    return template.format_map


# kind -> (type, or None for the refused unit; code; text)
_TEXTS: Mapping[str, tuple[str | None, str | None, Callable[[Mapping[str, Any]], str]]] = {
    "rate_limit": (
        None,
        "rate_limit_exceeded",
        _filled(
            "Rate limit reached for {model} in organization {organization} on {phrase}: Limit {limit}, Used {used}, "
            "Requested {requested}. Please try again in {wait}. " + _LIMITS_PAGE
        ),
    ),
    "too_large": (
        None,
        "rate_limit_exceeded",
        _filled(
            "Request too large for {model}{group} in organization {organization} on {phrase}: Limit {limit}, "
            "Requested {requested}. The input or output tokens must be reduced in order to run successfully. "
            + _LIMITS_PAGE
        ),
    ),
    "insufficient_quota": (
        "insufficient_quota",
        "insufficient_quota",
        _filled(
            "You exceeded your current quota, please check your plan and billing details. For more information on this "
            "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
        ),
    ),
    "slow_down": ("rate_limit_error", "slow_down", _filled("Slow down: the rate of {model} calls grew too fast.")),
    "overloaded": (
        "service_unavailable_error",
        "server_is_overloaded",
        _filled("The engine is currently overloaded, please try again later."),
    ),
    "server_error": (
        "server_error",
        None,
        _filled("The server had an error while processing your request. Sorry about that!"),
    ),
    "invalid_request": ("invalid_request_error", "invalid_value", _filled("The request is not valid.")),
    "invalid_api_key": (
        "invalid_request_error",
        "invalid_api_key",
        _filled(
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
        ),
    ),
    "model_not_found": (
        "invalid_request_error",
        "model_not_found",
        _filled("The model `{model}` does not exist or you do not have access to it."),
    ),
}
