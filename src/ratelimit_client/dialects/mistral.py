"""
Mistral.

Law of this file: the window is in the name of the dimension (``tokens-minute``,
``req-10-second``) and no reset is sent: the windows are fixed, so a level steps when its
window ends. Each answer says what the call was charged (``...-query-cost``).

Theory: two generations of names mean one thing. The older one (``ratelimitbysize-...``)
counts tokens: without a suffix those of the running minute, with the seconds to its end;
with ``-minute`` and ``-month`` both windows, without. The code of an error is a number in a string.

Source: recorded answers of 2024 to 2026; raycast/extensions#31107, pydantic-ai#1885.
"""

from __future__ import annotations

from ..core.profile import Refill, ServerProfile
from ..core.signals import Reason
from .dialect import Dialect, Field
from .durations import Unit
from .signs import signs

_WINDOWS = ("second", "10-second", "minute", "hour", "day", "month")

MISTRAL = Dialect(
    **signs("mistral"),
    profile=ServerProfile(
        pays={
            **{f"req-{window}": "requests" for window in _WINDOWS},
            **{f"tokens-{window}": "tokens" for window in _WINDOWS},
            "requests": "requests",
            "tokens": "tokens",
        },
        default_window_s=60.0,
        refill=Refill.WINDOW,
        grain_s=1.0,
    ),
    names={
        "ratelimitbysize-limit": (Field.LIMIT, "tokens-minute"),
        "ratelimitbysize-remaining": (Field.REMAINING, "tokens-minute"),
        "ratelimitbysize-reset": (Field.RESET, "tokens-minute"),
        "ratelimitbysize-query-cost": (Field.COST, "tokens"),
        "x-ratelimitbysize-limit-minute": (Field.LIMIT, "tokens-minute"),
        "x-ratelimitbysize-remaining-minute": (Field.REMAINING, "tokens-minute"),
        "x-ratelimitbysize-limit-month": (Field.LIMIT, "tokens-month"),
        "x-ratelimitbysize-remaining-month": (Field.REMAINING, "tokens-month"),
    },
    numbers=Unit.SECONDS,
    codes={
        "1300": Reason.RATE_LIMITED,
        "3505": Reason.OVERLOADED,
        "service_tier_capacity_exceeded": Reason.OVERLOADED,
        "invalid_model": Reason.MODEL_NOT_FOUND,
    },
    forbidden_is_limit=False,
)
