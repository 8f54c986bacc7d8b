"""The document type ``rich-text``: text with attributes and embeds, with the operations of Quill Delta 5.

An operation is a list of components that walks through the document from its start:

    {"insert": "abc"}                                   insert this text here
    {"insert": "abc", "attributes": {"bold": true}}     ... with these attributes
    {"insert": {"image": "cat.png"}}                    insert an embed: one object, of length 1
    {"delete": 3}                                       delete three units
    {"retain": 3}                                       keep three units
    {"retain": 3, "attributes": {"bold": null}}         ... and set these attributes on them; null takes one away

What follows the last component is kept. A document is a list of inserts. Where a list is asked for, a Delta as
JavaScript writes it to JSON, ``{"ops": [...]}``, is taken as well; results are always lists.

Units. Lengths and positions count UTF-16 units, as JavaScript does: a character beyond U+FFFF is two. No operation may
cut one in half. Where that shows, which is when the text is there to be looked at (`apply`, `invert`, and `compose`
for what the first operation inserts), it is refused; the published type makes lone surrogates of it. Lone surrogates
are no text: UTF-8 cannot carry them.

Normal form. No component and no attributes are empty; neighbours are merged where they are both deletes, or both
retains or both texts of equal attributes; an insert comes before a delete at the same place; and the last component
is no retain without attributes. Every function demands it of what it is given (only `normalize` takes less) and
gives it back, but for one thing: such a retain at the end is let through, since Quill sends it when nothing changed.
The order of insert and delete matters for more than tidiness: text inserted between the deleted and the kept is at
another place, to a client that takes the operation literally, than text inserted before both.

Sides. Here the ``left`` inserts first, as in all types of this package. In the npm package ``rich-text`` it is the
other way round: its ``transform(a, b, "left")`` lets ``b`` insert first, and is ``transform(a, b, "right")`` here. In
quill-delta's terms, ``transform(a, b, "left")`` is ``b.transform(a, false)``, and with ``"right"`` it is
``b.transform(a, true)``. Attributes follow the same rule as inserts: where both operations set one on the same text,
that of the left side remains. As incoming operations are on the left, the last to reach the server wins.

How it works. As in `_text.pyx`: operations are decoded, and checked with that, into arrays of C structs; one loop
walks through two of them and appends to a third, which is encoded as a new list. The arrays are in
`_rich_operation.pyx`, the loops in `_rich_walks.pyx`, what is done with attributes in `_rich_values.pyx`, and documents
that change in place in `_rich_live.pyx`.
"""

from cpython.list cimport PyList_GET_SIZE
from libc.stdint cimport int64_t

from fastcollab.ot._arguments cimport LONGEST, is_left, position_of
from fastcollab.ot._rich_operation cimport (
    DELETE, Component, Operation, begin, components_of, decode, decode_document, encode, is_insert, misfit,
    release,
)
from fastcollab.ot._rich_walks cimport check_span, compose_into, invert_into, transform_into
from fastcollab.ot._rich_live import LiveRichText
from fastcollab.ot.errors import OperationError

MAX_LENGTH = LONGEST

# What `check` lets through unless told otherwise.
DEFAULT_MAX_COMPONENTS = 10_000
# UTF-16 units of all text in an operation, keys and strings of attributes and embeds included, and one for each value.
DEFAULT_MAX_SIZE = 1 << 20
# The same for the attributes of one component. They are less free than text: set on a long stretch, they are copied to
# every piece of it that others have made, so that a short operation could make a long document.
DEFAULT_MAX_ATTRIBUTES = 1 << 14


cdef class RichTextType:
    """Text with attributes and embeds, with the operations of Quill Delta 5; `DocumentType` states the laws.

    Results equal those of the npm packages quill-delta 5 and, but for the sides' names, rich-text 4, to the last key.
    There is one exception, in `invert`. Refused, with `OperationError`, are operations that are not in normal form, cut
    a surrogate pair in half or reach beyond the document's end; lone surrogates; numbers as embeds; changes inside
    embeds (``{"retain": {...}}``); and names of attributes that objects of JavaScript inherit.
    """

    @property
    def name(self):
        return "rich-text"

    def create(self, initial=None):
        """The document `initial` in normal form, by default the empty document.

        Quill's own empty document is ``[{"insert": "\\n"}]``: its last line always has an end.
        """
        cdef Operation document
        begin(&document)
        try:
            if initial is None:
                return []
            decode_document(initial, &document, False)
            return encode(&document)
        finally:
            release(&document)

    def open(self, content):
        """The document `content` as one that changes in place (`fastcollab.ot.live.LiveDocument`)."""
        return LiveRichText(content)

    def check(
        self,
        operation,
        *,
        Py_ssize_t max_components=DEFAULT_MAX_COMPONENTS,
        int64_t max_size=DEFAULT_MAX_SIZE,
        int64_t max_attributes=DEFAULT_MAX_ATTRIBUTES,
    ):
        """Raises `OperationError` unless `operation` is in normal form and within the limits.

        `max_components` bounds the number of components; `max_size` the UTF-16 units of all text in the operation, keys
        and strings in attributes and embeds included, and one for each value there; `max_attributes` the same for the
        attributes of one component. Only this method has these limits: check with it what comes from outside. That
        values are not nested deeper than 64 is demanded everywhere.
        """
        cdef Operation decoded
        cdef list components
        begin(&decoded)
        try:
            components = components_of(operation, "operation", &decoded.wrapped)
            if PyList_GET_SIZE(components) > max_components:
                raise misfit(f"an operation has at most {max_components} components", &decoded, max_components)
            decode(operation, &decoded, "operation", True, max_attributes)
            if decoded.size > max_size:
                raise OperationError(f"an operation has at most the size {max_size}")
        finally:
            release(&decoded)

    def check_position(self, position):
        """Raises `OperationError` unless `position` is a number of UTF-16 units."""
        position_of(position)

    def apply(self, document, operation):
        """The document after the operation."""
        cdef Operation before
        cdef Operation decoded
        cdef Operation result
        begin(&before)
        begin(&decoded)
        begin(&result)
        try:
            decode_document(document, &before)
            decode(operation, &decoded, "operation")
            check_span(&decoded, before.after)
            compose_into(&result, &before, &decoded)
            return encode(&result)
        finally:
            release(&before)
            release(&decoded)
            release(&result)

    def transform(self, operation, other, str side not None):
        """`operation`, made against the document before `other`, rewritten to follow `other`.

        Where both insert at one place, what the operation on the left side inserts comes first; where both set an
        attribute, that operation's value remains. The npm package rich-text calls the sides the other way round.
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

        It equals that of quill-delta but where the operation changes an attribute that is ``null`` in the document, as
        it may be in what was inserted so. No retain can set an attribute to ``null`` again, and quill-delta's inverse
        leaves it out; this one deletes the text and inserts it as it was.
        """
        cdef Operation before
        cdef Operation decoded
        cdef Operation result
        begin(&before)
        begin(&decoded)
        begin(&result)
        try:
            decode_document(document, &before)
            decode(operation, &decoded, "operation")
            check_span(&decoded, before.after)
            invert_into(&result, &decoded, &before)
            return encode(&result)
        finally:
            release(&before)
            release(&decoded)
            release(&result)

    def transform_position(self, position, operation, str side not None="left"):
        """Where `position`, in UTF-16 units (0: before the first), is after the operation.

        What is inserted exactly there goes behind the position on the ``left`` side (it stays, as the cursors of others
        do) and before it on the ``right`` (it moves along, as the typist's own does). A position in what is deleted
        moves to where that was.
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
                if is_insert(component.kind):
                    moved += component.length
            return moved
        finally:
            release(&decoded)

    def normalize(self, operation):
        """The operation in normal form, as a list.

        What is empty is left out, attributes of ``null`` or ``{}`` and a trailing retain without attributes with it;
        neighbours that are alike are merged, and inserts put before deletes at the same place.
        """
        cdef Operation decoded
        begin(&decoded)
        try:
            decode(operation, &decoded, "operation", False)
            return encode(&decoded)
        finally:
            release(&decoded)
