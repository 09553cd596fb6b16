"""
What a limiter is given, as it is used inside.

Law of this file: whatever cannot be what was meant is refused here, by the name of the argument.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from .. import dialects
from ..core.quota import Quota, Quotas
from ..dialects.dialect import Dialect
from ..dialects.registry import AUTO
from ..errors import ConfigurationError
from .clock import SYSTEM_CLOCK, Clock

QuotaLike = Quota | str | Iterable[Quota | str]

_MOST_IN_FLIGHT = 2000
_FILES_KEPT_BACK = 128


def quotas_given(value: QuotaLike | Mapping[str, QuotaLike]) -> Quotas | dict[str, Quotas]:
    """Quotas as the scheduler takes them: for all keys, or by key."""
    if isinstance(value, Mapping):
        return {key: Quotas.of(each) for key, each in value.items()}
    return Quotas.of(value)


def by_key(quotas: Quotas | dict[str, Quotas]) -> dict[str, Quotas]:
    """The same, always by key; "*" stands for all others."""
    return quotas if isinstance(quotas, dict) else {"*": quotas}


def of_key(quotas: Quotas | dict[str, Quotas], key: str) -> Quotas:
    """What holds for one key."""
    given = by_key(quotas)
    return given.get(key, given.get("*", Quotas()))


def dialect_named(given: str | Dialect) -> Dialect | None:
    """The table of a name; None for "auto", which the answers tell."""
    if isinstance(given, Dialect):
        return given
    return None if given == AUTO else dialects.lookup(given)


def calls_at_once(given: int | None) -> int:
    """Calls at once: what was given, else what files allow. A socket is a file, and others need some too."""
    if given is not None:
        return at_least("max_in_flight", given, 1)
    try:
        import resource
    except ImportError:  # not on Windows
        return _MOST_IN_FLIGHT
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_IN_FLIGHT
    return max(1, min(_MOST_IN_FLIGHT, soft - _FILES_KEPT_BACK))


def at_least(name: str, value: int, least: int) -> int:
    """
    Raises:
        ConfigurationError: it is no whole number, or a smaller one.
    """
    if type(value) is not int or value < least:
        raise ConfigurationError(f"{name} is a whole number of {least} or more, such as 64; got {value!r}")
    return value


def clock_here() -> Clock:
    """A virtual loop brings its own time; everywhere else it is the machine's."""
    try:
        clock = getattr(asyncio.get_running_loop(), "clock", None)
    except RuntimeError:
        clock = None
    return clock if isinstance(clock, Clock) else SYSTEM_CLOCK
