"""
OpenRouter: one API in front of many vendors.

Law of this file: its own limits are headers inside the body (``error.metadata.headers``), with
the reset in milliseconds since 1970; a limit of a day is not waited out. An upstream's
refusal comes as "Provider returned error" with what the upstream said under ``metadata.raw``.

Theory: an answer is begun with status 200 before the upstream has answered, so errors come
inside it, as the body or as an event. Its code is a number in one answer and a string in the next.

Source: openrouter.ai/docs, "limits" and "errors"; openclaude#936, openclaude#1549.
"""

from __future__ import annotations

from ..core.profile import Refill, ServerProfile
from ..core.signals import Reason
from .dialect import Dialect
from .signs import signs

OPENROUTER = Dialect(
    **signs("openrouter"),
    profile=ServerProfile(
        pays={"requests": "requests"},
        default_window_s=60.0,
        refill=Refill.WINDOW,
        grain_s=1.0,
    ),
    sentences=(
        (r"\bkey limit exceeded\b|\brequires more credits\b", Reason.QUOTA_EXHAUSTED),
        (r"\bno endpoints found for\b|\bis not a valid model id\b", Reason.MODEL_NOT_FOUND),
    ),
    forbidden_is_limit=False,
    long_window_s=86_400.0,
)
