"""The rules, alerts and dashboard of deploy/: promtool reads them, and what they ask for is there."""

from __future__ import annotations

import json
import re
import shutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from prometheus_client import CollectorRegistry

from ratelimit_client.adapters.prometheus.families import FAMILIES, LABELS, PREFIX
from tests.deploying import PROMETHEUS, ROOT, asked_for, everything, expressions_of, grouped_by, promtool
from tests.sizes import SIZE

RULES, ALERTS, TESTS = ((PROMETHEUS / name).read_text() for name in ("rules.yml", "alerts.yml", "tests.yml"))
RECORDED = re.findall(r"- record: (\S+)", RULES)
ALERTED = re.findall(r"- alert: (\S+)", ALERTS)

MISTAKES = [
    ("rules.yml", 'code="429"', 'code="200"'),
    ("rules.yml", "token_estimate_ratio_sum[1h]", "token_estimate_ratio_count[1h]"),
    ("rules.yml", 'state=~"pending|running"', 'state=~"pending|done"'),
    ("rules.yml", 'outcome=~"error|expired"', 'outcome="error"'),
    ("alerts.yml", "refused_ratio:rate5m > 0.05", "refused_ratio:rate5m > 0.5"),
    ("alerts.yml", "refused_ratio:rate5m > 0.05", "refused_ratio:rate5m > 0.005"),
    ("alerts.yml", "(rate(ratelimit_client_attempts_total[10m])) > 0", "(ratelimit_client_attempts_total) > 0"),
    ("alerts.yml", "oldest_wait_seconds) > 600", "oldest_wait_seconds) > 6000"),
    ("alerts.yml", 'total{limit="quota"} offset 10m', 'total{limit="quota"} offset 10s'),
    ("alerts.yml", 'increase(ratelimit_client_rate_limited_total{limit="quota"}[10m]) > 0', "vector(0) > 0"),
    ("alerts.yml", "_count[1h])) > 20", "_count[1h])) > 2"),
    ("alerts.yml", "mean1h < 0.7", "mean1h < 0.1"),
    ("alerts.yml", "foreign_usage_ratio) > 0.1", "foreign_usage_ratio) > 0.01"),
    ("alerts.yml", "fallback) > 0", "fallback) == 0"),
    ("alerts.yml", "bulk_rows_left:sum > 0", "bulk_rows_left:sum >= 0"),
]
"""File, what stands in it once, and what somebody might write instead."""

# What a target has of its own, and what Prometheus adds.
OF_A_TARGET = {"job", "instance", "exported_job"}
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "info": ("_info",), "gauge": ("",)}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


@pytest.fixture
def dashboard(scripts: None) -> ModuleType:
    return import_module("dashboard")


@pytest.fixture(scope="module")
def registry() -> CollectorRegistry:
    return everything()


def sample_names() -> dict[str, set[str]]:
    """Names that a query may ask for -> their labels, by the list in the code."""
    names: dict[str, set[str]] = {}
    for family in FAMILIES.values():
        for suffix in SUFFIXES[family.kind]:
            labels = set(family.labels) | ({"le"} if suffix == "_bucket" else set())
            names[PREFIX + family.name + suffix] = labels
    return names


def shown(registry: CollectorRegistry) -> dict[str, set[str]]:
    """The same, by what a scrape of a run shows."""
    return {sample.name: set(sample.labels) for family in registry.collect() for sample in family.samples}


def all_expressions(dashboard: ModuleType) -> list[str]:
    return [*expressions_of(RULES), *expressions_of(ALERTS), *dashboard.expressions()]


# -- promtool -----------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check config prometheus.yml", "check rules rules.yml alerts.yml"])
def test_promtool_reads_them(command: str) -> None:
    """Without a complaint."""
    well, said = promtool(*command.split())
    assert well, said
    assert "FAILED" not in said


def test_every_alert_fires_and_keeps_silent_as_its_tests_say() -> None:
    """What rules record, which alerts fire and what they say, at instants of made-up series."""
    well, said = promtool("test", "rules", "tests.yml")
    assert well, said


def test_every_rule_has_its_tests() -> None:
    """Each alert is seen firing and silent, and each recorded name is asked for."""
    assert len(ALERTED) == 8
    for name in ALERTED:
        told = re.findall(rf"- alertname: {name}\n +eval_time: \S+\n +exp_alerts: ?(\[\])?", TESTS)
        assert {bool(empty) for empty in told} == {True, False}, name
    tested = {name for expression in re.findall(r"expr: (.+)", TESTS) for name in asked_for(expression)}
    assert set(RECORDED) <= tested


@pytest.mark.parametrize(("file", "right", "wrong"), MISTAKES if SIZE != "test" else MISTAKES[::4])
def test_a_rule_that_is_wrong_fails_its_tests(file: str, right: str, wrong: str, tmp_path: Path) -> None:
    """So that the tests above prove something."""
    folder = tmp_path / "prometheus"
    shutil.copytree(PROMETHEUS, folder)
    text = (folder / file).read_text()
    assert text.count(right) == 1
    (folder / file).write_text(text.replace(right, wrong))

    assert promtool("check", "rules", file, cwd=folder)[0]
    assert not promtool("test", "rules", "tests.yml", cwd=folder)[0]


def test_promtool_reads_every_expression_of_the_dashboard(dashboard: ModuleType, tmp_path: Path) -> None:
    """As Grafana sends them, with its variables filled in."""
    rules = [{"record": f"panel:{number}", "expr": filled(each)} for number, each in enumerate(dashboard.expressions())]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    well, said = promtool("check", "rules", "panels.yml", cwd=tmp_path)

    assert well, said
    assert f"{len(rules)} rules found" in said


def filled(expression: str) -> str:
    """What Grafana makes of it."""
    return expression.replace("$__rate_interval", "1m").replace("$client", ".*").replace("$model", ".*")


# -- what is asked for is there -------------------------------------------------------


def test_the_list_of_families_is_what_a_run_shows(registry: CollectorRegistry) -> None:
    """Every family of the list, with its labels and no others, and nothing besides."""
    assert shown(registry) == sample_names()


def test_every_expression_asks_for_what_there_is(dashboard: ModuleType, registry: CollectorRegistry) -> None:
    """Names of metrics and of labels, of rules, alerts and panels."""
    there = shown(registry)
    for expression in all_expressions(dashboard):
        assert asked_for(expression), expression
        for name, labels in asked_for(expression).items():
            if ":" in name:
                assert name in RECORDED, expression
                assert labels <= {"client", "model"}, expression
            else:
                assert labels <= there[name] | OF_A_TARGET, expression
        assert grouped_by(expression) <= {*LABELS, "le", *OF_A_TARGET}, expression


def test_every_family_is_on_the_dashboard(dashboard: ModuleType) -> None:
    """In a panel, or in a rule that a panel asks for."""
    text = " ".join(dashboard.expressions())
    texts = text + " ".join(
        expression for name, expression in zip(RECORDED, expressions_of(RULES), strict=True) if name in text
    )
    assert [family.name for family in FAMILIES.values() if PREFIX + family.name not in texts] == []


def test_expressions_are_found_where_they_stand() -> None:
    """On one line or on several; and what is asked for in them."""
    text = "  expr: a > 0\n  for: 1m\n  expr: |\n    b\n      / c\n  for: 2m\n"
    assert expressions_of(text) == ["a > 0", "b / c"]
    expression = 'sum by (job, x) (rate(ratelimit_client_a_total{code="1", y=~"2"}[5m])) / ratelimit_client:b:c'
    assert asked_for(expression) == {"ratelimit_client_a_total": {"code", "y"}, "ratelimit_client:b:c": set()}
    assert grouped_by(expression) == {"job", "x"}
    assert len(expressions_of(RULES)) == len(RECORDED)
    assert len(expressions_of(ALERTS)) == len(ALERTED)


# -- what is written from the code ----------------------------------------------------


def test_the_dashboard_is_the_one_of_the_code(dashboard: ModuleType) -> None:
    """`python scripts/dashboard.py --write` brings it up to date."""
    assert dashboard.FILE.read_text() == dashboard.text()


def test_the_dashboard_is_one_that_grafana_reads(dashboard: ModuleType) -> None:
    """Panels have numbers of their own, do not overlap, and say what they answer."""
    made = dashboard.dashboard()
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == len({panel["title"] for panel in panels})
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert all(panel["description"] and panel["targets"] for panel in panels)
    assert [each["name"] for each in made["templating"]["list"]] == ["datasource", "client", "model"]


def test_the_page_of_metrics_is_the_one_of_the_code(scripts: None) -> None:
    """`python scripts/metrics.py --write` brings it up to date."""
    metrics = import_module("metrics")
    page = metrics.PAGE.read_text()
    assert page == metrics.with_tables(page)
    assert all(f"`{family.shown}`" in page for family in FAMILIES.values())
    assert metrics.with_tables(page.replace("| counter |", "| gauge |")) == page


def test_every_label_is_explained() -> None:
    """And none that no family has."""
    assert set(LABELS) == {label for family in FAMILIES.values() for label in family.labels}


def test_every_alert_has_its_section_in_the_runbook() -> None:
    """Under the name that its link names; and no section is left of one that is gone."""
    sections = re.findall(r"^## (\S+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    links = re.findall(r"runbook_url: docs/runbook\.md#(\S+)", ALERTS)

    assert sections == ALERTED
    assert links == [name.lower() for name in ALERTED]
