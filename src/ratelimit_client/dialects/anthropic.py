"""
The Anthropic API.

Law of this file: the dimension stands before the field (``anthropic-ratelimit-tokens-reset``),
and a reset is an instant to the second (RFC 3339): the time at which the bucket is full, in
the past when it is. ``tokens`` shows the most restrictive of the others, rounded to thousands.
``retry-after`` on a success runs to the next minute of the clock and asks for nothing.

Theory: continuous buckets; input counts what no cache held, output what was really
written, so the levels are corrected as an answer is made. A monthly cap has no hint; a
plan's window of hours or days (``unified-5h``, ``unified-7d``) shows the share that is used.
529 is overload. "Extra usage is required for long context" is a refusal that only money ends.

Source: platform.claude.com/docs, "rate-limits" and "errors"; recorded answers of 2024 to 2026;
claude-code#33514, coday#110.
"""

from __future__ import annotations

from ..core.profile import Refill, ServerProfile
from ..core.signals import Reason
from .dialect import Dialect, Field
from .signs import signs

_FIELDS = {"limit": Field.LIMIT, "remaining": Field.REMAINING, "reset": Field.RESET}
_TIERS = ("priority-input-tokens", "priority-output-tokens", "fast-input-tokens", "fast-output-tokens")
_PLANS = ("unified-5h", "unified-7d", "unified-7d_opus", "unified-7d_sonnet", "unified-overage")
_SAID_BY_THE_NUMBERS = (
    *(f"{plan}-{word}" for plan in ("unified", *_PLANS) for word in ("status", "surpassed-threshold")),
    "unified-representative-claim",
    "unified-fallback",
    "unified-fallback-percentage",
    "unified-overage-in-use",
    "unified-overage-disabled-reason",
    "unified-upgrade-paths",
)

ANTHROPIC = Dialect(
    **signs("anthropic"),
    profile=ServerProfile(
        pays={"requests": "requests", "tokens": "tokens", "input-tokens": "tokens"},
        default_window_s=60.0,
        refill=Refill.CONTINUOUS,
        settles=frozenset({"tokens"}),
        grain_s=1.0,
    ),
    prefixes=("anthropic-ratelimit-", "x-ratelimit-", "ratelimit-"),
    names={
        **{f"anthropic-{tier}-{field}": (_FIELDS[field], tier) for tier in _TIERS for field in _FIELDS},
        **{f"anthropic-ratelimit-{plan}-utilization": (Field.USED, plan) for plan in _PLANS},
        **{f"anthropic-ratelimit-{words}": Field.IGNORED for words in _SAID_BY_THE_NUMBERS},
        "anthropic-organization-id": Field.ORGANIZATION,
    },
    windows={
        "unified-5h": 18_000.0,
        "unified-7d": 604_800.0,
        "unified-7d_opus": 604_800.0,
        "unified-7d_sonnet": 604_800.0,
    },
    plans=dict.fromkeys(_PLANS, 1.0),
    codes={"enforced_spend_limit_reached": Reason.QUOTA_EXHAUSTED},
    sentences=(
        (r"^model: ", Reason.MODEL_NOT_FOUND),
        (r"\breached your specified (?:\w+ ){0,3}usage limits?\b", Reason.QUOTA_EXHAUSTED),
    ),
    forbidden_is_limit=False,
)
