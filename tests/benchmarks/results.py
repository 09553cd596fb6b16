"""Results as ``make bench-full`` would leave them, with numbers that nobody measured."""

from __future__ import annotations

from typing import Any

OF = {
    "commit": "0123456789abcdef",
    "date": "2026-01-01",
    "python": "3.11.7",
    "machine": "x86_64",
    "cores": 2,
    "system": "Linux",
    "versions": {"aiohttp": "3.14"},
}


def entrant(peer: str, variant: str, seconds: float | None, refused: float, lost: int = 0) -> dict[str, Any]:
    return {
        "peer": peer,
        "variant": variant,
        "version": "1.0",
        "ours": variant == "untold",
        "seeds": 5,
        "seconds": seconds,
        "spread_s": None if seconds is None else [seconds - 0.1, seconds + 0.1],
        "ideal_s": 10.0,
        "ratio": None if seconds is None else round(seconds / 10, 3),
        "refused": refused,
        "refused_least": int(refused),
        "refused_most": int(refused) + 1,
        "calls": 300 + refused,
        "lost": lost,
        "repeated": 0,
        "killed": int(seconds is None),
        "cpu_s": 1.5,
        "at_once": 4,
        "busy": 0.5,
        "complaint": "12 x Error: `no` | more\nwords" if lost else "",
    }


def scenario(name: str, number: int) -> dict[str, Any]:
    entrants = [
        entrant("ratelimit-client", "untold", 10.1 + number / 10, number),
        entrant("openai-sdk", "defaults", None, 3000, lost=40),
        entrant("openai-sdk", "tuned", 14.0 + number, 220 + number),
        entrant("lm-deluge", "defaults", 19.0, 60, lost=3),
        entrant("lm-deluge", "tuned", 10.2, 1),
    ]
    verdict = {
        "best_s": 10.1,
        "best": "ratelimit-client, untold",
        "behind": 1.0,
        "first": True,
        "fewest_of": "refused",
        "least": 1,
        "fewest": number < 2,
        "lost": 0,
        "repeated": 0,
        "holds": number < 2,
    }
    better = [] if number < 2 else [f"lm-deluge, tuned: {number - 1} fewer refusals, in 10.20 s against our 10.30"]
    return {
        "name": name,
        "says": f"server {name} | and its job",
        "ideal_s": 10.0,
        "entrants": entrants,
        "verdict": verdict,
        "better": better,
    }


def spread(median: float) -> dict[str, float]:
    return {"median": median, "least": median * 0.9, "most": median * 1.2}


MICRO = {
    "table": [
        {
            "name": "permit_3_buckets",
            "what": "an uncontended permit, three buckets",
            "unit": "us",
            "ours": spread(2.9),
            "floor": None,
            "floor_is": None,
            "ratio": None,
            "peers": {"aiolimiter": spread(0.9), "pyrate-limiter": spread(11.0), "throttled-py": "not installed"},
            "goal": "<= 3 us",
            "holds": True,
            "collector": "on",
        },
        {
            "name": "bytes_per_waiter",
            "what": "a waiting call, its task included",
            "unit": "bytes",
            "ours": spread(1200.0),
            "floor": spread(850.0),
            "floor_is": "a bare task and its future",
            "ratio": spread(1.41),
            "peers": {"aiolimiter": spread(1300.0), "pyrate-limiter": None, "throttled-py": "not installed"},
            "goal": "<= 1250 bytes",
            "holds": False,
            "collector": "off",
        },
    ],
    "versions": {"aiolimiter": "1.3.0"},
}


def queued(n: int) -> dict[str, float]:
    slower = 1 + n / 300_000
    return {
        "n": n,
        "enqueue_us": 9 * slower,
        "grant_us": 12 * slower,
        "cancel_us": 7 * slower,
        "bare_enqueue_us": 4 * slower,
        "bare_grant_us": 5 * slower,
        "bare_cancel_us": 4.5 * slower,
        "enqueue_ratio": 2.2,
        "grant_ratio": 2.4,
        "cancel_ratio": 1.6,
        "bytes": 1210.0,
        "bare_bytes": 850.0,
    }


GROWTH = {
    "queued": [queued(10**power) for power in range(2, 7)],
    "keys": [{"n": 10**power, "permit_us": 3.0, "bytes_per_key": 4000.0} for power in range(5)],
    "tenants": [{"n": 10**power, "enqueue_us": 9.0, "grant_us": 12.0, "bytes_per_tenant": 400.0} for power in range(5)],
    "input": [
        {
            "rows": 10**power,
            "mb": 280e-6 * 10**power,
            "run": {"seconds": 1e-4 * 10**power, "cpu_s": 1e-4 * 10**power, "largest_mb": 50 + 12e-6 * 10**power},
            "resume": {"seconds": 1e-5 * 10**power, "cpu_s": 1e-5 * 10**power, "largest_mb": 45 + 11e-6 * 10**power},
        }
        for power in range(4, 8)
    ],
    "ids": {"grown": {"ids": 10**7, "seconds": 9.0, "largest_mb": 190.0, "bytes_an_id": 12.5}},
    "goals": [{"what": "10^7 rows", "goal": "< 200 MB", "measured": "170 MB", "holds": True}],
}

STARTUP = {
    "bare_s": spread(0.02),
    "table": [{"what": "`import ratelimit_client`", "beyond_s": spread(0.03), "asked_s": 0.08, "holds": True}],
}

SDK = {
    "cpu": {"plain": {"sdk_us": 1278.0, "with_us": 1409.0, "ratio": 1.104, "ratio_least": 1.05, "ratio_most": 1.14}},
    "race": [
        {"name": "300 calls", "seconds": 25.5, "ratio": 1.014, "refused": 4, "calls": 304, "lost": 0, "repeated": 0}
    ],
}

CPU = {
    name: {
        "rows": 20_000,
        "bulk_cpu_s": 4.2,
        "bare_cpu_s": 3.0,
        "ratio": ratio,
        "ratio_least": 1.1,
        "ratio_most": 1.4,
        "asked": asked,
    }
    for name, ratio, asked in (("with orjson", 1.2, 1.25), ("without", 1.4, 1.35))
}

METRICS = {
    "event_us": 0.21,
    "call_us": 6.1,
    "scrape_ms": 26.0,
    "series": 1800,
    "bytes": 200_000,
    "row_instructions": 1_000_000,
    "watched_over_row": 1.0084,
    "event_instructions": 900,
    "call_instructions": 30_000,
    "rows": 20_000,
    "watched_cpu": [1.01, 1.0, 1.02],
    "watched_time": [1.0, 1.01, 1.05],
    "watched_cpu_median": 1.01,
    "watched_time_median": 1.01,
}

RAY = {
    "rows": 900,
    "limit": "600 requests/min",
    "latency_s": 1.0,
    "ideal_s": 31.0,
    "most_s": 300.0,
    "versions": {"ray": "2.60", "pydantic": "2.14"},
    "load": 1.5,
    "idle_priority": True,
    "by": [
        {"who": "ours", "seconds": 31.0, "of_ideal": 1.0, "calls": 900, "refused": 0, "admitted": 900, "done": True},
        {
            "who": "theirs",
            "seconds": 299.0,
            "of_ideal": 9.6,
            "calls": 452,
            "refused": 0,
            "admitted": 452,
            "done": False,
        },
    ],
}

FOUND: dict[str, Any] = {
    "peers": [scenario(name, number) for number, name in enumerate("ABCDEFGHI")],
    "cpu": CPU,
    "sdk": SDK,
    "micro": MICRO,
    "growth": GROWTH,
    "startup": STARTUP,
    "metrics": METRICS,
    "ray": RAY,
    "newcomer": [["the text", "told nothing", 299.4, 435.5, 0, 99.7], ["the text", "told", 0.2, 0.2, 0, 100.2]],
}
RESULTS: dict[str, Any] = {name: {"of": OF, "found": found} for name, found in FOUND.items()}
