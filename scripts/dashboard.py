"""
The dashboard of deploy/grafana, made from the list below.

    python scripts/dashboard.py            look whether the file is as the list says
    python scripts/dashboard.py --write    write it anew

Law of this file: a panel is a question an operator has, and its title is the answer's name. What
is asked for is a family of the code, or a rule of deploy/prometheus/rules.yml.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import attrs

FILE = Path(__file__).parent.parent / "deploy" / "grafana" / "ratelimit-client.json"

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_ON = 'client=~"$client", model=~"$model"'
_CLIENT = 'client=~"$client"'
_RATE = "[$__rate_interval]"
_WIDTH, _HEIGHT = 8, 8
_COLUMNS = 24 // _WIDTH


@attrs.frozen
class Query:
    """An expression, and what its lines are called."""

    expr: str
    legend: str


@attrs.frozen
class Panel:
    """
    Args:
        text: what it answers.
        unit: of Grafana.
        most: the end of the axis, where there is one.
    """

    title: str
    text: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    most: float | None = None


def _quantiles(family: str) -> tuple[Query, ...]:
    buckets = f"sum by (client, le) (rate(ratelimit_client_{family}_bucket{{{_CLIENT}}}{_RATE}))"
    return tuple(Query(f"histogram_quantile({q}, {buckets})", f"{{{{client}}}} p{q * 100:g}") for q in (0.5, 0.9, 0.99))


_PANELS = (
    Panel(
        "Refused of what was sent",
        "Near nothing, or the limit that is known is not the one that is enforced.",
        (Query(f"ratelimit_client:refused_ratio:rate5m{{{_ON}}}", "{{client}} {{model}}"),),
        "percentunit",
    ),
    Panel(
        "Failed of what was asked",
        "Calls that ended in an error or ran out of time.",
        (Query(f"ratelimit_client:errors_ratio:rate5m{{{_ON}}}", "{{client}} {{model}}"),),
        "percentunit",
    ),
    Panel(
        "Waiting",
        "Calls in the queue now.",
        (Query(f"sum by (client, model, priority) (ratelimit_client_queue_depth{{{_ON}}})", "{{model}} {{priority}}"),),
    ),
    Panel(
        "Calls a second",
        "Logical calls by how they ended.",
        (Query(f"sum by (outcome) (rate(ratelimit_client_requests_total{{{_ON}}}{_RATE}))", "{{outcome}}"),),
        "reqps",
    ),
    Panel(
        "Attempts by code",
        "What servers answered, and what came instead of an answer.",
        (Query(f"sum by (code) (rate(ratelimit_client_attempts_total{{{_ON}}}{_RATE}))", "{{code}}"),),
        "reqps",
    ),
    Panel(
        "Refusals by limit",
        "Which limit refusals name.",
        (
            Query(
                f"sum by (model, limit) (rate(ratelimit_client_rate_limited_total{{{_ON}}}{_RATE}))",
                "{{model}} {{limit}}",
            ),
        ),
        "reqps",
    ),
    Panel(
        "Left of each limit",
        "Our belief and the server's last word, of a full window.",
        (
            Query(
                f"max by (client, model, limit) (ratelimit_client_available{{{_ON}}}) / on (client, model, limit) "
                f"min by (client, model, limit) (ratelimit_client_limit{{{_ON}}})",
                "{{model}} {{limit}}",
            ),
            Query(
                f"max by (client, model, limit) (ratelimit_client_server_remaining{{{_ON}}}) "
                f"/ on (client, model, limit) min by (client, model, limit) (ratelimit_client_limit{{{_ON}}})",
                "{{model}} {{limit}}, the server says",
            ),
        ),
        "percentunit",
        most=1,
    ),
    Panel(
        "Limits",
        "What is thought to be the ceiling, and where that is from.",
        (
            Query(
                f"max by (client, model, limit, window, source) (ratelimit_client_limit{{{_ON}}})",
                "{{model}} {{limit}} per {{window}} s ({{source}})",
            ),
        ),
    ),
    Panel(
        "Spent by others",
        "The share of the refill that other programs take.",
        (
            Query(
                f"max by (client, model, limit) (ratelimit_client_foreign_usage_ratio{{{_ON}}})", "{{model}} {{limit}}"
            ),
        ),
        "percentunit",
        most=1,
    ),
    Panel(
        "Tokens a second",
        "As answers say.",
        (Query(f"sum by (type) (ratelimit_client:tokens:rate5m{{{_ON}}})", "{{type}}"),),
    ),
    Panel(
        "Tokens that wait",
        "What the queue costs, as we estimate.",
        (Query(f"sum by (client, model) (ratelimit_client_queued_tokens{{{_ON}}})", "{{model}}"),),
    ),
    Panel(
        "Charged over estimated",
        "1 is right; above it calls are refused, below it a part of the limit is not used.",
        (
            Query(f"ratelimit_client:token_estimate_ratio:mean1h{{{_CLIENT}}}", "{{client}} mean"),
            *_quantiles("token_estimate_ratio")[1:2],
        ),
    ),
    Panel("Wait in the queue", "For each turn.", _quantiles("queue_wait_seconds"), "s"),
    Panel(
        "Longest wait",
        "Of those that still wait.",
        (
            Query(
                f"max by (client, model, priority) (ratelimit_client_queue_oldest_wait_seconds{{{_ON}}})",
                "{{model}} {{priority}}",
            ),
        ),
        "s",
    ),
    Panel(
        "Wait asked for",
        "Until when a server asked us not to come.",
        (Query(f"max by (client, model) (ratelimit_client_cooldown_seconds{{{_ON}}})", "{{model}}"),),
        "s",
    ),
    Panel("Time of a call", "Queue and retries included.", _quantiles("request_duration_seconds"), "s"),
    Panel("Time of an attempt", "The body included.", _quantiles("attempt_duration_seconds"), "s"),
    Panel("Time to the first token", "Of streams.", _quantiles("time_to_first_token_seconds"), "s"),
    Panel(
        "Under way",
        "Calls, and how many there may be.",
        (
            Query(f"sum by (client, model) (ratelimit_client_in_flight{{{_ON}}})", "{{model}}"),
            Query(f"sum by (client, model) (ratelimit_client_concurrency_limit{{{_ON}}})", "{{model}} at most"),
        ),
    ),
    Panel(
        "Retries by reason",
        "Attempts after the first.",
        (Query(f"sum by (reason) (rate(ratelimit_client_retries_total{{{_ON}}}{_RATE}))", "{{reason}}"),),
        "reqps",
    ),
    Panel(
        "Shared budget",
        "Errors of the store a second, and who goes on without it.",
        (
            Query(
                f"sum by (client, op) (rate(ratelimit_client_shared_budget_errors_total{{{_CLIENT}}}{_RATE}))",
                "{{client}} {{op}} errors",
            ),
            Query(f"max by (client) (ratelimit_client_shared_budget_fallback{{{_CLIENT}}})", "{{client}} without it"),
            Query(
                "histogram_quantile(0.99, sum by (client, le) "
                f"(rate(ratelimit_client_shared_budget_latency_seconds_bucket{{{_CLIENT}}}{_RATE})))",
                "{{client}} p99, s",
            ),
        ),
    ),
    Panel(
        "Rows of bulk jobs",
        "By what has become of them.",
        (Query("sum by (exported_job, state) (ratelimit_client_bulk_rows)", "{{exported_job}} {{state}}"),),
    ),
    Panel(
        "Since a bulk job ended a row",
        "It should stay near nothing while rows are left.",
        (
            Query(
                "time() - max by (job, exported_job, instance) (ratelimit_client_bulk_last_progress_timestamp_seconds) "
                "and ratelimit_client:bulk_rows_left:sum > 0",
                "{{exported_job}}",
            ),
        ),
        "s",
    ),
    Panel(
        "Versions",
        "Of the library, and how many processes have it.",
        (Query("count by (version) (ratelimit_client_build_info)", "{{version}}"),),
        kind="stat",
    ),
)


def expressions() -> list[str]:
    """All that the dashboard asks for, the lists of its variables too."""
    return [query.expr for panel in _PANELS for query in panel.queries]


def dashboard() -> dict[str, Any]:
    """As Grafana imports it."""
    return {
        "title": "ratelimit-client",
        "uid": "ratelimit-client",
        "tags": ["ratelimit-client"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_datasource(), _variable("client"), _variable("model", "client")]},
        "panels": [_panel(number, panel) for number, panel in enumerate(_PANELS)],
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _variable(name: str, within: str | None = None) -> dict[str, Any]:
    chosen = f'{{{within}=~"${within}"}}' if within else ""
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": f"label_values(ratelimit_client_in_flight{chosen}, {name})", "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.most is not None:
        defaults["max"] = panel.most
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "gridPos": {
            "x": number % _COLUMNS * _WIDTH,
            "y": number // _COLUMNS * _HEIGHT,
            "w": _WIDTH,
            "h": _HEIGHT,
        },
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": "ABC"[place], "datasource": _SOURCE, "expr": query.expr, "legendFormat": query.legend}
            for place, query in enumerate(panel.queries)
        ],
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


def main() -> int:
    """0 when the file is, or now is, as the list says."""
    if "--write" in sys.argv[1:]:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(text(), encoding="utf-8")
        return 0
    return int(FILE.read_text(encoding="utf-8") != text())


if __name__ == "__main__":
    sys.exit(main())
