"""
Gemini and Vertex AI.

Law of this file: no header says anything; the error does. ``RetryInfo.retryDelay`` is the
wait, cut to whole seconds, and the sentence has the rest of them ("retry in 48.939935699s"),
so the longer one counts. ``QuotaFailure`` names the limit: what it counts (the metric), its
amount and, in its id, its window. One of a day is over until midnight in California, whatever
the delay says.

Theory: "You exceeded your current quota, please check your plan and billing details" is
the ordinary refusal here, not a matter of billing. A bare "Resource exhausted" is Vertex's
shared capacity, with nothing to count. Stream endpoints answer with a list; command-line
clients pass the whole error on as text inside another.

Source: ai.google.dev/gemini-api/docs, "rate-limits" and "troubleshooting"; recorded answers of
2026; gemini-cli#2020, gemini-cli#14831.
"""

from __future__ import annotations

from ..core.profile import Refill, ServerProfile
from ..core.signals import Reason
from .dialect import Dialect
from .durations import Unit
from .midnight import until_midnight_pacific_s
from .signs import signs

GEMINI = Dialect(
    **signs("gemini"),
    profile=ServerProfile(
        pays={"requests": "requests", "tokens": "tokens", "input-tokens": "tokens"},
        default_window_s=60.0,
        refill=Refill.WINDOW,
        grain_s=1.0,
    ),
    numbers=Unit.SECONDS,
    codes={"api_key_invalid": Reason.AUTH, "failed_precondition": Reason.CLIENT_ERROR},
    sentences=(
        (r"\bmodels/\S{1,200} is not found\b|\bPublisher Model\b.{0,300}\bnot found\b", Reason.MODEL_NOT_FOUND),
        (r"\bprepayment credits are depleted\b", Reason.QUOTA_EXHAUSTED),
        (r"\binput token count\b.{0,80}\bexceeds the maximum\b", Reason.TOO_LARGE),
    ),
    forbidden_is_limit=False,
    long_window_s=86_400.0,
    day_ends=until_midnight_pacific_s,
)
