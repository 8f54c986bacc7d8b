"""Taking back one's own operations, and only these, in a document that others change meanwhile.

The history is a stack of *steps*, each an operation that undoes something: the topmost is valid for the content as it
is, and each of the others after those above it were undone::

    content ──step n──▶ · ──step n-1──▶ ·  …            the topmost first

When somebody else changes the content by ``r``, the stack has to start from there. It is carried along: the topmost
step is transformed over ``r``, and ``r`` over that step, to where the next one begins::

    content ──step n───▶ · ──step n-1───▶ ·              step' = transform(step, r, left)
       │r                │r'              │r''           r'    = transform(r, step, right)
       ▼                 ▼                ▼
    content'──step n'──▶ · ──step n-1'──▶ ·

Each square closes (TP1), so the others' work stays: an undo removes what is left of one's own text, wherever it is by
now, and brings back what one had removed. A step of which nothing is left is forgotten, and the next undo is that of
the step below. To undo is an ordinary operation to everyone else, and to the gateway.

What is undone goes to a second stack in the same way, from where it is redone; an edit of one's own clears that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastcollab.ot import DocumentType, OperationError

Operation = Any  # a JSON value, of the document's type


@dataclass(slots=True)
class Step:
    """``settled``: the gateway has acknowledged everything that this step takes back."""

    operation: Operation
    settled: bool = False


class UndoHistory:
    """The steps that can be undone and redone in one document.

    Edits follow each other in one step while less than ``merge_interval`` seconds lie between them; of more than
    ``depth`` steps the oldest is forgotten.
    """

    def __init__(self, document_type: DocumentType, *, depth: int = 100, merge_interval: float = 0.5) -> None:
        self._type = document_type
        self._depth = depth
        self._merge_interval = merge_interval
        self._undo: list[Step] = []
        self._redo: list[Step] = []
        self._open: Step | None = None  # the step that the next edit may join
        self._edited_at = 0.0

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        return bool(self._redo)

    def edited(self, operation: Operation, before: Any, now: float) -> None:
        """The user has changed the content, which was ``before``, by ``operation``."""
        inverse = self._type.invert(operation, before)
        if not inverse:
            return
        self._redo.clear()
        joins = self._open is not None and now - self._edited_at < self._merge_interval
        if joins and self._undo and self._undo[-1] is self._open:
            try:
                inverse = self._type.compose(inverse, self._undo.pop().operation)
            except OperationError:  # the content is not what the steps led to: the copies have parted
                self.clear()
        self._open = self._push(self._undo, inverse)
        self._edited_at = now

    def changed(self, change: Operation) -> None:
        """Somebody else has changed the content by ``change``."""
        self._carry(self._undo, change)
        self._carry(self._redo, change)

    def undo(self, content: Any) -> Operation | None:
        """The operation that takes back the newest step, to be applied to ``content``; None if there is none."""
        return self._turn(self._undo, self._redo, content)

    def redo(self, content: Any) -> Operation | None:
        """The operation that takes back the newest undo, to be applied to ``content``; None if there is none."""
        return self._turn(self._redo, self._undo, content)

    def settled(self) -> None:
        """The gateway has acknowledged everything."""
        for step in (*self._undo, *self._redo):
            step.settled = True

    def refused(self, change: Operation, before: Any) -> None:
        """An own operation was taken back by ``change``, because the gateway did not take it.

        Which steps it was part of is not known, only that they are not settled: these are forgotten. For the steps
        below it is as if somebody had changed the content so that there is nothing to take back.
        """
        try:
            for stack in (self._undo, self._redo):
                while stack and not stack[-1].settled:
                    self._carry(stack, self._type.invert(stack.pop().operation, before))
        except OperationError:  # as in `edited`
            self.clear()
        self.changed(change)

    def clear(self) -> None:
        """The content was replaced as a whole: nobody knows what the steps would mean there."""
        self._undo.clear()
        self._redo.clear()

    def _turn(self, stack: list[Step], other: list[Step], content: Any) -> Operation | None:
        self._open = None
        if not stack:
            return None
        operation = stack.pop().operation
        self._push(other, self._type.invert(operation, content))
        return operation

    def _push(self, stack: list[Step], operation: Operation) -> Step | None:
        if not operation:
            return None
        step = Step(operation)
        stack.append(step)
        del stack[: -self._depth]
        return step

    def _carry(self, stack: list[Step], change: Operation) -> None:
        """Makes the stack start from where ``change`` leads to; forgets steps of which nothing is left."""
        transform = self._type.transform
        kept = []
        for step in reversed(stack):
            operation = step.operation
            try:
                step.operation = transform(operation, change, "left")
                change = transform(change, operation, "right")
            except OperationError:
                break  # json1 knows contradictions that nobody can resolve; what lies below cannot be reached then
            if step.operation:
                kept.append(step)
        stack[:] = reversed(kept)
