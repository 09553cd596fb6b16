"""
What a page said of a process, read with care.

Law of this file: whatever comes is text, numbers and lists of bounded size, or it is none of
ours. A name may steer no terminal and take no more than its place; a number that is none is 0,
or unknown where that is different.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from .voice import harmless

_MOST_KEYS: Final = 2000
_MOST_PARTS: Final = 64
_LONGEST_NAME: Final = 128
_LONGEST_SENTENCE: Final = 2000
_LARGEST: Final = 10**18
RECENT_S: Final = 60.0
_PACE_S: Final = 10.0
# They change how wide the character before them is, or which way the line is written.
_UNSTEADY: Final = {code: f"\\u{code:04x}" for code in (*range(0xFE00, 0xFE10), 0x034F, 0x115F, 0x1160, 0x3164)}


class NotOurs(ValueError):
    """It is no state of a limiter."""


@attrs.frozen
class Why:
    """
    Why a call waits.

    Args:
        ready_s: seconds until it may go; None: nobody knows.
        binding: what it waits for; "" when it may go.
        ahead: calls before it.
    """

    ready_s: float | None
    binding: str
    ahead: int
    reason: str


@attrs.frozen
class Limit:
    """One bucket, as ``BucketStatistics``; ``server`` is the server's last word."""

    name: str
    limit: int
    window_s: float
    level: int
    reserve: int
    server: int | None
    source: str
    gate_s: float
    burst: int | None
    foreign: float

    @property
    def used(self) -> float:
        """The part that is spent, 0 to 1."""
        return min(1.0, max(0.0, 1 - self.level / self.limit)) if self.limit else 1.0


@attrs.frozen
class Band:
    """What waits in one priority."""

    priority: int
    queued: int
    tokens: int
    oldest_s: float


@attrs.frozen(kw_only=True)
class Key:
    """
    One key of one client.

    Args:
        first: why the first of those that wait does; None when none does.
        new: whether a call that comes now would have to wait, and why.
        pace: calls let out a second, of the last ten seconds.
        refused_lately: answers that said no in the last minute.
        let_out: calls of each of the last seconds, the newest last.
    """

    client: str
    model: str
    queued: int
    oldest_s: float
    in_flight: int
    window: int
    mode: str
    limits: tuple[Limit, ...]
    bands: tuple[Band, ...]
    first: Why | None
    new: Why
    pace: float
    refused: int
    refused_lately: int
    let_out: tuple[int, ...]

    @property
    def why(self) -> Why:
        """Of the first that waits, else of one that comes now."""
        return self.new if self.first is None else self.first

    @property
    def badness(self) -> int:
        """How soon somebody wants to see it: 3 no answers, 2 calls wait, 1 at work or a call would wait, 0 at rest."""
        if self.mode == "outage":
            return 3
        if self.queued:
            return 2
        return 1 if self.in_flight or self.new.binding else 0


@attrs.frozen
class Client:
    """One limiter; ``others`` are keys without a name of their own, and what waits and is under way there."""

    name: str
    queued: int
    in_flight: int
    most: int
    others: tuple[int, int, int]


@attrs.frozen
class Job:
    """One bulk job: rows in each state, and how it says it goes."""

    name: str
    done: int
    failed: int
    total: int
    pace: float | None
    left_s: float | None
    state: str


@attrs.frozen
class Seen:
    """All of it; ``keys`` begin with those that somebody wants to see, ``unread`` are keys beyond counting."""

    version: str
    at_s: float
    clients: tuple[Client, ...]
    keys: tuple[Key, ...]
    jobs: tuple[Job, ...]
    unread: int = 0

    @property
    def others(self) -> tuple[int, int, int]:
        """Keys without a name, and what waits and is under way there."""
        keys, queued, in_flight = (sum(client.others[at] for client in self.clients) for at in range(3))
        return keys + self.unread, queued, in_flight


def read(state: Any) -> Seen:
    """
    A page's ``/state.json``.

    Raises:
        NotOurs: it is something else.
    """
    if not isinstance(state, Mapping) or not isinstance(state.get("clients"), list) or "version" not in state:
        raise NotOurs
    at_s = tuple(_amount(each) or 0.0 for each in _list(_of(state, "history"), "at_s", 4096))
    clients = tuple(_objects(state, "clients", _MOST_PARTS))
    pairs = [(client, key) for client in clients for key in _objects(client, "keys", _LARGEST)]
    found = [_key(name(client.get("client")), key, at_s) for client, key in pairs[:_MOST_KEYS]]
    return Seen(
        version=name(state["version"]),
        at_s=_amount(state.get("now_s")) or 0.0,
        clients=tuple(map(_client, clients)),
        keys=tuple(sorted(found, key=_order)),
        jobs=tuple(map(_job, _objects(state, "jobs", _MOST_PARTS))),
        unread=max(0, len(pairs) - _MOST_KEYS),
    )


def name(value: Any) -> str:
    """A name fit for a line among others."""
    return _text(value, _LONGEST_NAME) or "-"


def _order(key: Key) -> tuple[Any, ...]:
    return (-key.badness, -key.oldest_s, -key.queued, -key.in_flight, key.client, key.model)


def _client(client: Mapping[str, Any]) -> Client:
    others = _of(client, "others")
    return Client(
        name(client.get("client")),
        _count(client, "queued"),
        _count(client, "in_flight"),
        _count(client, "max_in_flight"),
        (_count(others, "keys"), _count(others, "queued"), _count(others, "in_flight")),
    )


def _key(client: str, key: Mapping[str, Any], at_s: Sequence[float]) -> Key:
    history = _of(key, "history")
    let_out = tuple(map(_whole, _list(history, "admitted", 4096)))
    refused = tuple(map(_whole, _list(history, "refused", 4096)))
    passed_s, out = _lately(let_out, at_s, _PACE_S)
    return Key(
        client=client,
        model=name(key.get("model")),
        queued=_count(key, "queued"),
        oldest_s=_amount(key.get("oldest_wait_s")) or 0.0,
        in_flight=_count(key, "in_flight"),
        window=_count(key, "window"),
        mode=_text(key.get("mode"), 32),
        limits=tuple(map(_limit, _objects(key, "buckets", _MOST_PARTS))),
        bands=tuple(map(_band, _objects(key, "queue", _MOST_PARTS))),
        first=_why(key["first"]) if isinstance(key.get("first"), Mapping) else None,
        new=_why(_of(key, "explanation")),
        pace=out / passed_s if passed_s > 0 else 0.0,
        refused=_count(key, "refused"),
        refused_lately=_lately(refused, at_s, RECENT_S)[1],
        let_out=let_out[-int(RECENT_S) :],
    )


def _lately(counts: Sequence[int], at_s: Sequence[float], span_s: float) -> tuple[float, int]:
    """How long the newest points lasted, as many as lie within *span_s*, and their sum."""
    if len(at_s) != len(counts) + 1 or not counts:
        return 0.0, 0
    since = max(0, next((n for n, at in enumerate(at_s) if at >= at_s[-1] - span_s), 0))
    since = min(since, len(counts) - 1)
    return at_s[-1] - at_s[since], sum(counts[since:])


def _why(why: Mapping[str, Any]) -> Why:
    return Why(
        _amount(why.get("ready_in_s")),
        _text(why.get("binding"), 64),
        _count(why, "ahead"),
        _text(why.get("reason"), _LONGEST_SENTENCE),
    )


def _limit(bucket: Mapping[str, Any]) -> Limit:
    server, burst = (_amount(bucket.get(field)) for field in ("server_remaining", "learnt_burst"))
    return Limit(
        name=name(bucket.get("name")),
        limit=_count(bucket, "limit"),
        window_s=_amount(bucket.get("window_s")) or 0.0,
        level=_whole(bucket.get("level")),
        reserve=_count(bucket, "reserve"),
        server=None if server is None else int(server),
        source=_text(bucket.get("source"), 32),
        gate_s=_amount(bucket.get("gate_s")) or 0.0,
        burst=None if burst is None else int(burst),
        foreign=min(1.0, max(0.0, _amount(bucket.get("foreign_ratio")) or 0.0)),
    )


def _band(band: Mapping[str, Any]) -> Band:
    return Band(
        _whole(band.get("priority")),
        _count(band, "queued"),
        _count(band, "tokens"),
        _amount(band.get("oldest_wait_s")) or 0.0,
    )


def _job(job: Mapping[str, Any]) -> Job:
    rows, progress = _of(job, "rows"), _of(job, "progress")
    done, failed = _count(rows, "done"), _count(rows, "failed")
    return Job(
        name(job.get("job")),
        done,
        failed,
        done + failed + _count(rows, "pending") + _count(rows, "running"),
        _amount(progress.get("rate")),
        _amount(progress.get("eta_s")),
        _text(progress.get("state"), _LONGEST_SENTENCE),
    )


# -- what may be anything -------------------------------------------------------------


def _text(value: Any, longest: int) -> str:
    """Text that stays in its line, no longer than *longest* characters."""
    if not isinstance(value, str):
        return ""
    plain = harmless(value[: longest + 1].translate(_UNSTEADY)).replace("\n", "\\n")
    return plain if len(plain) <= longest else plain[: longest - 3] + "..."


def _amount(value: Any) -> float | None:
    """A number that can be reckoned with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return max(-_LARGEST, min(_LARGEST, value)) if isinstance(value, int) or math.isfinite(value) else None


def _whole(value: Any) -> int:
    return int(_amount(value) or 0)


def _count(of: Mapping[str, Any], field: str) -> int:
    return max(0, _whole(of.get(field)))


def _of(of: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = of.get(field)
    return value if isinstance(value, Mapping) else {}


def _list(of: Mapping[str, Any], field: str, most: int) -> list[Any]:
    value = of.get(field)
    return value[:most] if isinstance(value, list) else []


def _objects(of: Mapping[str, Any], field: str, most: int) -> Iterator[Mapping[str, Any]]:
    return (each for each in _list(of, field, most) if isinstance(each, Mapping))
