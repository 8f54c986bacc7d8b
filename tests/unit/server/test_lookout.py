"""What the log is told of: connections of concern, and calls that take long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fastcollab.core.limits import SECOND
from fastcollab.server._listener import Connection
from fastcollab.server.lookout import Lookout
from fastcollab.server.tallies import Tallies


def connection(user: str | None, *, behind_since: int = 0, refusals: float = 0, errors: float = 0) -> Connection:
    """One that has shown these signs since then."""
    stand_in = SimpleNamespace(
        address="192.0.2.7",
        behind_since=behind_since,
        latency=None,
        outbox=SimpleNamespace(backlog=70_000, skipped=12),
        rates=(0.0, 0.0, 0.0, errors),
        refused={"messages": 5},
        session=SimpleNamespace(
            connection_id=f"of {user}", identity=SimpleNamespace(user_id=user), registered=user is not None
        ),
        setbacks=(0.0, refusals),
        troubled=bool(behind_since or refusals or errors),
    )
    return cast(Connection, stand_in)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Any:
    """What has been logged since the last call: level, text and fields of each."""
    caplog.set_level("INFO")

    def take() -> list[tuple[str, str, dict[str, Any]]]:
        records = [(record.levelname, record.message, cast(Any, record).fields) for record in caplog.records]
        caplog.clear()
        return records

    return take


def test_who_is_of_concern_is_named_once_and_once_it_is_over(told: Any) -> None:
    lookout = Lookout(Tallies())
    slow = connection("ada", behind_since=1 * SECOND)
    for second in range(3, 20):
        lookout.look([connection("ben"), slow], second * SECOND)
    ada = {"concern": "slow", "connection_id": "of ada", "user_id": "ada", "address": "192.0.2.7"}
    evidence = {"behind_seconds": 5.0, "waiting_bytes": 70_000, "skipped": 12}
    assert told() == [("WARNING", "a connection is of concern", ada | evidence)]
    for second in range(20, 40):
        lookout.look([connection("ben")], second * SECOND)
    assert told() == [("INFO", "a connection is of no concern any more", ada | {"seconds": 16.0})]


def test_each_concern_has_its_evidence(told: Any) -> None:
    lookout = Lookout(Tallies())
    connections = [connection("eve", refusals=600), connection(None, errors=45.04)]
    for second in range(5):
        lookout.look(connections, second * SECOND)
    abusive, failing = (fields for _, _, fields in told())
    assert (abusive["concern"], abusive["user_id"], abusive["refusals"]) == ("abusive", "eve", {"messages": 5})
    assert (failing["concern"], failing["user_id"], failing["errors_per_minute"]) == ("failing", None, 45.0)


def test_a_redis_that_is_slow_is_told_by_its_lane(told: Any) -> None:
    tallies = Tallies()
    lookout = Lookout(tallies)
    for second in range(30):
        tallies.redis_called("commits", 0.25 if 5 <= second < 10 else 0.002, False)
        tallies.redis_called("queries", 0.002, False)
        tallies.store_seconds["append"].observe(0.25)  # where Redis is the store, it is the culprit
        lookout.look([], second * SECOND)
    assert told() == [
        ("WARNING", "Redis is slow", {"calls": "commits", "mean_ms": 250}),
        ("INFO", "Redis is as quick as before", {"calls": "commits", "seconds": 4.0}),
    ]


def test_a_store_that_is_slow_is_told_by_its_calls(told: Any) -> None:
    tallies = Tallies()
    lookout = Lookout(tallies)
    for second in range(10):
        tallies.store_seconds["append"].observe(0.15)
        lookout.look([], second * SECOND)
    assert told() == [("WARNING", "the store is slow", {"calls": "append", "mean_ms": 150})]
