"""The metrics of several processes as those of one."""

from __future__ import annotations

import json

from prometheus_client import CollectorRegistry, Counter, Histogram
from tests.server.scraping import samples_of

from fastcollab.server.operations import expose
from fastcollab.serving.pooled_metrics import FAMILIES, Workforce, dump, pool


def process(count: int, code: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("errors", "Errors.", ["code"], registry=registry).labels(code).inc(count)
    Histogram("wait_seconds", "Waits.", buckets=(1, 2), registry=registry).observe(1.5)
    return registry


def test_each_series_says_whose_it_is() -> None:
    processes = {"1": process(3, "1"), "2": process(4, "2")}
    dumped = {name: json.loads(json.dumps(dump(each.collect()))) for name, each in processes.items()}
    text, _ = expose(pool(dumped), "")
    samples = samples_of(text.decode())
    assert samples['errors_total{code="1",worker="1"}'] == 3
    assert samples['errors_total{code="2",worker="2"}'] == 4
    assert [samples[f'wait_seconds_bucket{{le="{le}",worker="2"}}'] for le in ("1.0", "2.0", "+Inf")] == [0, 1, 1]
    assert text.decode().count("# TYPE errors_total counter") == 1


def test_of_nobody_there_is_nothing() -> None:
    assert pool({}) == []


def test_the_workforce_is_told() -> None:
    force = Workforce(serving=2, silent=1, starting=3, restarts=4)
    text, _ = expose([family.tell(force) for family in FAMILIES], "application/openmetrics-text; version=1.0.0")
    lines = text.decode().splitlines()
    assert 'fastcollab_workers{state="silent"} 1.0' in lines
    assert "fastcollab_worker_restarts_total 4.0" in lines
