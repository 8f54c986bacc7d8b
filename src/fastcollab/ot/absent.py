"""`ABSENT`, which stands for a document or a value that does not exist.

It is what JavaScript calls ``undefined``, and not ``None``, which is a value: JSON's ``null``.
"""

from enum import Enum
from typing import Final

__all__ = ["ABSENT", "Absent"]


class Absent(Enum):
    """The type of `ABSENT`, its only instance; it is false, and stays the same object when copied or pickled."""

    ABSENT = "ABSENT"

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = Absent.ABSENT
"""No document, or no value."""
