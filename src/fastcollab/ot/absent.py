"""`ABSENT`, which stands for a document or a value that does not exist.

It is what JavaScript calls ``undefined``, and not ``None``, which is a value: JSON's ``null``. It is no JSON, and
encoders refuse it: whoever sends a document leaves the field out instead.
"""

from typing import Final, final

__all__ = ["ABSENT", "Absent"]


@final
class Absent:
    """The type of `ABSENT`, its only instance; it is false, and stays the same object when copied or pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False

    def __copy__(self) -> "Absent":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "Absent":
        return self

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()
"""No document, or no value."""
