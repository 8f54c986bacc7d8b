"""Documents that operations change in place: what a server holds while people write.

`DocumentType.apply` takes a document and gives another, so a document is copied at every keystroke. A type whose
documents can be long does better with a method ``open(content)`` of its own, which gives a `LiveDocument`; ``text``
has one. `open_document` gives a `LiveDocument` for every type: its own, or one that replaces the whole document.
"""

from typing import Any, Protocol, cast

import orjson

from fastcollab.ot import ABSENT, DocumentType

__all__ = ["LiveDocument", "WholeDocument", "open_document"]


class LiveDocument(Protocol):
    """A document as it changes. It has the content that the type's own functions would give."""

    def content(self) -> Any:
        """The document as it is now, a value that does not change later."""
        ...

    def size(self) -> int:
        """The bytes of the content: of a text in UTF-8, of any other as JSON without white space, of none 0."""
        ...

    def apply(self, operation: Any) -> Any:
        """Changes the document, and gives the operation that undoes it: what the type's `invert` would give.

        Raises `OperationError`, and then the document is as it was.
        """
        ...


class WholeDocument:
    """A live document that is replaced as a whole, by the type's functions."""

    def __init__(self, document_type: DocumentType, content: Any) -> None:
        self._type = document_type
        self._content = content

    def content(self) -> Any:
        return self._content

    def size(self) -> int:
        if self._content is ABSENT:
            return 0
        return len(self._content.encode() if isinstance(self._content, str) else orjson.dumps(self._content))

    def apply(self, operation: Any) -> Any:
        content = self._type.apply(self._content, operation)
        inverse = self._type.invert(operation, self._content)
        self._content = content
        return inverse


def open_document(document_type: DocumentType, content: Any) -> LiveDocument:
    """`content`, a document of that type, as one that operations change."""
    if (own := getattr(document_type, "open", None)) is not None:
        return cast(LiveDocument, own(content))
    return WholeDocument(document_type, content)
