"""The examples in the documentation of operational transformation do what it says."""

import doctest
from pathlib import Path

import pytest

import fastcollab.ot

GUIDE = Path(__file__).parents[3] / "docs" / "ot.md"


def test_the_guide() -> None:
    failures, examples = doctest.testfile(str(GUIDE), module_relative=False, encoding="utf-8")
    assert (failures, examples > 20) == (0, True)


@pytest.mark.parametrize("module", [fastcollab.ot], ids=lambda module: module.__name__)
def test_the_docstrings(module: object) -> None:
    failures, examples = doctest.testmod(module)  # type: ignore[arg-type]
    assert (failures, examples > 0) == (0, True)
