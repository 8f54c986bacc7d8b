"""Operational transformation: the types of document that several people can write at once.

An operation describes a change to a document as it was when the change was made. When two authors change the
same document at the same time, each must apply the other's operation to a document that has already changed.
Transformation rewrites an operation made against the old document into one for the new document, with the
same intention. Whichever operation came first, both authors then have the same document:

    document ──── a ────▶ ·
        │                 │          apply(apply(d, a), transform(b, a, "right"))
        b                 b'      == apply(apply(d, b), transform(a, b, "left"))
        ▼                 ▼
        · ──── a' ────▶  same        (convergence, known as TP1)

Only TP1 is asked of a type, not TP2 (three operations, transformed in any order): there is one server, it
puts all operations of a document into one order, and every site transforms along that order.

Sides. Where two operations contend for one place, the two transformations must settle it the same way, so
each is told its side and the sides are opposite. For all types: of two inserts at one place, the one on the
``left`` goes first. Who is left is decided by who is new:

- The server transforms an incoming operation on the ``left``, against each committed operation that its
  author had not seen, in the order of their commitment. Committed order rules: it is never changed.
- A client transforms a remote (committed) operation on the ``right`` against its own pending operations,
  which are going to be incoming ones, and those on the ``left`` against the remote one.

So what one person types at one place stays together, and of two people's text at one place the one that
reached the server later comes first.

Composition makes one operation, with the same effect, of two that follow each other:
``apply(d, compose(a, b)) == apply(apply(d, a), b)``. The pending operations of a client may be composed,
since they are one author's. But do not transform across composed operations of *others*: composition forgets
in which order text came to one place, and sites that transformed one by one and sites that transformed at
once can differ.

    >>> from fastcollab.ot import types
    >>> text = types["text"]
    >>> text.apply("hello", [5, " world"])
    'hello world'
    >>> text.transform([5, " world"], ["Oh, "], "left")
    [9, ' world']
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol

from fastcollab.ot._json1 import Json1Type
from fastcollab.ot._rich_text import RichTextType
from fastcollab.ot._text import TextType
from fastcollab.ot.absent import ABSENT
from fastcollab.ot.conflicts import Conflict, ConflictKind
from fastcollab.ot.errors import OperationError

__all__ = [
    "ABSENT",
    "Conflict",
    "ConflictKind",
    "DocumentType",
    "OperationError",
    "Side",
    "inverts_exactly",
    "register",
    "types",
]

Side = Literal["left", "right"]
"""Which of two contending operations goes first: the one on the left."""


class DocumentType(Protocol):
    """What a type of document must provide.

    Documents and operations are JSON values of Python (``None``, ``bool``, ``int``, ``float``, ``str``,
    ``list``, ``dict``); `ABSENT` is a document that does not exist, where a type knows such. No method changes
    its arguments, and no result shares a list or a dict with them. Every method raises `OperationError` for an
    operation that is malformed or does not fit its document.

    The laws, for operations ``a`` and ``b`` that are valid for the document ``d``, and ``c`` that is valid
    after ``a``::

        apply(apply(d, a), transform(b, a, "right")) == apply(apply(d, b), transform(a, b, "left"))
        apply(d, compose(a, c)) == apply(apply(d, a), c)
        apply(apply(d, a), invert(a, d)) == d
        normalize(normalize(a)) == normalize(a)
    """

    @property
    def name(self) -> str:
        """The name under which rooms ask for the type; it never changes once documents exist."""
        ...

    def create(self, initial: Any = None) -> Any:
        """A new document: `initial` once it has been checked, or the type's empty document."""
        ...

    def check(self, operation: Any) -> None:
        """Refuses an operation that is not in normal form, or larger than the type's limits.

        Types may have keyword arguments for their limits. Operations from outside must pass through this
        first: the other methods check an operation's form, not its size.
        """
        ...

    def check_position(self, position: Any) -> None:
        """Refuses what is no position in documents of this type, such as one end of a selection."""
        ...

    def apply(self, document: Any, operation: Any) -> Any:
        """The document after the operation."""
        ...

    def transform(self, operation: Any, other: Any, side: Side) -> Any:
        """`operation`, made against the same document as `other`, rewritten to be applied after `other`."""
        ...

    def compose(self, first: Any, second: Any) -> Any:
        """One operation with the effect of `first` followed by `second`."""
        ...

    def invert(self, operation: Any, document: Any) -> Any:
        """The operation that undoes `operation`, where `document` is the document before `operation`."""
        ...

    def transform_position(self, position: Any, operation: Any, side: Side = "left") -> Any:
        """Where a cursor or one end of a selection is after the operation; None: what it was on is gone.

        Of the position and what is inserted exactly there, the one on the left goes first: on the ``left``
        side a position stays before the insertion, on the ``right`` it moves behind it.
        """
        ...

    def normalize(self, operation: Any) -> Any:
        """The operation in the type's normal form, with the same effect."""
        ...


def inverts_exactly(document_type: DocumentType) -> bool:
    """Whether an operation and its inverse, or a composition, leave a document of this type equal to the last digit.

    A type of which that is not true, since its operations round, says so by an attribute of this name.
    """
    return getattr(document_type, "inverts_exactly", True)


_types: dict[str, DocumentType] = {}

types: Mapping[str, DocumentType] = MappingProxyType(_types)
"""All document types, by name; `register` adds to it."""


def register(document_type: DocumentType) -> None:
    """Adds a document type to `types`.

    Raises ValueError if its name is empty or taken: documents in a store know their type by its name alone.
    """
    name = document_type.name
    if not name:
        raise ValueError("a document type must have a name")
    if name in _types:
        raise ValueError(f"there is already a document type {name!r}")
    _types[name] = document_type


register(TextType())
register(Json1Type(types))
register(RichTextType())
