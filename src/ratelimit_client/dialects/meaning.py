"""
What an answer means: its reason, and whether the same call may be sent again.

Law of this file:

    billing            beats too large    beats unknown model    beats the status
    x-should-retry: false                 never again, whatever else is said
    billing, too large, not allowed       never again, whatever x-should-retry says
    x-should-retry: true                  again
    else by the reason: rate limited, overloaded and server error again; so are
    408, 409 and 425; nothing else is

Theory: a 429 is three different things. It may be a rate (wait), an overload (wait,
but no bucket was empty) or an account that is used up or a call that can never fit
(do not wait). Type and code do not tell the last apart from the first: "Request too
large" comes as ``type: tokens, code: rate_limit_exceeded``, so its numbers decide.
Errors also come with status 200, inside a stream; then the body stands for the status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..core.signals import Reason
from .bodies import ErrorBody
from .dialect import Dialect, Sentence
from .texts import TextFacts

_QUOTA = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "usage_limit_reached",
    "enforced_spend_limit_reached",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "payment_required",
    "insufficient_credits",
    "insufficient_balance",
    "exceeded_current_quota_error",
    "budget_exceeded",
    "credits_exhausted",
    "monthly_limit_exceeded",
    "spend_limit_exceeded",
)
_TOO_LARGE = (
    "request_too_large",
    "context_length_exceeded",
    "context_window_exceeded",
    "request_entity_too_large",
    "payload_too_large",
    "string_above_max_length",
)
_MODEL = ("model_not_found", "deploymentnotfound", "deployment_not_found", "model_not_available")
_AUTH = (
    "invalid_api_key",
    "authentication_error",
    "invalid_authentication",
    "permission_error",
    "permission_denied",
    "unauthenticated",
    "unauthorized",
    "account_deactivated",
    "unsupported_country_region_territory",
)
_RATE = (
    "rate_limit_exceeded",
    "rate_limit_error",
    "rate_limited",
    "rate_limit_reached_error",
    "too_many_requests_error",
    "tpm_rate_limit_exceeded",
    "throttling",
    "throttled",
    "throttling_error",
    "ratelimitreached",
    "ratelimitexceeded",
    "userratelimitexceeded",
    "rate_limit_reached",
    "rpm_rate_limit_exceeded",
    "token_limit_exceeded",
    "too_many_requests",
    "toomanyrequests",
    "throttlingexception",
    "resource_exhausted",
    "requests",
    "tokens",
)
_OVERLOADED = (
    "slow_down",
    "slowdown",
    "server_is_overloaded",
    "overloaded_error",
    "overloaded",
    "model_overloaded",
    "engine_overloaded",
    "engine_overloaded_error",
    "service_unavailable_error",
    "service_unavailable",
    "unavailable",
    "resource_unavailable",
    "websocket_stream_limit_reached",
)
_SERVER = ("server_error", "api_error", "internal_error", "internal_server_error", "internal", "timeout_error")
_CLIENT = ("invalid_request_error", "invalid_prompt", "invalid_argument", "not_found_error", "image_parse_error")

COMMON_CODES: Mapping[str, Reason] = {
    code: reason
    for reason, codes in (
        (Reason.QUOTA_EXHAUSTED, _QUOTA),
        (Reason.TOO_LARGE, _TOO_LARGE),
        (Reason.MODEL_NOT_FOUND, _MODEL),
        (Reason.AUTH, _AUTH),
        (Reason.RATE_LIMITED, _RATE),
        (Reason.OVERLOADED, _OVERLOADED),
        (Reason.SERVER_ERROR, _SERVER),
        (Reason.CLIENT_ERROR, _CLIENT),
    )
    for code in codes
}
"""What the codes mean that several vendors use, or that no other vendor uses otherwise."""

_FLAGS = re.ASCII | re.IGNORECASE

COMMON_SENTENCES: tuple[Sentence, ...] = tuple(
    (re.compile(pattern, _FLAGS), reason)
    for pattern, reason in (
        # A code inside a text: an answer that somebody's program has printed.
        (rf"\b(?:{'|'.join(code for code in _QUOTA if '_' in code)})\b", Reason.QUOTA_EXHAUSTED),
        (r"\brequest too large\b|\bprompt is too long\b", Reason.TOO_LARGE),
        (r"\bmaximum context length\b", Reason.TOO_LARGE),
        (r"\b(?:server|engine|model|service)\b[^.]{0,40}\boverloaded\b|^overloaded\b", Reason.OVERLOADED),
        (r"^resource unavailable\b|\b(?:is|currently) at (?:full )?capacity\b", Reason.OVERLOADED),
        (r"\b(?:due to|experiencing) (?:\w+ )?high (?:demand|traffic)\b", Reason.OVERLOADED),
        (r"\bcredit balance is too low\b|\bextra usage is required\b", Reason.QUOTA_EXHAUSTED),
        (r"\binsufficient (?:credits?|balance|funds)\b|\bout of credits\b", Reason.QUOTA_EXHAUSTED),
        (r"\b(?:reached|exceeded|hit)\b.{0,40}\bspend(?:ing)? (?:cap|limit)\b", Reason.QUOTA_EXHAUSTED),
        (r"\busage limit (?:has been )?(?:reached|exceeded)\b|\bhit your usage limit\b", Reason.QUOTA_EXHAUSTED),
        (r"\bexceeded your current quota\b.{0,400}platform\.openai\.com", Reason.QUOTA_EXHAUSTED),
        (r"\bmodel\b.{0,200}\bdoes not exist\b", Reason.MODEL_NOT_FOUND),
    )
)

_SLOW_DOWN = frozenset({"slow_down", "slowdown"})
_SLOW_DOWN_SAID = re.compile(r"\W{0,3}slow ?down\b", _FLAGS)

_MAY_PASS_LATER = frozenset({408, 409, 425})
_NEVER_AGAIN = frozenset({Reason.QUOTA_EXHAUSTED, Reason.TOO_LARGE, Reason.AUTH})
_AGAIN = frozenset({Reason.RATE_LIMITED, Reason.OVERLOADED, Reason.SERVER_ERROR})

# With the status of a success the words decide first, in this order.
_BY_WORD_ALONE = (
    Reason.AUTH,
    Reason.OVERLOADED,
    Reason.RATE_LIMITED,
    Reason.CLIENT_ERROR,
)


def reason_of(status: int, error: ErrorBody | None, text: TextFacts, table: Dialect, *, asked_to_wait: bool) -> Reason:
    """
    What the answer means.

    Args:
        status: of the answer.
        error: the error in the body, or None.
        text: what its sentences say.
        table: the vendor's own codes come before the common ones.
        asked_to_wait: a hint or an empty dimension came with it.
    """
    if error is None and status < 300:
        return Reason.OK
    if status in table.statuses:
        return table.statuses[status]

    means = _meanings(error, table)
    if Reason.QUOTA_EXHAUSTED in means or status == 402:
        return Reason.QUOTA_EXHAUSTED
    if _never_fits(status, means, text):
        return Reason.TOO_LARGE
    if Reason.MODEL_NOT_FOUND in means and (status < 400 or status in (400, 403, 404, 422)):
        return Reason.MODEL_NOT_FOUND
    if status < 300:
        by_word = next((reason for reason in _BY_WORD_ALONE if reason in means), None)
        if by_word is not None:
            return by_word
        status = 500 if error is None or error.status is None else error.status
    if status >= 500:
        return _of_a_server_error(status, means)
    if status == 429:
        return _of_a_refusal(means)
    limited = table.forbidden_is_limit and (asked_to_wait or Reason.RATE_LIMITED in means)
    return _of_a_client_error(status, means, limited=limited)


def is_retryable(reason: Reason, status: int, should_retry: bool | None) -> bool | None:
    """Whether the same call may be sent again; None when the answer is no error."""
    if reason is Reason.OK:
        return None
    if should_retry is False or reason in _NEVER_AGAIN:
        return False
    return should_retry is True or reason in _AGAIN or status in _MAY_PASS_LATER


def says_slow_down(error: ErrorBody) -> bool:
    """Whether an overload is said to be the caller's, whose rate grew too fast: by its code, or by its first words."""
    return not _SLOW_DOWN.isdisjoint(error.words) or _SLOW_DOWN_SAID.match(error.text) is not None


def _meanings(error: ErrorBody | None, table: Dialect) -> frozenset[Reason]:
    """Everything that the words and sentences of the error may mean."""
    if error is None:
        return frozenset()
    found = {table.codes.get(word) or COMMON_CODES.get(word) for word in error.words}
    found |= {reason for pattern, reason in (*table.sentences, *COMMON_SENTENCES) if pattern.search(error.text)}
    return frozenset(reason for reason in found if reason is not None)


def _never_fits(status: int, means: frozenset[Reason], text: TextFacts) -> bool:
    """Too large by the status or by its numbers, where it gives any; else by what it says."""
    if status == 413 or text.never_fits is not None:
        return status == 413 or bool(text.never_fits)
    return Reason.TOO_LARGE in means


def _of_a_refusal(means: frozenset[Reason]) -> Reason:
    if Reason.OVERLOADED in means:
        return Reason.OVERLOADED
    if Reason.SERVER_ERROR in means and Reason.RATE_LIMITED not in means:
        return Reason.OVERLOADED
    return Reason.RATE_LIMITED


def _of_a_server_error(status: int, means: frozenset[Reason]) -> Reason:
    if Reason.RATE_LIMITED in means:
        return Reason.RATE_LIMITED
    return Reason.OVERLOADED if status in (503, 529) or Reason.OVERLOADED in means else Reason.SERVER_ERROR


def _of_a_client_error(status: int, means: frozenset[Reason], *, limited: bool) -> Reason:
    if status == 403 and limited:
        return Reason.RATE_LIMITED
    if status == 400 and Reason.RATE_LIMITED in means and Reason.CLIENT_ERROR not in means:
        return Reason.RATE_LIMITED  # as the older services of one cloud answer
    if status in (401, 403) or Reason.AUTH in means:
        return Reason.AUTH
    return Reason.CLIENT_ERROR
