"""
Groq.

Law of this file: ``requests`` is the limit of a day and ``tokens`` that of a minute, always.
The bucket is OpenAI's: continuous, its reset a Go duration, here with noise below the
microsecond (``17.399999999s``). ``retry-after`` comes with refusals only.

Theory: the sentence of a refusal is OpenAI's too, with the tier before the label, a tilde
before the estimate ("Requested ~12903") and at times nothing where the label should be.
It names a wait even for a call that can never fit; its numbers tell. A call that is too
large comes with 413, a busy flex tier with 498.

Source: console.groq.com/docs, "rate-limits" and "errors"; recorded answers of 2024;
stockbot-on-groq#46, Fabric#364.
"""

from __future__ import annotations

from ..core.profile import Refill, ServerProfile
from ..core.signals import Reason
from .dialect import Dialect
from .signs import signs

GROQ = Dialect(
    **signs("groq"),
    profile=ServerProfile(
        pays={"requests": "requests", "tokens": "tokens"},
        default_window_s=60.0,
        refill=Refill.CONTINUOUS,
        reset_is_exact=True,
        grain_s=0.001,
    ),
    windows={"requests": 86_400.0, "tokens": 60.0},
    codes={"capacity_exceeded": Reason.OVERLOADED, "flex_capacity_exceeded": Reason.OVERLOADED},
    statuses={498: Reason.OVERLOADED},
    forbidden_is_limit=False,
)
