"""Whether and when a client tries again, without sockets."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from fastcollab import errors
from fastcollab.client import ReconnectPolicy
from fastcollab.client.reconnection import HOLDS, Reconnection, as_closed, may_pass, retry_after
from fastcollab.errors import CloseCode, ConnectionClosed, HandshakeRefused

LOST = ConnectionClosed(1006)
PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
CLOSE_CODES = re.compile(r"^\| ((?:1\d{3}|4\d{3})[\d, ]*) \|.*\| (yes|no|with another token) \|$", re.MULTILINE)


class Longest(Random):
    """Draws the upper end of each interval."""

    def uniform(self, a: float, b: float) -> float:
        return b


def reconnection(*, fresh_tokens: bool = True, random: Random | None = None, **policy: float) -> Reconnection:
    return Reconnection(
        ReconnectPolicy(**policy),  # type: ignore[arg-type]
        fresh_tokens=fresh_tokens,
        random=random or Longest(),
    )


def test_the_table_of_the_protocol_is_the_one_in_force_X3() -> None:
    rows = CLOSE_CODES.findall(PROTOCOL.read_text(encoding="utf-8"))
    table = {int(code): answer for codes, answer in rows for code in codes.split(",")}
    assert set(table) == {code.value for code in CloseCode}
    for code, answer in table.items():
        failure = ConnectionClosed(code)
        assert may_pass(failure, fresh_tokens=False) is (answer == "yes"), code
        assert may_pass(failure, fresh_tokens=True) is (answer != "no"), code


@pytest.mark.parametrize(("code", "again"), [(1005, True), (1012, True), (1013, True), (3000, True), (4999, False)])
def test_codes_that_are_not_in_the_table_X3(code: int, again: bool) -> None:
    assert may_pass(ConnectionClosed(code), fresh_tokens=True) is again


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (HandshakeRefused(503, ""), True),
        (HandshakeRefused(502, ""), True),
        (HandshakeRefused(429, ""), True),
        (HandshakeRefused(404, ""), False),
        (HandshakeRefused(403, ""), False),
        (HandshakeRefused(101, "subprotocol"), False),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (LookupError("no token to be had"), True),
        (errors.ServiceUnavailable(""), True),
        (errors.GatewayStopping(""), True),
        (errors.RateLimited(""), True),
        (errors.InternalError(""), True),
        (errors.ConnectionLimit(""), False),
        (errors.NoPermission(""), False),
    ],
)
def test_what_may_pass(failure: Exception, again: bool) -> None:
    assert may_pass(failure, fresh_tokens=False) is again


def test_a_token_that_is_refused_is_replaced_if_there_is_another() -> None:
    refused = errors.InvalidToken("expired")
    assert may_pass(refused, fresh_tokens=True)
    assert not may_pass(refused, fresh_tokens=False)
    assert reconnection(fresh_tokens=False).failed(refused, 0.0) is None


def test_delays_double_up_to_the_cap() -> None:
    trying = reconnection(base=0.25, cap=30)
    assert [trying.failed(LOST, 0.0) for _ in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [trying.failed(TimeoutError(), 0.0) for _ in range(2000)] == [30] * 2000


def test_the_jitter_is_full() -> None:
    trying = reconnection(base=1, cap=8, random=Random(7))
    for _ in range(4):
        trying.failed(LOST, 0.0)
    delays = [trying.failed(LOST, 0.0) or 0.0 for _ in range(2000)]
    assert 0 <= min(delays) < 0.1
    assert 7.9 < max(delays) <= 8
    assert sum(delays) / len(delays) == pytest.approx(4, rel=0.1)


def test_delays_start_small_again_after_a_connection_that_held() -> None:
    trying = reconnection(base=1)
    assert [trying.failed(LOST, 0.0) for _ in range(3)] == [1, 2, 4]
    trying.connected(10.0)
    assert trying.failed(LOST, 10.0 + HOLDS / 2) == 8
    trying.connected(20.0)
    assert trying.failed(LOST, 20.0 + HOLDS) == 1


def test_what_the_gateway_asks_for_is_waited_first() -> None:
    """H6, L1"""
    refused = HandshakeRefused(503, "full", retry_after=30)
    limited = errors.RateLimited("too many", retryAfterMs=1500)
    closed = ConnectionClosed(4502)
    closed.retry_after = 2.5
    assert [retry_after(failure) for failure in (refused, limited, closed, TimeoutError())] == [30, 1.5, 2.5, 0]
    assert reconnection(base=1).failed(refused, 0.0) == 31


def test_attempts_are_bounded() -> None:
    trying = reconnection(max_attempts=2)
    assert [trying.failed(LOST, 0.0) is None for _ in range(3)] == [False, False, True]
    assert reconnection(max_attempts=0).failed(LOST, 0.0) is None


def test_the_time_of_trying_is_bounded_from_the_loss_on() -> None:
    trying = reconnection(base=1, give_up_after=10)
    trying.connected(0.0)
    assert trying.failed(LOST, 100.0) == 1
    assert trying.failed(TimeoutError(), 105.0) == 2
    assert trying.failed(TimeoutError(), 107.0) is None


def test_what_is_told_when_it_is_given_up() -> None:
    assert as_closed(LOST) is LOST
    assert as_closed(errors.InvalidToken("expired")).code == 4101
    told = as_closed(ConnectionRefusedError("nobody there"))
    assert (told.code, told.reason) == (1006, "nobody there")
    assert as_closed(TimeoutError()).reason == "TimeoutError"
