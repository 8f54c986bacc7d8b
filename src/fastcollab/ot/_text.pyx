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

How it works. An operation is decoded, and checked with that, into an array of C structs; one loop reads two
such arrays and appends to a third, which merges neighbours of one kind; the third is encoded as a new list.
`transform` and `compose` differ only in which components of the two arrays consume the same characters:

    transform   both operations were made against one document: the skips and deletes of both walk through it
    compose     the second was made against the first one's result: skips and deletes of the second walk
                through skips and inserts of the first

All this is linear in the number of components. `apply` copies the document once, into a string of its final
length and width.
"""

from cpython.dict cimport PyDict_CheckExact, PyDict_Next, PyDict_Size
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF, Py_XINCREF
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_Substring
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastcollab.ot.errors import OperationError

cdef extern from "Python.h":
    # Cython takes its own name for this C type to mean a `str` of one character; here it is a number.
    ctypedef unsigned int CodePoint "Py_UCS4"
    int PyUnicode_KIND(object text) noexcept
    void *PyUnicode_DATA(object text) noexcept
    CodePoint PyUnicode_READ(int kind, const void *data, Py_ssize_t index) noexcept
    CodePoint PyUnicode_MAX_CHAR_VALUE(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    str PyUnicode_New(Py_ssize_t length, CodePoint max_character)
    Py_ssize_t PyUnicode_CopyCharacters(
        object to, Py_ssize_t to_start, object source, Py_ssize_t source_start, Py_ssize_t count
    ) except -1
    # Replaces *left by the concatenation, in place where *left has no other owner; NULL in *left on error.
    void PyUnicode_Append(PyObject **left, PyObject *right)
    # Sets no exception if the value is exactly an `int`.
    int64_t PyLong_AsLongLongAndOverflow(object value, int *overflow) noexcept

# The largest length or position: the largest integer that JavaScript counts exactly.
cdef int64_t LONGEST = (<int64_t> 1 << 53) - 1
MAX_LENGTH = LONGEST
cdef str NO_LENGTH = f"a length must be a positive integer, at most {MAX_LENGTH}"

# What `check` lets through unless told otherwise. Transformation is linear in the number of components, so
# this many against a history of a thousand operations is a matter of tenths of a second.
DEFAULT_MAX_COMPONENTS = 10_000
# Code points of text in one operation, inserted or named in deletes.
DEFAULT_MAX_TEXT = 1 << 20

cdef enum:
    # Operations of at most so many components need no memory from the heap. Typing makes two or three.
    INLINE_COMPONENTS = 8

cdef enum Kind:
    SKIP
    INSERT
    DELETE

cdef struct Component:
    Kind kind
    int64_t length  # in code points, at least 1
    PyObject *text  # owned str of that length; NULL for skips and for deletes that do not name their text

cdef struct Operation:
    # In normal form but for a trailing skip, which `encode` leaves out. `begin` before use, `release` after.
    Py_ssize_t count
    Py_ssize_t capacity
    Component *components  # `inline_components`, or memory from the heap
    Component[INLINE_COMPONENTS] inline_components

cdef struct Cursor:
    # A place in an operation: before the character `offset` of the component `index`.
    Operation *operation
    Py_ssize_t index
    int64_t offset


# -- the array of components --------------------------------------------------------------------------------

cdef inline void begin(Operation *operation) noexcept:
    operation.count = 0
    operation.capacity = INLINE_COMPONENTS
    operation.components = operation.inline_components


cdef inline void release(Operation *operation) noexcept:
    cdef Py_ssize_t i
    for i in range(operation.count):
        Py_XDECREF(operation.components[i].text)
    if operation.components != operation.inline_components:
        PyMem_Free(operation.components)


cdef int reserve(Operation *operation, Py_ssize_t capacity) except -1:
    """Makes room for `capacity` components, at least doubling it so that appending stays linear."""
    cdef Component *components
    if capacity <= operation.capacity:
        return 0
    capacity = max(capacity, 2 * operation.capacity)
    if operation.components == operation.inline_components:
        components = <Component *> PyMem_Malloc(capacity * sizeof(Component))
        if components != NULL:
            memcpy(components, operation.inline_components, operation.count * sizeof(Component))
    else:
        components = <Component *> PyMem_Realloc(operation.components, capacity * sizeof(Component))
    if components == NULL:
        raise MemoryError
    operation.components = components
    operation.capacity = capacity
    return 0


cdef inline int push(Operation *operation, Kind kind, int64_t length, PyObject *text) except -1:
    """Adds a component that may not be merged with the last one. `text` is borrowed."""
    if operation.count == operation.capacity:
        reserve(operation, operation.count + 1)
    Py_XINCREF(text)
    operation.components[operation.count] = Component(kind, length, text)
    operation.count += 1
    return 0


cdef int append(Operation *operation, Kind kind, int64_t length, PyObject *text) except -1:
    """Adds a component, merged with the last one if that is of the same kind. `text` is borrowed."""
    cdef Component *last
    if length == 0:
        return 0
    if operation.count and operation.components[operation.count - 1].kind == kind:
        last = &operation.components[operation.count - 1]
        last.length += length
        if last.length > LONGEST:
            raise OperationError("the operation spans more characters than can be counted")
        if kind == INSERT or (last.text != NULL and text != NULL):
            PyUnicode_Append(&last.text, text)
            if last.text == NULL:
                raise MemoryError
        else:
            # A delete that names its text beside one that does not: together they cannot.
            Py_XDECREF(last.text)
            last.text = NULL
        return 0
    return push(operation, kind, length, text)


cdef int append_part(Operation *operation, const Component *source, int64_t start, int64_t length) except -1:
    """Appends the `length` characters of `source` from `start` on, as a component of its kind."""
    if source.text == NULL or length == source.length:
        return append(operation, source.kind, length, source.text)
    part = PyUnicode_Substring(<object> source.text, <Py_ssize_t> start, <Py_ssize_t> (start + length))
    return append(operation, source.kind, length, <PyObject *> part)


cdef inline Component *current(const Cursor *cursor) noexcept:
    """The component that the cursor is in, or NULL behind the last one."""
    if cursor.index == cursor.operation.count:
        return NULL
    return &cursor.operation.components[cursor.index]


cdef inline void advance(Cursor *cursor, int64_t length) noexcept:
    """Moves over `length` characters, no more than the current component has left."""
    cursor.offset += length
    if cursor.offset == cursor.operation.components[cursor.index].length:
        cursor.index += 1
        cursor.offset = 0


cdef int append_rest(Operation *operation, Cursor *cursor) except -1:
    """Appends all that the cursor has not yet passed."""
    cdef Component *component = current(cursor)
    while component != NULL:
        append_part(operation, component, cursor.offset, component.length - cursor.offset)
        advance(cursor, component.length - cursor.offset)
        component = current(cursor)
    return 0


# -- between Python values and the array --------------------------------------------------------------------

cdef bint has_surrogate(str text) noexcept:
    """Whether a code point of U+D800 to U+DFFF is in `text`."""
    cdef int kind = PyUnicode_KIND(text)
    cdef const void *data = PyUnicode_DATA(text)
    cdef Py_ssize_t i
    cdef bint found = False
    # A constant width and no branch in the loops, so that the compiler looks at many characters at once.
    if kind == 2:
        for i in range(PyUnicode_GET_LENGTH(text)):
            found |= PyUnicode_READ(2, data, i) >> 11 == 0xD800 >> 11
    elif kind == 4:
        for i in range(PyUnicode_GET_LENGTH(text)):
            found |= PyUnicode_READ(4, data, i) >> 11 == 0xD800 >> 11
    return found


cdef object refusal(str reason, str argument, tuple path):
    """The error for `argument`; the reason names it if it is not simply the operation."""
    if argument != "operation":
        reason = f"in the argument {argument!r}: {reason}"
    return OperationError(reason, path)


cdef inline int64_t length_of(object value) noexcept:
    """The length that the integer `value` is (0 included), or -1 if it is none that JavaScript can count."""
    cdef int overflow = 0
    cdef int64_t length = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow != 0 or length > LONGEST or length < 0:
        return -1
    return length


cdef int decode_component(object value, Component *component, str argument, Py_ssize_t index) except -1:
    """Reads one component, with `text` borrowed from `value`; an empty one has length 0."""
    cdef PyObject *key = NULL
    cdef PyObject *inner = NULL
    cdef Py_ssize_t at = 0
    cdef object amount
    component.text = NULL
    if PyLong_CheckExact(value):
        component.kind = SKIP
        component.length = length_of(value)
        if component.length < 0:
            raise refusal(NO_LENGTH, argument, (index,))
        return 0
    if PyUnicode_CheckExact(value):
        component.kind = INSERT
        amount = value
    elif PyDict_CheckExact(value):
        # Reading the only entry runs no code of the key's type, which looking up "d" might.
        if PyDict_Size(value) != 1 or not PyDict_Next(value, &at, &key, &inner) or not is_d(<object> key):
            raise refusal('an object component must have exactly the key "d"', argument, (index,))
        component.kind = DELETE
        amount = <object> inner
        if PyLong_CheckExact(amount):
            component.length = length_of(amount)
            if component.length < 0:
                raise refusal(NO_LENGTH, argument, (index, "d"))
            return 0
        if not PyUnicode_CheckExact(amount):
            raise refusal("a delete must have a length or the deleted text", argument, (index, "d"))
    else:
        raise refusal(
            f"a component must be an integer, a string or an object, not {type(value).__name__}", argument,
            (index,)
        )
    if has_surrogate(amount):
        raise refusal("text must not have lone surrogates", argument,
                      (index,) if component.kind == INSERT else (index, "d"))
    component.text = <PyObject *> amount
    component.length = PyUnicode_GET_LENGTH(amount)
    return 0


cdef inline bint is_d(object key) noexcept:
    return (
        PyUnicode_CheckExact(key)
        and PyUnicode_GET_LENGTH(key) == 1
        and PyUnicode_READ(PyUnicode_KIND(key), PyUnicode_DATA(key), 0) == c"d"
    )


cdef int decode(object value, Operation *operation, str argument, bint strict=True) except -1:
    """Reads an operation into `operation`, which has begun; if `strict`, refuses all but normal form."""
    cdef Component component
    cdef Py_ssize_t i
    cdef Py_ssize_t count
    cdef int64_t before = 0  # characters that the operation spans in the document before it,
    cdef int64_t after = 0   # and in the document after it
    if not PyList_CheckExact(value):
        raise refusal(f"an operation must be a list of components, not {type(value).__name__}", argument, ())
    count = PyList_GET_SIZE(value)
    reserve(operation, count)
    for i in range(count):
        decode_component(<object> PyList_GET_ITEM(value, i), &component, argument, i)
        if component.kind != INSERT:
            before += component.length
        if component.kind != DELETE:
            after += component.length
        if before > LONGEST or after > LONGEST:
            raise refusal("the operation spans more characters than can be counted", argument, (i,))
        if not strict:
            append(operation, component.kind, component.length, component.text)
            continue
        if component.length == 0:
            raise refusal("a component must not be empty", argument, (i,))
        if i and operation.components[i - 1].kind == component.kind:
            raise refusal("neighbouring components of one kind must be merged", argument, (i,))
        push(operation, component.kind, component.length, component.text)
    if strict and count and operation.components[count - 1].kind == SKIP:
        raise refusal("the last component must not be a skip", argument, (count - 1,))
    return 0


cdef object encode_component(const Component *component):
    if component.kind == SKIP:
        return component.length
    if component.kind == INSERT:
        return <object> component.text
    if component.text != NULL:
        return {"d": <object> component.text}
    return {"d": component.length}


cdef list encode(Operation *operation):
    """The operation as a new list, without a trailing skip."""
    cdef Py_ssize_t count = operation.count
    cdef Py_ssize_t i
    cdef object value
    cdef list result
    if count and operation.components[count - 1].kind == SKIP:
        count -= 1
    result = PyList_New(count)
    for i in range(count):
        value = encode_component(&operation.components[i])
        Py_INCREF(value)
        PyList_SET_ITEM(result, i, value)
    return result


# -- the two walks ------------------------------------------------------------------------------------------

cdef int transform_into(Operation *result, Operation *operation, Operation *other, bint left) except -1:
    cdef Cursor cursor = Cursor(operation, 0, 0)
    cdef Component *mine
    cdef Component *theirs
    cdef int64_t rest
    cdef int64_t step
    cdef Py_ssize_t i
    for i in range(other.count):
        theirs = &other.components[i]
        if theirs.kind == INSERT:
            mine = current(&cursor)
            if left and mine != NULL and mine.kind == INSERT:
                append_part(result, mine, 0, mine.length)
                advance(&cursor, mine.length)
            append(result, SKIP, theirs.length, NULL)
            continue
        rest = theirs.length
        while rest:
            mine = current(&cursor)
            if mine == NULL:
                return 0  # all that could follow is skips
            if mine.kind == INSERT:
                append_part(result, mine, 0, mine.length)
                advance(&cursor, mine.length)
                continue
            step = min(rest, mine.length - cursor.offset)
            if theirs.kind == SKIP:
                append_part(result, mine, cursor.offset, step)
            advance(&cursor, step)
            rest -= step
    return append_rest(result, &cursor)


cdef int compose_into(Operation *result, Operation *first, Operation *second) except -1:
    cdef Cursor cursor = Cursor(first, 0, 0)
    cdef Component *earlier
    cdef Component *later
    cdef int64_t offset
    cdef int64_t step
    cdef Py_ssize_t i
    for i in range(second.count):
        later = &second.components[i]
        if later.kind == INSERT:
            append_part(result, later, 0, later.length)
            continue
        offset = 0
        while offset < later.length:
            earlier = current(&cursor)
            if earlier == NULL:
                append_part(result, later, offset, later.length - offset)
                break
            if earlier.kind == DELETE:
                append_part(result, earlier, 0, earlier.length)
                advance(&cursor, earlier.length)
                continue
            step = min(later.length - offset, earlier.length - cursor.offset)
            if later.kind == SKIP:
                append_part(result, earlier, cursor.offset, step)
            elif earlier.kind == SKIP:
                append_part(result, later, offset, step)
            # Otherwise what the first inserted the second deletes: nothing is left of either.
            advance(&cursor, step)
            offset += step
    return append_rest(result, &cursor)


# -- documents ----------------------------------------------------------------------------------------------

cdef int check_document(object document) except -1:
    if not PyUnicode_CheckExact(document):
        raise OperationError(f"a text document must be a string, not {type(document).__name__}")
    if has_surrogate(document):
        raise OperationError("a text document must not have lone surrogates")
    return 0


cdef int check_span(int64_t position, const Component *component, Py_ssize_t index, str document) except -1:
    """Refuses a skip or delete that from `position` on reaches beyond the end of the document."""
    if component.length > PyUnicode_GET_LENGTH(document) - position:
        raise OperationError(
            f"the operation goes beyond the document's end, at {PyUnicode_GET_LENGTH(document)}", (index,)
        )
    return 0


cdef CodePoint bits_between(str text, Py_ssize_t start, Py_ssize_t stop) noexcept:
    """All code points of `text[start:stop]`, joined by bitwise or: as wide as the widest of them."""
    cdef int kind = PyUnicode_KIND(text)
    cdef const void *data = PyUnicode_DATA(text)
    cdef Py_ssize_t i
    cdef CodePoint bits = 0
    if kind == 1:
        for i in range(start, stop):
            bits |= PyUnicode_READ(1, data, i)
    elif kind == 2:
        for i in range(start, stop):
            bits |= PyUnicode_READ(2, data, i)
    else:
        for i in range(start, stop):
            bits |= PyUnicode_READ(4, data, i)
    return bits


cdef CodePoint width_after(str document, Operation *operation) noexcept:
    """A code point as wide as the widest one of the document after the operation, for `PyUnicode_New`.

    A `str` must be stored no wider than its widest character needs. That can only have become less when a
    delete took one of the document's widest characters and no insert is as wide; then the kept text is looked
    through.
    """
    cdef CodePoint before = PyUnicode_MAX_CHAR_VALUE(document)
    cdef CodePoint narrower = 0xFFFF if before > 0xFFFF else 0xFF if before > 0xFF else 0x7F
    cdef CodePoint inserted = 0
    cdef CodePoint kept = 0
    cdef bint narrowing = False
    cdef Component *component
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t i
    for i in range(operation.count):
        component = &operation.components[i]
        if component.kind == INSERT:
            inserted |= PyUnicode_MAX_CHAR_VALUE(<object> component.text)
            continue
        if component.kind == DELETE and not narrowing:
            narrowing = bits_between(document, position, position + component.length) > narrower
        position += component.length
    if inserted >= before or not narrowing:
        return before | inserted
    position = 0
    for i in range(operation.count):
        component = &operation.components[i]
        if component.kind == SKIP:
            kept |= bits_between(document, position, position + component.length)
        if component.kind != INSERT:
            position += component.length
    kept |= bits_between(document, position, PyUnicode_GET_LENGTH(document))
    return min(kept | inserted, <CodePoint> 0x10FFFF)


cdef int copy_part(
    str result, Py_ssize_t written, str document, Py_ssize_t start, Py_ssize_t length
) except -1:
    """Copies `document[start:start + length]` to `result[written:]`, which is wide enough for it."""
    if PyUnicode_MAX_CHAR_VALUE(document) > PyUnicode_MAX_CHAR_VALUE(result):
        # CPython would check, from a wrong offset on, whether the text fits: narrow it first.
        document = PyUnicode_Substring(document, start, start + length)
        start = 0
    PyUnicode_CopyCharacters(result, written, document, start, length)
    return 0


cdef str apply_to(str document, Operation *operation):
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(document)
    cdef Py_ssize_t position = 0  # in the document,
    cdef Py_ssize_t written = 0   # and in the result
    cdef Py_ssize_t result_size = size
    cdef Component *component
    cdef Py_ssize_t i
    cdef str result
    for i in range(operation.count):
        component = &operation.components[i]
        if component.kind == INSERT:
            result_size += component.length
            continue
        check_span(position, component, i, document)
        position += component.length
        if component.kind == DELETE:
            result_size -= component.length
    result = PyUnicode_New(result_size, width_after(document, operation))
    position = 0
    for i in range(operation.count):
        component = &operation.components[i]
        if component.kind == INSERT:
            PyUnicode_CopyCharacters(result, written, <object> component.text, 0, component.length)
            written += component.length
            continue
        if component.kind == SKIP:
            copy_part(result, written, document, position, component.length)
            written += component.length
        position += component.length
    copy_part(result, written, document, position, size - position)
    return result


cdef bint is_left(str side) except -1:
    if side == "left":
        return True
    if side == "right":
        return False
    raise ValueError(f"side must be 'left' or 'right', not {side!r}")


# -- the type -----------------------------------------------------------------------------------------------

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
        if not PyLong_CheckExact(position):
            raise OperationError(f"a position must be an integer, not {type(position).__name__}")
        if length_of(position) < 0:
            raise OperationError(f"a position must be an integer of 0 to {MAX_LENGTH}")

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
        cdef Component *component
        cdef int64_t position = 0
        cdef Py_ssize_t i
        check_document(document)
        begin(&decoded)
        begin(&result)
        try:
            decode(operation, &decoded, "operation")
            for i in range(decoded.count):
                component = &decoded.components[i]
                if component.kind == INSERT:
                    append(&result, DELETE, component.length, component.text)
                    continue
                check_span(position, component, i, document)
                if component.kind == SKIP:
                    append(&result, SKIP, component.length, NULL)
                else:
                    deleted = PyUnicode_Substring(document, position, position + component.length)
                    append(&result, INSERT, component.length, <PyObject *> deleted)
                position += component.length
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
        cdef int64_t moved
        cdef int64_t at = 0  # in the document as far as it is transformed
        cdef Py_ssize_t i
        self.check_position(position)
        moved = length_of(position)
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
