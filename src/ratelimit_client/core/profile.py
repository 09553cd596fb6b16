"""
What the scheduler has to know about a kind of server, as data.

Law of this file: a vendor is a table. A dialect carries one of these beside its
header names; the core reads it and has no branch for a vendor.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import attrs


class Refill(enum.Enum):
    """How a bucket gets its units back."""

    CONTINUOUS = "continuous"
    WINDOW = "window"
    UNKNOWN = "unknown"


class EveryDimension(Mapping[str, str]):
    """
    Every dimension, whatever it is called, is charged in one unit but for those that are listed.

    Args:
        unit: what a call pays in any other dimension.
        listed: dimension -> unit.
    """

    __slots__ = ("_listed", "_unit")

    def __init__(self, unit: str, listed: Mapping[str, str] = MappingProxyType({})) -> None:
        self._unit = unit
        self._listed = dict(listed)

    def __getitem__(self, dimension: str) -> str:
        return self._listed.get(dimension, self._unit)

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


def _frozen(mapping: Mapping[str, str]) -> Mapping[str, str]:
    return mapping if isinstance(mapping, EveryDimension) else MappingProxyType(dict(mapping))


@attrs.frozen(kw_only=True)
class ServerProfile:
    """
    Args:
        pays: dimension of a header -> the unit of a call's cost that is charged
            there ("project-tokens" -> "tokens"). A dimension that is missing is
            shown in the statistics and enforced only after a refusal names it.
        default_window_s: window of a new bucket whose reading does not determine one.
        refill: CONTINUOUS, WINDOW, or UNKNOWN (taken for window until two readings
            show ``reset`` growing with use).
        reset_is_exact: ``reset`` is the time to full, cut to whole milliseconds, so
            it tells the fraction that ``remaining`` hides.
        settles: units the server corrects when the true use is known.
        snapshot_at_end: headers show the moment the answer ended, not the admission.
        groups_share: the group that a refusal names is one of keys that share its limit.
        grain_s: how coarse an announced instant of reset is (1 for epochs and dates).
    """

    pays: Mapping[str, str] = attrs.field(converter=_frozen, factory=dict)
    default_window_s: float = 60.0
    refill: Refill = Refill.UNKNOWN
    reset_is_exact: bool = False
    settles: frozenset[str] = frozenset()
    snapshot_at_end: bool = False
    groups_share: bool = False
    grain_s: float = 1.0
