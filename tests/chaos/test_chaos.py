"""A cluster under faults, in short: everybody's history is looked at when all is over. `make chaos` is the long form.

The sites run side by side, since each waits most of the time.
"""

from __future__ import annotations

import asyncio
import os

import pytest
from tests.chaos.scenarios import SHORT
from tests.chaos.trial import Verdict, run

SEED = int(os.environ.get("CHAOS_SEED", "1"))
#: Seconds after which a silent gateway is taken for dead, and for which a long fault lasts.
LEASE = 3.0
LONG = 4.0

Verdicts = dict[str, Verdict | BaseException]


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """Those of all scenarios that were asked for."""
    asked = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    scenarios = [scenario for scenario in SHORT if scenario.name in asked]

    async def all_at_once() -> Verdicts:
        runs = [
            run(scenario, SEED, tmp_path_factory.mktemp(scenario.name), lease=LEASE, long=LONG)
            for scenario in scenarios
        ]
        found = await asyncio.gather(*runs, return_exceptions=True)
        return dict(zip((scenario.name for scenario in scenarios), found, strict=True))

    return asyncio.run(all_at_once())


@pytest.mark.parametrize("name", [scenario.name for scenario in SHORT])
def test_a_cluster_survives(name: str, verdicts: Verdicts) -> None:
    """OT3, OT5, R7: nothing acknowledged is lost or done twice, all copies are equal, and nobody stays who has gone."""
    verdict = verdicts[name]
    if isinstance(verdict, BaseException):
        raise verdict
    print(verdict)
    assert not verdict.findings
    assert verdict.saved > 100
    assert verdict.visits > 0
