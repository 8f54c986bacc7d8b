"""What `docs/troubleshooting.md` walks through, on real processes: a Redis that is slow, a client that does not read
and one that floods. Metrics, log, admin API and `fastcollab top` name each of them, and nobody who does nothing wrong.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from tests.culprits.scene import ABUSIVE, PEOPLE, REDIS_DELAY, SLOW, Scene, open_scene
from tests.server.admin_client import KEY, Api
from tests.server.receiver import eventually
from tests.server.scraping import Samples, changes, scrape

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Findings:
    """What there was to be seen while all three did their worst: of metrics, those before and what has changed."""

    before: Samples
    after: Samples
    log: list[dict[str, Any]]
    activity: dict[str, Any]
    top: str

    def mean(self, name: str) -> float:
        """That of a histogram (s), of what came since the beginning."""
        changed = changes(self.before, self.after)
        family, _, labels = name.partition("{")
        labels = labels and "{" + labels
        return changed[f"{family}_sum{labels}"] / changed[f"{family}_count{labels}"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def findings(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Findings]:
    async with open_scene(tmp_path_factory.mktemp("scene")) as scene:
        before = await scrape(scene.operations_url)
        async with scene.slow_client(), scene.abusive_client(), scene.slow_redis():
            await eventually(lambda: _all_are_named(scene), 20)
            async with Api(scene) as api:
                activity = await api.get("/activity")
            yield Findings(before, await scrape(scene.operations_url), scene.logged(), activity, await _top(scene))


async def _all_are_named(scene: Scene) -> bool:
    events = [entry["event"] for entry in scene.logged()]
    return "Redis is slow" in events and events.count("a connection is of concern") >= 2


async def _top(scene: Scene) -> str:
    """What `fastcollab top --once` prints."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "fastcollab", "top", "--once", "--url", scene.operations_url],
        env={**os.environ, "FASTCOLLAB_OPS__API_KEYS": f"tests:{KEY}", "COLUMNS": "140"},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the slow Redis ---------------------------------------------------------------------------------------------------


async def test_metrics_show_that_it_is_redis(findings: Findings) -> None:
    there_and_back = 2 * REDIS_DELAY
    assert findings.mean('redis_seconds{lane="commits"}') > 0.8 * there_and_back
    assert findings.mean("commit_seconds") > 0.8 * there_and_back
    # The gateway itself has time, and cursors do not wait for Redis.
    assert findings.mean("event_loop_lag_seconds") < 0.05
    assert findings.mean("fanout_seconds") < 0.05


async def test_the_log_says_that_redis_is_slow(findings: Findings) -> None:
    slow = [entry for entry in findings.log if entry["event"] == "Redis is slow"]
    assert "commits" in {entry["calls"] for entry in slow}
    assert all(entry["level"] == "warning" and entry["mean_ms"] > 100 for entry in slow)


async def test_the_api_shows_which_latency_it_is(findings: Findings) -> None:
    latencies = findings.activity["latencies"]
    assert latencies["redis.commits"]["p99"] > 1000 * REDIS_DELAY
    assert latencies["fanout"]["p99"] < 100


# --- the slow client --------------------------------------------------------------------------------------------------


async def test_metrics_count_one_that_does_not_read(findings: Findings) -> None:
    assert findings.before["fastcollab_slow_connections"] == 0
    assert findings.after["fastcollab_slow_connections"] == 1


# --- the abusive client -----------------------------------------------------------------------------------------------


async def test_metrics_show_which_limit_refuses(findings: Findings) -> None:
    changed = changes(findings.before, findings.after)
    refused = {name: count for name, count in changed.items() if name.startswith("limit_exceeded_total")}
    assert set(refused) == {'limit_exceeded_total{limit="messages",outcome="refused"}'}
    assert changed['errors_total{code="1003"}'] > 100


# --- who it is --------------------------------------------------------------------------------------------------------


async def test_the_log_names_both_once_and_nobody_else(findings: Findings) -> None:
    named = [entry for entry in findings.log if entry["event"] == "a connection is of concern"]
    assert sorted((entry["user_id"], entry["concern"]) for entry in named) == [(ABUSIVE, "abusive"), (SLOW, "slow")]
    by_user = {entry["user_id"]: entry for entry in named}
    assert by_user[ABUSIVE]["refusals"]["messages"] > 0
    assert by_user[SLOW]["waiting_bytes"] > 0
    ids = {each["userId"]: each["connectionId"] for each in findings.activity["connections"]}
    assert {user: entry["connection_id"] for user, entry in by_user.items()} == {
        user: ids[user] for user in (ABUSIVE, SLOW)
    }


async def test_the_api_names_both_and_nobody_else(findings: Findings) -> None:
    concerns = {each["userId"]: each.get("concern") for each in findings.activity["connections"]}
    assert concerns == {SLOW: "slow", ABUSIVE: "abusive", **dict.fromkeys(PEOPLE)}


async def test_top_names_both_and_nobody_else(findings: Findings) -> None:
    lines = findings.top.splitlines()
    for user, concern in ((SLOW, "slow"), (ABUSIVE, "abusive")):
        assert any(user in line and concern in line for line in lines), findings.top
    for user in PEOPLE:
        assert not any(user in line and ("slow" in line or "abusive" in line) for line in lines), findings.top
