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
`_rich_operation.pyx`, what is done with attributes in `_rich_values.pyx`, and here are the loops.
"""

from cpython.list cimport PyList_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from libc.stdint cimport int64_t

from fastcollab.ot._rich_operation cimport (
    DELETE, LONGEST, RETAIN, Component, Cursor, Operation, advance, append, append_next, append_rest, begin,
    components_of, current, decode, decode_document, encode, is_insert, left_in, misfit, release,
)
from fastcollab.ot._rich_values cimport compose_attributes, invert_attributes, meets_null, transform_attributes
from fastcollab.ot.errors import OperationError

cdef extern from "Python.h":
    # Sets no exception if the value is exactly an `int`.
    int64_t PyLong_AsLongLongAndOverflow(object value, int *overflow) noexcept

MAX_LENGTH = LONGEST

# What `check` lets through unless told otherwise.
DEFAULT_MAX_COMPONENTS = 10_000
# UTF-16 units of all text in an operation, keys and strings of attributes and embeds included, and one for each value.
DEFAULT_MAX_SIZE = 1 << 20
# The same for the attributes of one component. They are less free than text: set on a long stretch, they are copied to
# every piece of it that others have made, so that a short operation could make a long document.
DEFAULT_MAX_ATTRIBUTES = 1 << 14


# -- the walks ----------------------------------------------------------------------------------------------

cdef int transform_into(Operation *result, Operation *operation, Operation *other, bint left) except -1:
    cdef Cursor cursor = Cursor(operation, 0, 0, 0)
    cdef Component *mine
    cdef Component *theirs
    cdef int64_t rest
    cdef int64_t step
    cdef Py_ssize_t i
    for i in range(other.count):
        theirs = &other.components[i]
        rest = theirs.length
        if is_insert(theirs.kind):
            mine = current(&cursor)
            while left and mine != NULL and is_insert(mine.kind):
                append_next(result, &cursor, mine.length, <object> mine.attributes)
                mine = current(&cursor)
            append(result, RETAIN, rest, None, None)
            continue
        while rest:
            mine = current(&cursor)
            if mine == NULL:
                return 0  # all that could follow is plain retains
            if is_insert(mine.kind):
                append_next(result, &cursor, mine.length, <object> mine.attributes)
                continue
            step = min(rest, left_in(&cursor))
            rest -= step
            if theirs.kind == DELETE:
                advance(&cursor, step)
            elif left:
                append_next(result, &cursor, step, <object> mine.attributes)
            else:
                append_next(result, &cursor, step,
                            transform_attributes(<object> mine.attributes, <object> theirs.attributes))
    return append_rest(result, &cursor)


cdef int compose_into(Operation *result, Operation *first, Operation *second) except -1:
    cdef Cursor cursor = Cursor(first, 0, 0, 0)
    cdef Py_ssize_t i = 0
    try:
        for i in range(second.count):
            compose_component(result, &cursor, &second.components[i])
    except OperationError as error:
        raise misfit(error.reason, second, i) from None
    return append_rest(result, &cursor)


cdef inline int compose_component(Operation *result, Cursor *cursor, const Component *later) except -1:
    """Appends `later` and what it passes of the first operation, over which the cursor goes."""
    cdef int64_t rest = later.length
    cdef int64_t step
    cdef Component *earlier
    if is_insert(later.kind):
        return append(result, later.kind, rest, <object> later.content, <object> later.attributes)
    while rest:
        earlier = current(cursor)
        if earlier == NULL:
            return append(result, later.kind, rest, None, <object> later.attributes)
        if earlier.kind == DELETE:
            append_next(result, cursor, left_in(cursor), None)
            continue
        step = min(rest, left_in(cursor))
        rest -= step
        if later.kind == RETAIN:
            append_next(result, cursor, step, compose_attributes(
                <object> earlier.attributes, <object> later.attributes, earlier.kind == RETAIN))
            continue
        if earlier.kind == RETAIN:
            append(result, DELETE, step, None, None)
        # Otherwise what the first inserted the second deletes: nothing is left of either.
        advance(cursor, step)
    return 0


cdef int invert_into(Operation *result, Operation *operation, Operation *document) except -1:
    """The document reaches as far as the operation: `check_span` has passed."""
    cdef Cursor cursor = Cursor(document, 0, 0, 0)
    cdef Py_ssize_t i = 0
    try:
        for i in range(operation.count):
            invert_component(result, &cursor, &operation.components[i])
    except OperationError as error:
        raise misfit(error.reason, operation, i) from None
    return 0


cdef inline int invert_component(Operation *result, Cursor *cursor, const Component *component) except -1:
    """Appends what undoes the component, where the cursor goes over what it passes of the document."""
    cdef int64_t rest = component.length
    cdef int64_t step
    cdef Component *base
    if is_insert(component.kind):
        return append(result, DELETE, rest, None, None)
    while rest:
        base = current(cursor)
        step = min(rest, left_in(cursor))
        rest -= step
        if component.kind == DELETE:
            append_next(result, cursor, step, <object> base.attributes)
        elif <object> component.attributes is None:
            append(result, RETAIN, step, None, None)
            advance(cursor, step)
        elif meets_null(<dict> component.attributes, <object> base.attributes):
            append_next(result, cursor, step, <object> base.attributes)
            append(result, DELETE, step, None, None)
        else:
            append(result, RETAIN, step, None,
                   invert_attributes(<dict> component.attributes, <object> base.attributes))
            advance(cursor, step)
    return 0


cdef int check_span(const Operation *operation, const Operation *document) except -1:
    """Refuses an operation that reaches beyond the end of the document."""
    cdef int64_t position = 0
    cdef Py_ssize_t i
    if operation.before <= document.after:
        return 0
    for i in range(operation.count):
        if not is_insert(operation.components[i].kind):
            position += operation.components[i].length
            if position > document.after:
                raise misfit(f"the operation goes beyond the document's end, at {document.after}", operation, i)
    return 0


cdef bint is_left(str side) except -1:
    if side == "left":
        return True
    if side == "right":
        return False
    raise ValueError(f"side must be 'left' or 'right', not {side!r}")


# -- the type -----------------------------------------------------------------------------------------------

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
            check_span(&decoded, &before)
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
            check_span(&decoded, &before)
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
        cdef int64_t moved
        cdef int64_t at = 0  # in the document as far as it is transformed
        cdef int overflow = 0
        cdef Py_ssize_t i
        if not PyLong_CheckExact(position):
            raise OperationError(f"a position must be an integer, not {type(position).__name__}")
        moved = PyLong_AsLongLongAndOverflow(position, &overflow)
        if overflow != 0 or moved < 0 or moved > LONGEST:
            raise OperationError(f"a position must be an integer of 0 to {LONGEST}")
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
