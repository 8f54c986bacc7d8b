"""Which room frames belong to, in both directions (R3)."""

from __future__ import annotations

import pytest

from fastcollab.client.active import ActiveRoom


@pytest.fixture
def active() -> ActiveRoom:
    """Joined first ``a``, then ``b``."""
    active = ActiveRoom()
    active.becomes_uncertain()
    active.joined("a", more_to_come=False)
    active.becomes_uncertain()
    active.joined("b", more_to_come=False)
    return active


def test_the_room_joined_last_is_active(active: ActiveRoom) -> None:
    assert (active.for_sending, active.for_received) == ("b", "b")
    assert "a" in active
    assert "c" not in active


def test_an_activation_counts_at_once_for_sending_and_when_acknowledged_for_receiving(active: ActiveRoom) -> None:
    active.activation_sent("a", "id")
    assert (active.for_sending, active.for_received) == ("a", "b")
    assert active.activation_acknowledged("id")
    assert (active.for_sending, active.for_received) == ("a", "a")
    assert not active.activation_acknowledged("id")


def test_a_refused_activation_leaves_it_open(active: ActiveRoom) -> None:
    active.activation_sent("a", "id")
    active.activation_refused("another")
    assert active.for_sending == "a"
    active.activation_refused("id")
    assert (active.for_sending, active.for_received) == (None, "b")


def test_nothing_is_certain_while_a_join_may_fail(active: ActiveRoom) -> None:
    active.becomes_uncertain()
    assert (active.for_sending, active.for_received) == (None, "b")


def test_an_activation_overtakes_the_join_before_it(active: ActiveRoom) -> None:
    active.becomes_uncertain()  # join_room c
    active.activation_sent("a", "id")
    active.joined("c", more_to_come=False)
    assert (active.for_sending, active.for_received) == ("a", "c")
    active.activation_acknowledged("id")
    assert active.for_received == "a"


def test_of_several_joins_the_last_one_counts(active: ActiveRoom) -> None:
    active.becomes_uncertain()  # join_room c, join_room d
    active.joined("c", more_to_come=True)
    assert (active.for_sending, active.for_received) == (None, "c")
    active.joined("d", more_to_come=False)
    assert (active.for_sending, active.for_received) == ("d", "d")


def test_after_leaving_it_is_the_one_before(active: ActiveRoom) -> None:
    active.left("b")
    assert (active.for_sending, active.for_received) == (None, "a")
    active.activation_sent("a", "id")
    active.left("a")
    assert (active.for_sending, active.for_received) == (None, None)
    assert active.activation_acknowledged("id")
    assert active.for_received is None


def test_a_new_connection_knows_nothing_of_the_old_one(active: ActiveRoom) -> None:
    active.activation_sent("a", "id")
    active.forget()
    assert (active.for_sending, active.for_received) == (None, None)
    assert "a" not in active
    assert not active.activation_acknowledged("id")
