"""The metrics of all workers as those of one gateway: each series with a label more, which says whose it is.

They are not added up. Sums are what Prometheus is for, and it cannot take them apart again: a worker that stands still
would be hidden among the others, and counters that begin anew with each process would make sums go back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.metrics_core import Metric

from fastcollab.server.metrics import Family

#: Metrics in a form that is also one in JSON.
Dumped = list[list[Any]]


@dataclass(frozen=True, slots=True)
class Workforce:
    """How many workers there are, by what they do, and how often one had to be started again."""

    serving: int
    silent: int
    starting: int
    restarts: int


FAMILIES: tuple[Family[Workforce], ...] = (
    Family(
        "gauge",
        "fastcollab_workers",
        "Workers, with `server.workers` above 1: serving, silent (they did not answer just now), or starting.",
        lambda force: {
            ("serving",): force.serving,
            ("silent",): force.silent,
            ("starting",): force.starting,
        },
        ("state",),
    ),
    Family(
        "counter",
        "fastcollab_worker_restarts_total",
        "How often a worker has ended and was started again, with `server.workers` above 1.",
        lambda force: {(): force.restarts},
    ),
)


def dump(metrics: Iterable[Metric]) -> Dumped:
    return [[metric.name, metric.documentation, metric.type, _samples(metric)] for metric in metrics]


def _samples(metric: Metric) -> list[list[Any]]:
    return [[sample.name, sample.labels, sample.value] for sample in metric.samples]


def pool(dumped: Mapping[str, Dumped]) -> list[Metric]:
    """Those of several processes, by what they are called."""
    pooled: dict[str, Metric] = {}
    for worker, metrics in dumped.items():
        for name, documentation, kind, samples in metrics:
            metric = pooled.setdefault(name, Metric(name, documentation, kind))
            for sample, labels, value in samples:
                metric.add_sample(sample, {"worker": worker, **labels}, value)
    return list(pooled.values())
