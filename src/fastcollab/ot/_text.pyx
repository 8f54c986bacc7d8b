"""The document type ``text``: plain text, with the operations of ot-text-unicode 4.

An operation is a list of components that walks through the document from its start:

    5               skip five characters
    "abc"           insert this text here
    {"d": 3}        delete three characters
    {"d": "abc"}    delete these three characters: with their text, the operation can be inverted by itself

What follows the last component is kept. A character is a Unicode code point, as in ``str``: lengths and
positions are never bytes, UTF-16 units or grapheme clusters. Lone surrogates are no text: UTF-8 cannot carry
them.

Normal form. No component is empty, neighbours differ in kind, and the last component is no skip. Every
function here demands it of what it is given (only `normalize` takes less) and gives it back. Demanding it is
more than tidiness: the rule for ties below looks at one insert at each place, so that two neighbouring
inserts would end on both sides of the other author's text at one site and on one side of it at the other.

How it works. An operation is decoded, and checked with that, into an array of C structs (`_text_operations.pyx`),
where all the work is done; `_text_documents.pyx` applies it to a text.
"""

from cpython.list cimport PyList_CheckExact, PyList_GET_SIZE
from libc.stdint cimport int64_t

from fastcollab.ot._arguments cimport LONGEST, is_left, position_of
from fastcollab.ot._text_documents cimport apply_to, check_document, invert_into
from fastcollab.ot._text_operations cimport (
    DELETE, INSERT, Component, Operation, begin, compose_into, decode, encode, release, transform_into,
)
from fastcollab.ot._text_documents import LiveText
from fastcollab.ot.errors import OperationError

MAX_LENGTH = LONGEST

# What `check` lets through unless told otherwise. Transformation is linear in the number of components, so
# this many against a history of a thousand operations is a matter of tenths of a second.
DEFAULT_MAX_COMPONENTS = 10_000
# Code points of text in one operation, inserted or named in deletes.
DEFAULT_MAX_TEXT = 1 << 20


cdef class TextType:
    """Plain text, with the operations of ot-text-unicode 4; `fastcollab.ot.DocumentType` states the laws.

    Results equal those of the npm package. Three things that it lets pass are refused, with `OperationError`:
    operations that are not in normal form, lone surrogates, and deletes that reach beyond the document's end.
    """

    @property
    def name(self):
        return "text"

    def create(self, initial=None):
        """The document `initial`, by default the empty text."""
        if initial is None:
            return ""
        check_document(initial)
        return initial

    def open(self, content):
        """The document `content` as one that changes in place (`fastcollab.ot.LiveDocument`)."""
        check_document(content)
        return LiveText(content)

    def check(
        self,
        operation,
        *,
        Py_ssize_t max_components=DEFAULT_MAX_COMPONENTS,
        Py_ssize_t max_text=DEFAULT_MAX_TEXT,
    ):
        """Raises `OperationError` unless `operation` is in normal form and within the limits.

        `max_components` bounds the number of components, `max_text` the code points of all text in the
        operation, inserted or named in deletes. Only this method has limits: check with it what comes from
        outside.
        """
        cdef Operation decoded
        cdef int64_t text = 0
        cdef Py_ssize_t i
        if PyList_CheckExact(operation) and PyList_GET_SIZE(operation) > max_components:
            raise OperationError(f"an operation has at most {max_components} components", (max_components,))
        begin(&decoded)
        try:
            decode(operation, &decoded, "operation")
            for i in range(decoded.count):
                if decoded.components[i].text != NULL:
                    text += decoded.components[i].length
                    if text > max_text:
                        raise OperationError(f"an operation has at most {max_text} characters of text", (i,))
        finally:
            release(&decoded)

    def check_position(self, position):
        """Raises `OperationError` unless `position` is a number of characters."""
        position_of(position)

    def apply(self, document, operation):
        """The document after the operation.

        The text that a delete names is not compared with the document's: its length alone counts.
        """
        cdef Operation decoded
        check_document(document)
        begin(&decoded)
        try:
            decode(operation, &decoded, "operation")
            if decoded.count == 0:
                return document
            return apply_to(document, &decoded)
        finally:
            release(&decoded)

    def transform(self, operation, other, str side not None):
        """`operation`, made against the document before `other`, rewritten to follow `other`.

        Where both insert at one place, the text of the operation on the left side comes first.
        """
        cdef bint left = is_left(side)
        cdef Operation mine
        cdef Operation theirs
        cdef Operation result
        begin(&mine)
        begin(&theirs)
        begin(&result)
        try:
            decode(operation, &mine, "operation")
            decode(other, &theirs, "other")
            transform_into(&result, &mine, &theirs, left)
            return encode(&result)
        finally:
            release(&mine)
            release(&theirs)
            release(&result)

    def compose(self, first, second):
        """One operation that does what `first` and then `second` do."""
        cdef Operation earlier
        cdef Operation later
        cdef Operation result
        begin(&earlier)
        begin(&later)
        begin(&result)
        try:
            decode(first, &earlier, "first")
            decode(second, &later, "second")
            compose_into(&result, &earlier, &later)
            return encode(&result)
        finally:
            release(&earlier)
            release(&later)
            release(&result)

    def invert(self, operation, document):
        """The operation that undoes `operation`, of which `document` is the document before it.

        Its deletes name their text (``{"d": "abc"}``), so that it can itself be inverted. What it inserts is
        always the document's text, whatever text the deletes of `operation` name.
        """
        cdef Operation decoded
        cdef Operation result
        check_document(document)
        begin(&decoded)
        begin(&result)
        try:
            decode(operation, &decoded, "operation")
            invert_into(&result, &decoded, document)
            return encode(&result)
        finally:
            release(&decoded)
            release(&result)

    def transform_position(self, position, operation, str side not None="left"):
        """Where `position`, a place between two characters (0: before the first), is after the operation.

        Text inserted exactly there goes behind the position on the ``left`` side (it stays: the package's own
        rule, right for the cursors of others) and before it on the ``right`` (it moves along, as the typist's
        own does). A position in deleted text moves to where the text was.
        """
        cdef bint left = is_left(side)
        cdef Operation decoded
        cdef Component *component
        cdef int64_t moved = position_of(position)
        cdef int64_t at = 0  # in the document as far as it is transformed
        cdef Py_ssize_t i
        begin(&decoded)
        try:
            decode(operation, &decoded, "operation")
            for i in range(decoded.count):
                if at > moved or (at == moved and left):
                    break
                component = &decoded.components[i]
                if component.kind == DELETE:
                    moved -= min(component.length, moved - at)
                    continue
                at += component.length
                if component.kind == INSERT:
                    moved += component.length
            return moved
        finally:
            release(&decoded)

    def normalize(self, operation):
        """The operation in normal form: nothing empty, no trailing skip, neighbours of one kind merged."""
        cdef Operation decoded
        begin(&decoded)
        try:
            decode(operation, &decoded, "operation", False)
            return encode(&decoded)
        finally:
            release(&decoded)
