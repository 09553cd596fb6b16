"""
Limits learnt by a run, kept for the next one: the file of ``--state``.

Law of this file: what it holds are hints. They are believed for a day, for the
server they were learnt from, until its first answer; a file that is not there is
an empty one, and one that is something else is refused rather than replaced.
It holds numbers and names of models, and nothing of a key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Final

import attrs

from ..core.quota import Quota, Quotas
from ..core.statistics import LimiterStatistics
from ..errors import ConfigurationError, InvalidQuota
from .disk import replace, resolved

VERSION: Final = 1
BELIEVED_S: Final = 86_400.0
_KEPT: Final = 4096
_LEARNT: Final = frozenset({"header", "prior"})


@attrs.frozen
class Learnt:
    """
    One limit of one model.

    Args:
        server: the base URL.
        seen_s: wall time at which the server showed it.
    """

    server: str
    model: str
    unit: str
    limit: int
    window_s: float
    seen_s: float

    @property
    def quota(self) -> Quota:
        return Quota(self.unit, self.limit, self.window_s)


@attrs.frozen
class State:
    """What a file of limits holds that may still be believed."""

    limits: tuple[Learnt, ...] = ()

    def of(self, server: str) -> dict[str, Quotas]:
        """The limits of one server, by model."""
        found: dict[str, list[Quota]] = {}
        for learnt in self.limits:
            if learnt.server == server:
                found.setdefault(learnt.model, []).append(learnt.quota)
        return {model: Quotas.of(quotas) for model, quotas in found.items()}

    def after(self, server: str, statistics: LimiterStatistics, *, now_s: float) -> State:
        """The same after a run: its limits in the place of those of the same models."""
        before = {(one.model, one.unit, one.window_s): one for one in self.limits if one.server == server}
        fresh = [
            _learnt(server, model, bucket.unit, bucket.limit, bucket.window_s, bucket.source, before, now_s)
            for model, key in statistics.keys.items()
            for bucket in key.buckets.values()
            if bucket.source in _LEARNT and bucket.limit > 0
        ]
        models = {one.model for one in fresh}
        kept = [one for one in self.limits if one.server != server or one.model not in models]
        return State(tuple(sorted((*fresh, *kept), key=lambda one: -one.seen_s)[:_KEPT]))


def _learnt(
    server: str,
    model: str,
    unit: str,
    limit: int,
    window_s: float,
    source: str,
    before: Mapping[tuple[str, str, float], Learnt],
    now_s: float,
) -> Learnt:
    """A limit that no answer confirmed in this run is as old as it was."""
    known = before.get((model, unit, window_s))
    seen_s = known.seen_s if source == "prior" and known is not None else now_s
    return Learnt(server, model, unit, limit, window_s, seen_s)


def load(path: str, *, now_s: float) -> State:
    """
    What *path* holds that is not older than a day.

    Raises:
        ConfigurationError: it cannot be read, or is no file of limits.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for, a device may have no end
        raise ConfigurationError(f"{path} is no file: name another --state file")
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        if found["version"] != VERSION:
            raise ValueError("a version this program does not know")
        limits = [_read(one) for one in found["limits"]]
    except FileNotFoundError:
        return State()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidQuota):
        raise ConfigurationError(f"{path} holds no limits written by this program: name another --state file") from None
    return State(tuple(one for one in limits[:_KEPT] if now_s - one.seen_s < BELIEVED_S))


def _read(found: Mapping[str, Any]) -> Learnt:
    one = Learnt(
        str(found["server"]),
        str(found["model"]),
        str(found["unit"]),
        int(found["limit"]),
        float(found["window_s"]),
        float(found["seen_s"]),
    )
    Quota(one.unit, one.limit, one.window_s)  # what it may be is checked there
    return one


def save(path: str, state: State) -> None:
    """Replace the file at *path*, as a whole, readable by its owner only."""
    text = json.dumps({"version": VERSION, "limits": [attrs.asdict(one) for one in state.limits]}, indent=1) + "\n"
    path = resolved(path)
    replace(path, text.encode(), f"{path}.{os.getpid()}.tmp")
