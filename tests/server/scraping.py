"""What a Prometheus would make of `/metrics`."""

from __future__ import annotations

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

#: By the name of a sample, and its labels as text: `errors_total{code="1001"}`.
Samples = dict[str, float]


def samples_of(exposition: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found, f"{name} is there twice"
            found[name] = sample.value
    return found


async def scrape(url: str | None) -> Samples:
    """What the operations port at this address tells."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as response:
        assert response.status == 200
        return samples_of(await response.text())


def changes(before: Samples, after: Samples, prefix: str = "fastcollab_") -> Samples:
    """What has changed of the samples whose names begin so, without that beginning, but for histograms' buckets."""
    return {
        name.removeprefix(prefix): value - before.get(name, 0)
        for name, value in after.items()
        if name.startswith(prefix) and "_bucket" not in name and value != before.get(name, 0)
    }
