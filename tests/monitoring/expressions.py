"""The expressions of PromQL in deploy/, and the metrics that they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "fastcollab.json"

#: Names of metrics: what is followed by no parenthesis, and stands in no braces or quotes.
_BRACES = re.compile(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"|(?:by|without|on|ignoring) \([^)]*\)")
_NAME = re.compile(r"\b(?!(?:or|and|unless|bool)\b)[a-z_]+\b(?! *\()")
_THRESHOLD = re.compile(r" (?:==|>|<) [0-9.]+$")
_LABELS = re.compile(r"(\w+)\{([^}]*)\}")


class Panel(NamedTuple):
    """One query of a panel of the dashboard."""

    title: str
    expression: str

    @property
    def query(self) -> str:
        """The expression with its variables replaced, for all instances."""
        return self.expression.replace("$instance", ".*").replace("$__rate_interval", "30s")


class Alert(NamedTuple):
    name: str
    expression: str

    @property
    def measured(self) -> str:
        """What is compared with the threshold."""
        measured, count = _THRESHOLD.subn("", self.expression)
        assert count == 1, f"{self.name} compares with no threshold"
        return measured


def panels() -> Iterator[Panel]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield Panel(panel["title"], target["expr"])


def dashboard() -> dict[str, Any]:
    loaded = json.loads(DASHBOARD.read_text())
    assert isinstance(loaded, dict)
    return loaded


def alerts() -> Iterator[Alert]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield Alert(rule["alert"], rule["expr"])


def names_in(expression: str) -> set[str]:
    return set(_NAME.findall(_BRACES.sub("", expression)))


def labels_in(expression: str) -> Iterator[tuple[str, str]]:
    """Each metric with each label that is asked of it."""
    for name, matchers in _LABELS.findall(expression):
        for label in re.findall(r"(\w+)(?:=|!=|=~)\"", matchers):
            yield name, label
