"""Dashboard and alerts ask for metrics that there are, by labels that these have."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest
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


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian's package prometheus)")
def test_promtool_takes_them() -> None:
    for arguments in (("rules", str(ALERTS)), ("config", str(ALERTS.parent / "prometheus.yaml"))):
        checked = subprocess.run(["promtool", "check", *arguments], capture_output=True, text=True, timeout=30)
        assert checked.returncode == 0, checked.stdout + checked.stderr
