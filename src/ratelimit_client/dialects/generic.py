"""
Whoever speaks no language of their own.

Law of this file: read what is written, conclude nothing about the server. Both orders
of the name parts are read (``x-ratelimit-limit-tokens``, ``anthropic-ratelimit-tokens-limit``),
a bare number counts by its size, and the kind of refill stays unknown until the
readings themselves show it. A 403 is taken for a rate limit when it asks to wait or
shows a dimension with nothing left, as GitHub's does.
"""

from __future__ import annotations

from ..core.profile import ServerProfile
from .dialect import Dialect
from .signs import signs

_REQUESTS = ("requests", "request", "req", "calls", "rpm", "rpd", "rps")
_TOKENS = ("tokens", "token", "tpm", "tpd")
_WINDOWS = ("", "-second", "-10-second", "-minute", "-hour", "-day", "-month")

PAYS = {
    f"{owner}{name}{window}": unit
    for unit, names in (("requests", _REQUESTS), ("tokens", _TOKENS))
    for name in names
    for owner in ("", "project-")
    for window in _WINDOWS
} | {window[1:]: "requests" for window in _WINDOWS if window}
"""The dimensions of one or several vendors that every call pays as a request, or by its tokens."""

GENERIC = Dialect(
    **signs("generic"),
    prefixes=("x-ratelimit-", "ratelimit-", "x-rate-limit-", "rate-limit-", "anthropic-ratelimit-"),
    profile=ServerProfile(pays=PAYS),
)
