"""The client's half of OT, step by step; ``tests/property/test_client_document.py`` tries it at large."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from fastcollab import ot
from fastcollab.client import ClientDocument
from fastcollab.client.document import Submission, Synchronization
from fastcollab.errors import FastcollabError, VersionGap

TEXT = ot.types["text"]


def numbered_ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"id {next(numbers)}"


@pytest.fixture
def document() -> ClientDocument:
    return ClientDocument(TEXT, "hello", 7, "epoch", new_id=numbered_ids())


def test_a_new_document_is_synchronized(document: ClientDocument) -> None:
    assert document.state is Synchronization.SYNCHRONIZED
    assert document.in_flight is None
    assert document.pending == ()
    assert document.content == document.confirmed == "hello"


def test_one_operation_is_in_flight_and_the_rest_is_composed(document: ClientDocument) -> None:
    """OT4"""
    assert document.edit([5, "!"]) == Submission("id 1", [5, "!"], 7)
    assert document.state is Synchronization.AWAITING
    assert document.edit([6, "?"]) is None
    assert document.edit([7, "?"]) is None
    assert document.state is Synchronization.AWAITING_WITH_BUFFER
    assert document.content == "hello!??"
    assert document.confirmed == "hello"
    assert document.acknowledged(8) == Submission("id 2", [6, "??"], 8)
    assert document.confirmed == "hello!"
    assert document.state is Synchronization.AWAITING
    assert document.acknowledged(9) is None
    assert document.state is Synchronization.SYNCHRONIZED
    assert document.content == document.confirmed == "hello!??"


def test_what_is_sent_is_in_normal_form(document: ClientDocument) -> None:
    assert document.edit([0, "a", "b"]) == Submission("id 1", ["ab"], 7)
    document.edit([0, "c", 3])
    assert document.pending == (["ab"], ["c"])


def test_a_remote_operation_changes_a_synchronized_document(document: ClientDocument) -> None:
    assert document.remote([5, " world"], 8) == [5, " world"]
    assert document.content == document.confirmed == "hello world"
    assert document.version == 8


def test_own_pending_text_goes_first_at_the_same_place(document: ClientDocument) -> None:
    """OT2"""
    document.edit([5, "A"])
    document.edit([6, "B"])
    assert document.remote([5, "x"], 8) == [7, "x"]
    assert document.content == "helloABx"
    assert document.confirmed == "hellox"
    assert document.in_flight == Submission("id 1", [5, "A"], 8)


def test_what_is_resent_is_what_the_gateway_would_have_made_of_it(document: ClientDocument) -> None:
    sent = document.edit([5, "!"])
    assert sent is not None
    document.remote(["oh, "], 8)
    assert document.in_flight == Submission(sent.message_id, [9, "!"], 8)
    assert TEXT.transform(sent.operation, ["oh, "], "left") == [9, "!"]


@pytest.mark.parametrize("version", [5, 6, 7, 9, 100])
def test_a_version_that_is_not_the_next_is_refused(document: ClientDocument, version: int) -> None:
    """OT3"""
    document.edit([5, "!"])
    with pytest.raises(VersionGap) as caught:
        document.remote([5, "x"], version)
    assert (caught.value.current, caught.value.received) == (7, version)
    with pytest.raises(VersionGap):
        document.acknowledged(version)
    assert document.content == "hello!"
    assert document.version == 7
    assert document.state is Synchronization.AWAITING


def test_an_operation_that_does_not_fit_changes_nothing(document: ClientDocument) -> None:
    with pytest.raises(ot.OperationError):
        document.edit([9, "!"])
    assert document.state is Synchronization.SYNCHRONIZED
    document.edit([5, "!"])
    with pytest.raises(ot.OperationError):
        document.edit([9, "!"])
    assert document.state is Synchronization.AWAITING
    assert document.content == "hello!"
    with pytest.raises(ot.OperationError):
        document.remote([9, "!"], 8)
    assert (document.content, document.version) == ("hello!", 7)


def test_nothing_can_be_acknowledged_or_refused_that_was_not_sent(document: ClientDocument) -> None:
    with pytest.raises(FastcollabError, match="in flight"):
        document.acknowledged(8)
    with pytest.raises(FastcollabError, match="in flight"):
        document.refused()


def test_a_refusal_undoes_the_operation_and_keeps_what_followed(document: ClientDocument) -> None:
    document.edit([5, " world"])
    document.edit([3, {"d": 2}, 6, "!"])
    assert document.content == "hel world!"
    refusal = document.refused()
    assert refusal.operation == [5, " world"]
    assert TEXT.apply("hel world!", refusal.change) == document.content == "hel!"
    assert refusal.next == Submission("id 2", [3, {"d": 2}, "!"], 7)
    assert document.state is Synchronization.AWAITING


def test_a_refusal_of_a_deletion_brings_the_text_back(document: ClientDocument) -> None:
    document.edit([1, {"d": 3}])
    document.remote(["oh, "], 8)
    assert document.content == "oh, ho"
    refusal = document.refused()
    assert document.content == document.confirmed == "oh, hello"
    assert refusal.next is None
    assert document.state is Synchronization.SYNCHRONIZED


def test_the_same_version_in_the_same_epoch_keeps_what_is_pending(document: ClientDocument) -> None:
    document.edit([5, "!"])
    document.edit([6, "?"])
    assert document.resync("HELLO", 7, "epoch") == ()
    assert document.content == "HELLO!?"
    assert document.in_flight == Submission("id 1", [5, "!"], 7)


@pytest.mark.parametrize(
    ("data", "version", "epoch"),
    [
        ("another life", 7, "another epoch"),
        ("a later state", 9, "epoch"),
        ("an earlier state", 3, "epoch"),
        ("hi", 7, "epoch"),  # what is pending does not fit
    ],
)
def test_a_state_that_does_not_continue_hands_back_what_is_pending(
    document: ClientDocument, data: str, version: int, epoch: str
) -> None:
    """OT9: nothing is silently dropped."""
    document.edit([5, "!"])
    document.edit([6, "?"])
    assert document.resync(data, version, epoch) == ([5, "!"], [6, "?"])
    assert document.content == document.confirmed == data
    assert (document.version, document.epoch) == (version, epoch)
    assert document.state is Synchronization.SYNCHRONIZED
    assert document.edit([1, "x"]) == Submission("id 2", [1, "x"], version)


def test_positions_are_told_in_the_version_that_others_know(document: ClientDocument) -> None:
    document.edit(["oh, "])
    document.edit([4, {"d": 1}, 4, "!"])
    assert document.content == "oh, ello!"
    assert [document.confirmed_position(position) for position in (0, 4, 5, 8)] == [0, 0, 2, 5]
    document.acknowledged(8)
    assert document.confirmed_position(4) == 4


def test_representation_names_the_state(document: ClientDocument) -> None:
    assert repr(document) == "<ClientDocument text version 7, synchronized>"


def test_sums_are_those_of_the_gateway_once_they_are_acknowledged() -> None:
    """What was added part by part here is added at once there, and rounds otherwise."""
    json1 = ot.types["json1"]
    document = ClientDocument(json1, {"n": 0.1}, 0, "e")
    first = document.edit(["n", {"ena": 1}])
    assert first is not None
    for _ in range(2):
        document.edit(["n", {"ena": 0.1}])
    at_gateway = json1.apply({"n": 0.1}, first.operation)
    second = document.acknowledged(1)
    assert second is not None
    at_gateway = json1.apply(at_gateway, second.operation)
    assert document.content != at_gateway
    document.acknowledged(2)
    assert document.content == document.confirmed == at_gateway
