"""Undo step by step; ``tests/property/test_client_undo.py`` tries it at large."""

from __future__ import annotations

from typing import Any

import pytest

from fastcollab import ot
from fastcollab.client.undo import UndoHistory

TEXT = ot.types["text"]


class Writer:
    def __init__(self, content: str, **options: Any) -> None:
        self.content = content
        self.history = UndoHistory(TEXT, **options)

    def edit(self, operation: list[Any], now: float) -> None:
        self.history.edited(operation, self.content, now)
        self.content = TEXT.apply(self.content, operation)

    def see(self, change: list[Any]) -> None:
        self.history.changed(change)
        self.content = TEXT.apply(self.content, change)

    def refuse(self, change: list[Any]) -> None:
        self.history.refused(change, self.content)
        self.content = TEXT.apply(self.content, change)

    def undo(self) -> bool:
        operation = self.history.undo(self.content)
        self.content = TEXT.apply(self.content, operation or [])
        return operation is not None

    def redo(self) -> bool:
        operation = self.history.redo(self.content)
        self.content = TEXT.apply(self.content, operation or [])
        return operation is not None


@pytest.fixture
def writer() -> Writer:
    return Writer("hello")


def test_nothing_to_undo(writer: Writer) -> None:
    assert not writer.history.can_undo
    assert not writer.history.can_redo
    assert not writer.undo()
    assert not writer.redo()
    writer.edit([], 0.0)
    assert not writer.history.can_undo


def test_what_is_typed_quickly_is_one_step(writer: Writer) -> None:
    for number, letter in enumerate(" you"):
        writer.edit([len(writer.content), letter], number * 0.4)
    writer.edit([9, "!"], 3 * 0.4 + 0.5)
    assert writer.undo()
    assert writer.content == "hello you"
    assert writer.undo()
    assert writer.content == "hello"
    assert not writer.undo()
    assert writer.redo()
    assert writer.content == "hello you"


def test_an_undo_ends_the_step(writer: Writer) -> None:
    writer.edit([5, "!"], 0.0)
    writer.edit([6, "?"], 1.0)
    writer.undo()
    writer.edit([6, "."], 1.1)
    assert writer.undo()
    assert writer.content == "hello!"


def test_an_edit_forgets_what_could_be_redone(writer: Writer) -> None:
    writer.edit([5, "!"], 0.0)
    writer.undo()
    assert writer.history.can_redo
    writer.edit([5, "?"], 1.0)
    assert not writer.history.can_redo


def test_what_is_typed_and_deleted_again_is_no_step(writer: Writer) -> None:
    writer.edit([5, "!"], 0.0)
    writer.edit([5, {"d": 1}], 0.1)
    assert not writer.history.can_undo
    writer.edit([5, "?"], 0.2)
    writer.undo()
    assert writer.content == "hello"


def test_the_oldest_step_is_forgotten() -> None:
    writer = Writer("", depth=3)
    for number, letter in enumerate("abcde"):
        writer.edit([number, letter] if number else [letter], float(number))
    assert [writer.undo() for _ in range(4)] == [True, True, True, False]
    assert writer.content == "ab"


def test_a_step_that_others_have_emptied_is_skipped(writer: Writer) -> None:
    writer.edit(["a"], 0.0)
    writer.edit([6, "b"], 1.0)
    writer.see([6, {"d": 1}])
    assert writer.history.can_undo
    assert writer.undo()
    assert writer.content == "hello"
    assert not writer.history.can_undo


def test_the_work_of_others_stays(writer: Writer) -> None:
    writer.edit([{"d": 5}], 0.0)
    writer.see(["theirs"])
    assert writer.undo()
    assert writer.content in ("theirshello", "hellotheirs")
    writer.see([{"d": 2}])
    assert writer.redo()
    assert writer.content in ("eirs", "theirs")


def test_an_edit_does_not_join_a_step_below_one_that_is_gone(writer: Writer) -> None:
    writer.edit(["a"], 0.0)
    writer.edit([6, "b"], 1.0)
    writer.see([6, {"d": 1}])
    writer.edit([6, "c"], 1.1)
    writer.undo()
    assert writer.content == "ahello"


def test_a_refusal_forgets_what_it_may_have_undone_and_keeps_the_rest(writer: Writer) -> None:
    writer.edit([5, " you"], 0.0)
    writer.history.settled()
    writer.edit([{"d": 5}], 1.0)  # in flight, and refused
    writer.edit(["Oh"], 2.0)  # what followed it
    writer.refuse([2, "hello"])
    assert writer.content == "Ohhello you"
    assert writer.undo()
    assert writer.content == "Ohhello"
    assert not writer.history.can_undo


def test_a_refused_undo_cannot_be_redone(writer: Writer) -> None:
    writer.edit([5, "!"], 0.0)
    writer.history.settled()
    writer.undo()
    writer.refuse([5, "!"])
    assert writer.content == "hello!"
    assert not writer.history.can_redo


def test_a_step_that_grows_is_not_settled(writer: Writer) -> None:
    writer.edit([5, "!"], 0.0)
    writer.history.settled()
    writer.edit([6, "?"], 0.1)
    writer.refuse([6, {"d": 1}])
    assert not writer.history.can_undo


def test_a_new_content_forgets_everything(writer: Writer) -> None:
    writer.edit([5, "!"], 0.0)
    writer.edit([6, "?"], 1.0)
    writer.undo()
    writer.history.clear()
    assert not writer.history.can_undo
    assert not writer.history.can_redo
