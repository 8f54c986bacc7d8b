"""The registry of document types."""

from typing import Any

import pytest

from fastcollab import ot
from fastcollab.ot._text import TextType


class Renamed(TextType):
    """The text type under another name."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name


def test_text_is_there_under_its_name() -> None:
    assert ot.types["text"].name == "text"


def test_a_registered_type_is_found_and_a_taken_or_empty_name_refused() -> None:
    mine = Renamed("renamed-text")
    ot.register(mine)
    assert ot.types["renamed-text"] is mine
    with pytest.raises(ValueError, match="already a document type 'renamed-text'"):
        ot.register(Renamed("renamed-text"))
    with pytest.raises(ValueError, match="must have a name"):
        ot.register(Renamed(""))


def test_only_register_changes_the_registry() -> None:
    types: Any = ot.types
    with pytest.raises(TypeError):
        types["text"] = Renamed("text")
