"""
What became of a client's calls, counted.

Law of this file: plain integers, changed once a call, read whenever somebody looks;
every call that came in has exactly one outcome.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter

from ...dialects.features import MOST_TOKENS
from ...errors import DeadlineExceeded, DeadlineExpiredInQueue, DeadlineUnreachable, NotAdmitted

SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)
"""Upper bounds of the durations that are told apart."""

_WHOLE = ""
# Which part of what a usage has by this name is counted, and as what.
_COUNTED = {
    **dict.fromkeys(("prompt_tokens", "input_tokens"), (_WHOLE, "input")),
    **dict.fromkeys(("completion_tokens", "output_tokens"), (_WHOLE, "output")),
    **dict.fromkeys(("prompt_tokens_details", "input_tokens_details"), ("cached_tokens", "cached_input")),
    **dict.fromkeys(("completion_tokens_details", "output_tokens_details"), ("reasoning_tokens", "reasoning")),
}


class Tally:
    """
    The counts of one client.

    Args:
        outcomes: by (key, outcome): success, error, expired, cancelled or rejected.
        retries: by (key, what made it necessary).
        exhausted: answers by key that said the account is out of money.
        tokens: by (key, kind): input, output, cached_input or reasoning, as answers say.
        seconds: calls by duration: one count for each bound of ``SECONDS``, and one beyond.
        total_s: seconds of all calls together.
    """

    __slots__ = ("exhausted", "outcomes", "retries", "seconds", "tokens", "total_s")

    def __init__(self) -> None:
        self.retries: Counter[tuple[str, str]] = Counter()
        self.exhausted: Counter[str] = Counter()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.seconds = [0] * (len(SECONDS) + 1)
        self.total_s = 0.0

    def add(self, key: str, outcome: str, seconds: float) -> None:
        """One call is over."""
        self.outcomes[key, outcome] += 1
        self.seconds[bisect_left(SECONDS, seconds)] += 1
        self.total_s += seconds

    def used(self, key: str, usage: object) -> None:
        """What one answer says it used, as far as that can be believed."""
        if not isinstance(usage, dict):
            return
        tokens = self.tokens
        for name, value in usage.items():
            if (found := _COUNTED.get(name)) is None:
                continue
            part, kind = found
            if part:
                value = value.get(part) if isinstance(value, dict) else None
            if type(value) is int and 0 < value <= MOST_TOKENS:
                tokens[key, kind] += value


def outcome_of(error: BaseException) -> str:
    """The word for how a call ended that brought no reply."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if isinstance(error, DeadlineExceeded | DeadlineExpiredInQueue):
        return "expired"
    if isinstance(error, NotAdmitted | DeadlineUnreachable):
        return "rejected"
    return "error"
