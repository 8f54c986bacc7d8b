"""What an operation does to a plain text: to a whole `str`, and to a `LiveText`, which changes in place.

A whole text is copied once by each operation, into a string of its final length and width. That is the fastest way
for short texts, and no way to type in a long one: ten million characters take half a millisecond a keystroke if they
are all Latin, and many milliseconds if they are not.

So a live text is a list of chunks, each a `str` of at most `LONGEST_CHUNK` characters. An operation falls into
groups of components that stay near each other, in neighbouring chunks or one; for each group these chunks are
joined, changed as a whole text, and cut again. Only when all groups are computed does the list of chunks change, so
that an operation happens as a whole or not at all. A chunk is as wide as its own characters: an emoji somewhere does
not make the whole text take four bytes a character.

A chunk is found by walking the list from where the last operation began. Authors type on where they are, and to
walk through all of a long text takes some microseconds.
"""

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_GetSlice, PyList_SetSlice
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_Join, PyUnicode_Substring
from libc.stdint cimport int64_t

from fastcollab.ot._text_operations cimport (
    DELETE, INSERT, SKIP, Component, Operation, append, begin, decode, encode, release,
)
from fastcollab.ot._unicode cimport (
    CodePoint, PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ, has_surrogate,
)
from fastcollab.ot.errors import OperationError

cdef extern from "Python.h":
    CodePoint PyUnicode_MAX_CHAR_VALUE(object text) noexcept
    str PyUnicode_New(Py_ssize_t length, CodePoint max_character)
    Py_ssize_t PyUnicode_CopyCharacters(
        object to, Py_ssize_t to_start, object source, Py_ssize_t source_start, Py_ssize_t count
    ) except -1

cdef enum:
    # Characters. Longer chunks take longer to copy, shorter ones are more to walk through; measured.
    LONGEST_CHUNK = 8192
    USUAL_CHUNK = LONGEST_CHUNK / 2
    # When chunks have become so short on average, the text is cut anew.
    SHORTEST_CHUNK = LONGEST_CHUNK / 8


# -- whole texts --------------------------------------------------------------------------------------------

cdef int check_document(object document) except -1:
    if not PyUnicode_CheckExact(document):
        raise OperationError(f"a text document must be a string, not {type(document).__name__}")
    if has_surrogate(document):
        raise OperationError("a text document must not have lone surrogates")
    return 0


cdef int check_span(int64_t position, const Component *component, Py_ssize_t index, int64_t length) except -1:
    """Refuses a skip or delete that from `position` on reaches beyond the end of a document of that length."""
    if component.length > length - position:
        raise OperationError(f"the operation goes beyond the document's end, at {length}", (index,))
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
        check_span(position, component, i, size)
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

cdef int invert_into(Operation *result, Operation *operation, str document) except -1:
    """The operation that undoes `operation`, of which `document` is the document before it."""
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(document)
    cdef Component *component
    cdef int64_t position = 0
    cdef Py_ssize_t i
    for i in range(operation.count):
        component = &operation.components[i]
        if component.kind == INSERT:
            append(result, DELETE, component.length, component.text)
            continue
        check_span(position, component, i, size)
        if component.kind == SKIP:
            append(result, SKIP, component.length, NULL)
        else:
            deleted = PyUnicode_Substring(document, position, position + component.length)
            append(result, INSERT, component.length, <PyObject *> deleted)
        position += component.length
    return 0


# -- live texts ---------------------------------------------------------------------------------------------

cdef int64_t utf8_size_of(str text) noexcept:
    """The bytes of `text` in UTF-8."""
    cdef int kind = PyUnicode_KIND(text)
    cdef const void *data = PyUnicode_DATA(text)
    cdef int64_t size = PyUnicode_GET_LENGTH(text)
    cdef Py_ssize_t i
    cdef CodePoint character
    for i in range(PyUnicode_GET_LENGTH(text)):
        character = PyUnicode_READ(kind, data, i)
        size += (character >= 0x80) + (character >= 0x800) + (character >= 0x10000)
    return size


cdef list cut(str text):
    """The text in chunks of about the usual length; none if it is empty."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
    cdef Py_ssize_t count
    cdef Py_ssize_t size
    cdef Py_ssize_t start
    if length <= LONGEST_CHUNK:
        return [text] if length else []
    count = (length + USUAL_CHUNK - 1) // USUAL_CHUNK
    size = (length + count - 1) // count
    return [PyUnicode_Substring(text, start, min(start + size, length)) for start in range(0, length, size)]


cdef struct Place:
    # A chunk, and where it starts in the text; in an empty text (0, 0).
    Py_ssize_t index
    int64_t start


cdef class LiveText:
    """A text that operations change in place; see `fastcollab.ot.LiveDocument`."""

    cdef list _chunks  # of str, none of them empty
    cdef int64_t _length
    cdef int64_t _size
    cdef Place _near  # the place of the last operation

    def __init__(self, str content not None):
        check_document(content)
        self._chunks = cut(content)
        self._length = PyUnicode_GET_LENGTH(content)
        self._size = utf8_size_of(content)
        self._near = Place(0, 0)

    def content(self):
        """The text as one `str`."""
        if PyList_GET_SIZE(self._chunks) == 1:
            return <str> PyList_GET_ITEM(self._chunks, 0)
        return PyUnicode_Join("", self._chunks)

    def size(self):
        """The bytes of the text in UTF-8."""
        return self._size

    def apply(self, operation):
        """Changes the text, and gives the operation that undoes it.

        Raises OperationError, and then the text is as it was.
        """
        cdef Operation decoded
        cdef Operation inverse
        begin(&decoded)
        begin(&inverse)
        try:
            decode(operation, &decoded, "operation")
            self._apply(&decoded, &inverse)
            return encode(&inverse)
        finally:
            release(&decoded)
            release(&inverse)

    cdef int _apply(self, Operation *operation, Operation *inverse) except -1:
        cdef Place place = self._near
        cdef Place near = self._near
        cdef Py_ssize_t first = 0          # the group's first chunk,
        cdef int64_t end = -1              # and where its last one ends; -1 outside of groups
        cdef int64_t position = 0
        cdef int64_t length = self._length
        cdef int64_t size = self._size
        cdef Component *component
        cdef Py_ssize_t i
        cdef Operation group
        cdef str deleted
        cdef list changes = []             # of first chunk, chunk after the last, and the text for them
        begin(&group)
        try:
            for i in range(operation.count):
                component = &operation.components[i]
                if component.kind != INSERT:
                    check_span(position, component, i, self._length)
                if component.kind == SKIP:
                    position += component.length
                    append(inverse, SKIP, component.length, NULL)
                    if position <= end:
                        append(&group, SKIP, component.length, NULL)
                    elif end >= 0:
                        changes.append(self._change(first, place.index, &group))
                        release(&group)
                        begin(&group)
                        end = -1
                    continue
                if end < 0:
                    self._seek(&place, position)
                    if not changes:
                        near = place
                    first = place.index
                    end = place.start + self._chunk_length(place.index)
                    append(&group, SKIP, position - place.start, NULL)
                append(&group, component.kind, component.length, component.text)
                if component.kind == INSERT:
                    append(inverse, DELETE, component.length, component.text)
                    length += component.length
                    size += utf8_size_of(<str> component.text)
                    continue
                deleted = self._take(&place, position, position + component.length)
                append(inverse, INSERT, component.length, <PyObject *> deleted)
                end = place.start + self._chunk_length(place.index)
                position += component.length
                length -= component.length
                size -= utf8_size_of(deleted)
            if end >= 0:
                changes.append(self._change(first, place.index, &group))
        finally:
            release(&group)
        # From the last to the first, so that the places of those to come stay what they are.
        for begun, ended, text in reversed(changes):
            PyList_SetSlice(self._chunks, begun, ended, cut(text))
        self._length = length
        self._size = size
        self._near = near
        self._tidy()
        return 0

    cdef inline int64_t _chunk_length(self, Py_ssize_t index) noexcept:
        if index >= PyList_GET_SIZE(self._chunks):
            return 0
        return PyUnicode_GET_LENGTH(<object> PyList_GET_ITEM(self._chunks, index))

    cdef void _seek(self, Place *place, int64_t position) noexcept:
        """Moves to a chunk that `position`, which is in the text, lies in or at an end of."""
        while position < place.start:
            place.index -= 1
            place.start -= self._chunk_length(place.index)
        while position > place.start + self._chunk_length(place.index):
            place.start += self._chunk_length(place.index)
            place.index += 1

    cdef str _take(self, Place *place, int64_t start, int64_t stop):
        """The text from `start` to `stop`, both in the text, and moves to where it ends."""
        cdef list parts = []
        cdef int64_t end
        cdef int64_t rest = start
        self._seek(place, start)
        while True:
            end = min(stop, place.start + self._chunk_length(place.index))
            parts.append(PyUnicode_Substring(
                <object> PyList_GET_ITEM(self._chunks, place.index), rest - place.start, end - place.start
            ))
            rest = end
            if rest == stop:
                return parts[0] if PyList_GET_SIZE(parts) == 1 else PyUnicode_Join("", parts)
            self._seek(place, rest + 1)

    cdef tuple _change(self, Py_ssize_t first, Py_ssize_t last, Operation *group):
        """What becomes of the chunks `first` to `last` by a group that starts with the first one."""
        cdef Py_ssize_t count = PyList_GET_SIZE(self._chunks)
        cdef str text
        if first == last < count:
            text = <str> PyList_GET_ITEM(self._chunks, first)
        else:
            text = PyUnicode_Join("", PyList_GetSlice(self._chunks, first, last + 1))
        return first, min(last + 1, count), apply_to(text, group)

    cdef int _tidy(self) except -1:
        """Sees to it that the last place is one, and that chunks do not become too many."""
        cdef Py_ssize_t count = PyList_GET_SIZE(self._chunks)
        if count * SHORTEST_CHUNK > self._length + LONGEST_CHUNK:
            self._chunks = cut(PyUnicode_Join("", self._chunks))
            self._near = Place(0, 0)
        elif self._near.index >= count:
            self._near = Place(0, 0)
        return 0
