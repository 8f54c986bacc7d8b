"""The exception of the operational transformation layer: `OperationError`, a `ValueError`."""

__all__ = ["OperationError"]


class OperationError(ValueError):
    """An operation that is malformed, over a limit, or does not fit its document.

    ``reason`` is a sentence fit for the author of the operation. ``path`` leads from the operation to the
    part that is refused: ``(3,)`` is its fourth component, ``(3, "d")`` the value under ``"d"`` in it, and
    ``()`` the operation as a whole (or the document, or the position, where the reason says so).
    """

    def __init__(self, reason: str, path: tuple[int | str, ...] = ()) -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        if not self.path:
            return self.reason
        return f"{self.reason} (at {''.join(f'[{step!r}]' for step in self.path)})"
