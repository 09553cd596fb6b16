"""
The OpenAI API.

Law of this file: ``remaining`` and ``reset`` show one continuous bucket at the moment a
call was admitted, and are never corrected afterwards:

    remaining = floor(exact)        reset = (limit - exact) x window / limit, cut to ms

so ``reset`` is the time to full, not to the next call, and tells the fraction of a unit
that ``remaining`` hides. ``0s`` is less than a millisecond from full. The window is not
sent and not in the name: ``-requests`` is a day's limit on small accounts, ``-tokens`` that
of 30 days on free ones.

Theory: measured on 3305 recorded answers, 2103 of which show a reset; 2 do not fit.
Project limits are buckets of their own beside the organization's; both apply. The
dimensions are an open set: images, ``tokens_usage_based`` and ``project-requests``
appeared without notice.

Subscriptions (ChatGPT, Codex) have windows of hours and days instead, of which the server
shows the percent that is used: empty ones come as empty headers and windows of 0 minutes.

The names come with and without ``x-``: the API reference writes five of six without,
the live API always sends it.
"""

from __future__ import annotations

from ..core.profile import Refill, ServerProfile
from ..core.signals import Reason
from .dialect import Dialect, Field
from .signs import signs

_PLANS = ("primary", "secondary")
_WORDS_OF_A_PLAN = {
    "used-percent": Field.USED,
    "window-minutes": Field.WINDOW_MINUTES,
    "reset-after-seconds": Field.RESET_AFTER,
    "reset-at": Field.RESET,
}

OPENAI = Dialect(
    **signs("openai"),
    profile=ServerProfile(
        groups_share=True,
        pays={
            "requests": "requests",
            "tokens": "tokens",
            "project-requests": "requests",
            "project-tokens": "tokens",
            "tokens_usage_based": "tokens",
            "tokens-usage-based": "tokens",
            "images": "images",
            "input-images": "images",
        },
        default_window_s=60.0,
        refill=Refill.CONTINUOUS,
        reset_is_exact=True,
        grain_s=0.001,
    ),
    names={f"x-codex-{plan}-{word}": (field, plan) for plan in _PLANS for word, field in _WORDS_OF_A_PLAN.items()},
    plans=dict.fromkeys(_PLANS, 100.0),
    # The sentence also closes with a link of its own, but not in every stream.
    sentences=((r"\bexceeded your current quota\b", Reason.QUOTA_EXHAUSTED),),
    forbidden_is_limit=False,
)
