"""Dashboard and alerts ask for metrics that there are, by labels that these have."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.monitoring.expressions import ALERTS, DEPLOY, alerts, dashboard, labels_in, names_in, panels

from fastcollab.server import metrics
from fastcollab.serving import pooled_metrics

FAMILIES = (*metrics.FAMILIES, *pooled_metrics.FAMILIES)
#: What Prometheus has of every target, and every process of itself.
OTHERS = {
    "up",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
}
#: Labels that Prometheus adds, and the supervisor.
ADDED = {"instance", "job", "worker"}
#: What alerts are tried on.
CASES = Path(__file__).with_name("alerts_test.yaml")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian's package prometheus)"
)


def samples() -> Iterator[tuple[str, set[str]]]:
    """The names under which there are samples, with their labels."""
    for family in FAMILIES:
        if family.kind == "histogram":
            yield f"{family.name}_bucket", {*family.labels, "le"}
            yield f"{family.name}_count", {*family.labels}
            yield f"{family.name}_sum", {*family.labels}
        else:
            yield family.name, {*family.labels}


SAMPLES = dict(samples())
EXPRESSIONS = [each.expression for each in (*panels(), *alerts())]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_names_and_labels_exist(expression: str) -> None:
    names = names_in(expression)
    assert names
    assert names <= SAMPLES.keys() | OTHERS
    for name, label in labels_in(expression):
        assert label in SAMPLES.get(name, set()) | ADDED, f"{name} has no {label}"


def test_another_name_would_be_found() -> None:
    assert names_in('sum by (le) (rate(fastcollab_x_bucket{a="b"}[5m])) / on (worker) up > 0.5') == {
        "fastcollab_x_bucket",
        "up",
    }


def test_the_dashboard_shows_every_metric() -> None:
    shown = {name for panel in panels() for name in names_in(panel.expression)}
    for family in FAMILIES:
        assert any(name == family.name or name.startswith(f"{family.name}_") for name in shown), family.name


def test_panels_have_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_each_alert_is_told_what_to_do_about() -> None:
    documentation = (DEPLOY.parent / "docs" / "metrics.md").read_text()
    for alert in alerts():
        assert f"| `{alert.name}` |" in documentation


def test_each_alert_is_tried_on_what_it_is_for_and_on_what_it_is_not() -> None:
    cases = yaml.safe_load(CASES.read_text())["tests"]
    assert [case["name"] for case in cases] == [alert.name for alert in alerts()]
    for case, alert in zip(cases, alerts(), strict=True):
        given = " ".join(series["series"] for series in case["input_series"])
        assert names_in(alert.expression) == names_in(given)
        tried = case["alert_rule_test"]
        assert {each["alertname"] for each in tried} == {alert.name}
        assert {bool(each["exp_alerts"]) for each in tried} == {False, True}


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=30)


@needs_promtool
def test_promtool_takes_them() -> None:
    for arguments in (("rules", ALERTS), ("config", ALERTS.parent / "prometheus.yaml")):
        checked = promtool("check", *arguments)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_alerts_are_there_when_they_should_be_and_not_otherwise() -> None:
    tried = promtool("test", "rules", CASES)
    assert tried.returncode == 0, tried.stdout + tried.stderr


@needs_promtool
@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(r" (==|>|<) [0-9.]+\n", r"\n", id="no threshold: always there"),
        pytest.param(r" > (?!0\n)", r" > 1000 * ", id="a higher threshold: never there"),
        pytest.param(r"\n +for: .*", "", id="no pause: too early"),
    ],
)
def test_other_alerts_would_be_found(old: str, new: str, tmp_path: Path) -> None:
    head, *rules = re.split(r"(?=- alert: )", ALERTS.read_text())
    changed = [re.sub(old, new, rule) for rule in rules]
    (tmp_path / "alerts.yaml").write_text(head + "".join(changed))
    cases = tmp_path / "alerts_test.yaml"
    cases.write_text(CASES.read_text().replace("../../deploy/prometheus/alerts.yaml", "alerts.yaml"))
    tried = promtool("test", "rules", cases)
    assert tried.returncode == 1
    expected = {alert.name for alert, before, after in zip(alerts(), rules, changed, strict=True) if before != after}
    assert len(expected) > len(rules) / 2
    assert set(re.findall(r"alertname: (\w+), time", tried.stdout + tried.stderr)) == expected
