"""
Hosts of open models, and others whose language is a few words long.

Law of this file: what is not said is not assumed. None of them says how its levels come
back, so their refill is found out from the readings.

    cerebras      requests-day, tokens-minute: the window is in the name; float seconds to its end
    fireworks     limits that grow and shrink with use; tokens by kind; no reset
    together      so many a second; seconds; tokens under a name of their own
    xai           limit and remaining of a minute, no reset; remaining often stands still
    cohere        trial keys: so many calls a minute, so many a month; no reset
    replicate     remaining and seconds, no limit; the refusal's body has the wait
    huggingface   the IETF's fields, malformed (two names in one member); retry-after on
                  successes of its router, which asks for nothing

Source: inference-docs.cerebras.ai, docs.fireworks.ai, docs.together.ai, docs.x.ai, docs.cohere.com,
replicate.com/docs, huggingface.co/docs, each under "rate limits"; recorded answers of 2024 to 2026.
"""

from __future__ import annotations

from ..core.profile import Refill, ServerProfile
from ..core.signals import Reason
from .dialect import Dialect, Field
from .durations import Unit
from .generic import PAYS
from .signs import signs

CEREBRAS = Dialect(
    **signs("cerebras"),
    # Its sample's two windows end on the same phase: they are fixed.
    profile=ServerProfile(pays=PAYS, refill=Refill.WINDOW, grain_s=0.001),
    numbers=Unit.SECONDS,
    codes={
        "request_quota_exceeded": Reason.RATE_LIMITED,
        "token_quota_exceeded": Reason.RATE_LIMITED,
        "too_many_requests_error": Reason.RATE_LIMITED,
        "queue_exceeded": Reason.OVERLOADED,
        "wrong_api_key": Reason.AUTH,
    },
    forbidden_is_limit=False,
)

FIREWORKS = Dialect(
    **signs("fireworks"),
    profile=ServerProfile(
        pays={
            "requests": "requests",
            "tokens": "tokens",
            "tokens-prompt": "tokens",
            "tokens-cache-adjusted-prompt": "tokens",
        },
        default_window_s=60.0,
        refill=Refill.UNKNOWN,
    ),
    sentences=((r"\baccount\b.{0,100}\bsuspended\b", Reason.QUOTA_EXHAUSTED),),
    forbidden_is_limit=False,
)

TOGETHER = Dialect(
    **signs("together"),
    profile=ServerProfile(
        pays={"requests": "requests", "tokens": "tokens"},
        default_window_s=1.0,
        refill=Refill.UNKNOWN,
    ),
    names={
        "x-tokenlimit-limit": (Field.LIMIT, "tokens"),
        "x-tokenlimit-remaining": (Field.REMAINING, "tokens"),
        "x-tokenlimit-reset": (Field.RESET, "tokens"),
    },
    numbers=Unit.SECONDS,
    codes={"dynamic_request_limited": Reason.RATE_LIMITED},
    # Its type is no sign: "Your rate limit is 60 queries per minute" is a credit_limit, too (togethercomputer/MoA#27).
    sentences=((r"\bcredit limit\b", Reason.QUOTA_EXHAUSTED),),
    forbidden_is_limit=False,
)

XAI = Dialect(
    **signs("xai"),
    profile=ServerProfile(
        pays={"requests": "requests", "tokens": "tokens"},
        default_window_s=60.0,
        refill=Refill.UNKNOWN,
    ),
    windows={"requests": 60.0, "tokens": 60.0},
    sentences=((r"\bused all available credits\b|\brun out of credits\b", Reason.QUOTA_EXHAUSTED),),
    forbidden_is_limit=False,
)

COHERE = Dialect(
    **signs("cohere"),
    profile=ServerProfile(
        pays={"requests": "requests", "requests-month": "requests"},
        default_window_s=60.0,
        refill=Refill.UNKNOWN,
    ),
    names={
        "x-trial-endpoint-call-limit": (Field.LIMIT, "requests"),
        "x-trial-endpoint-call-remaining": (Field.REMAINING, "requests"),
        "x-endpoint-monthly-call-limit": (Field.LIMIT, "requests-month"),
        "x-endpoint-monthly-call-remaining": (Field.REMAINING, "requests-month"),
    },
    windows={"requests": 60.0},
    statuses={498: Reason.CLIENT_ERROR, 499: Reason.CLIENT_ERROR},
    forbidden_is_limit=False,
    long_window_s=86_400.0,
)

REPLICATE = Dialect(
    **signs("replicate"),
    profile=ServerProfile(pays={"requests": "requests"}, default_window_s=60.0, refill=Refill.UNKNOWN),
    numbers=Unit.SECONDS,
    forbidden_is_limit=False,
)

HUGGINGFACE = Dialect(
    **signs("huggingface"),
    profile=ServerProfile(
        pays={"requests": "requests", "api": "requests", "resolvers": "requests", "pages": "requests"},
        default_window_s=300.0,
        refill=Refill.WINDOW,
        grain_s=1.0,
    ),
    sentences=(
        (r"\bexceeded your monthly included credits\b|\bcredit balance is depleted\b", Reason.QUOTA_EXHAUSTED),
        (r"\bmodel\b.{0,200}\bis currently loading\b", Reason.OVERLOADED),
    ),
    forbidden_is_limit=False,
)
