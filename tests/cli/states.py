"""States as a page tells them, for tests of what reads them."""

from __future__ import annotations

from typing import Any


def why(binding: str | None = None, ready_in_s: float | None = 0.0, ahead: int = 0, reason: str = "") -> dict[str, Any]:
    text = reason or (f"waits {ready_in_s} s: {binding} lack" if binding else "the call can go now")
    return {
        "admissible": binding is None,
        "ready_in_s": ready_in_s,
        "binding": binding,
        "ahead": ahead,
        "reason": text,
        "unread": {},
    }


def bucket(name: str = "requests", **facts: Any) -> dict[str, Any]:
    return {
        "name": name,
        "unit": name,
        "window_s": 60.0,
        "limit": 1000,
        "level": 250,
        "reserve": 10.0,
        "server_remaining": 250,
        "source": "header",
        "gate_s": 0.0,
        "learnt_burst": None,
        "foreign_ratio": 0.0,
        "series": "alive",
        **facts,
    }


def key(model: str = "gpt-4o", **facts: Any) -> dict[str, Any]:
    return {
        "model": model,
        "queued": 0,
        "oldest_wait_s": 0.0,
        "in_flight": 0,
        "window": 32,
        "granted": 0,
        "refused": 0,
        "estimate_ratio": None,
        "mode": "steady",
        "gate_s": 0.0,
        "buckets": [bucket()],
        "queue": [{"priority": 0, "queued": 0, "tokens": 0, "oldest_wait_s": 0.0}],
        "explanation": why(),
        "first": None,
        "history": {"admitted": [0, 1, 2], "refused": [0, 0, 1]},
        **facts,
    }


def waiting(model: str = "gpt-4o", binding: str = "requests", **facts: Any) -> dict[str, Any]:
    """A key of which three wait."""
    first = why(binding, 12.0, reason=f"waits 12.0 s: {binding} hold 0 of 1,000 per 60 s and the call needs 1")
    new = why(binding, 40.0, 3)
    return key(
        model, **{"queued": 3, "oldest_wait_s": 5.0, "in_flight": 1, "first": first, "explanation": new, **facts}
    )


def state(*keys: Any, client: str = "mine", **facts: Any) -> dict[str, Any]:
    """Of one client with these keys."""
    return {
        "version": "1.0",
        "now_s": 1_800_000_000.0,
        "clients": [
            {
                "client": client,
                "queued": sum(each["queued"] for each in keys if isinstance(each["queued"], int)),
                "in_flight": sum(each["in_flight"] for each in keys if isinstance(each["in_flight"], int)),
                "max_in_flight": 200,
                "next_in_s": None,
                "keys": list(keys),
                "others": {"keys": 0, "queued": 0, "in_flight": 0},
            }
        ],
        "counts": [],
        "jobs": [],
        "history": {"at_s": [10.0, 11.0, 12.0, 13.0]},
        **facts,
    }
