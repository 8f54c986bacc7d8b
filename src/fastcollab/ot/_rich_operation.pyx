"""Operations of rich text as arrays of C structs: read from Python values, kept in normal form, written to new ones.

`decode` checks what it reads, all of it: what is in an array is valid, and what `append` adds to one keeps it in normal
form, so that `encode` has nothing to check. Text and attributes stay Python objects, which the components own a
reference to; many components may share one dict of attributes, so none is changed, and `encode` copies each.
"""

from cpython.dict cimport PyDict_CheckExact, PyDict_Next, PyDict_SetItem, PyDict_Size
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_Substring
from libc.stdint cimport int64_t
from libc.string cimport memcmp

from fastcollab.ot._arguments cimport LONGEST, length_of
from fastcollab.ot._arguments cimport refusal as refusal_at
from fastcollab.ot._arrays cimport grow
from fastcollab.ot._rich_values cimport Step, copy_value, equal_attributes, path_to, weigh, weigh_attributes
from fastcollab.ot._unicode cimport (
    PyUnicode_Append, PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, has_surrogate, utf16_index, utf16_length,
)
from fastcollab.ot.errors import OperationError

cdef str ATTRIBUTES = "attributes"
cdef str DELETES = "delete"
cdef str INSERTS = "insert"
cdef str OPS = "ops"
cdef str RETAINS = "retain"


# -- the array of components --------------------------------------------------------------------------------

cdef int reserve(Operation *operation, Py_ssize_t capacity) except -1:
    """Makes room for `capacity` components."""
    if capacity > operation.capacity:
        operation.components = <Component *> grow(
            operation.components, operation.inline_components, sizeof(Component), operation.count,
            &operation.capacity, capacity
        )
    return 0


cdef inline int push(Operation *operation, Kind kind, int64_t length, object content, object attributes) except -1:
    """Adds a component at the end, as it is."""
    if operation.count == operation.capacity:
        reserve(operation, operation.count + 1)
    Py_INCREF(content)
    Py_INCREF(attributes)
    operation.components[operation.count] = Component(kind, length, <PyObject *> content, <PyObject *> attributes)
    operation.count += 1
    return 0


cdef inline bint mergeable(const Component *last, Kind kind, object attributes) except -1:
    """Whether a component of this kind and these attributes continues `last`, in normal form."""
    if last.kind != kind or kind == EMBED:
        return False
    return kind == DELETE or equal_attributes(<object> last.attributes, attributes)


cdef int append(Operation *operation, Kind kind, int64_t length, object content, object attributes) except -1:
    """Adds a component so that the operation stays in normal form: merged, and inserts before deletes."""
    cdef Py_ssize_t end = operation.count
    cdef Component *last
    cdef Component deletion
    cdef bint behind_delete
    if length == 0:
        return 0
    if end == 0:
        return push(operation, kind, length, content, attributes)
    behind_delete = operation.components[end - 1].kind == DELETE and is_insert(kind)
    last = &operation.components[end - 2 if behind_delete and end > 1 else end - 1]
    if mergeable(last, kind, attributes):
        if length > LONGEST - last.length:
            raise OperationError("the operation spans more units than can be counted")
        if kind == TEXT:
            PyUnicode_Append(&last.content, <PyObject *> content)
            if last.content == NULL:
                last.content = <PyObject *> None
                Py_INCREF(None)
                raise MemoryError
        last.length += length
        # Equal, but maybe with the keys in another order: quill-delta keeps the newer.
        Py_INCREF(attributes)
        Py_DECREF(<object> last.attributes)
        last.attributes = <PyObject *> attributes
        return 0
    push(operation, kind, length, content, attributes)
    if behind_delete:
        deletion = operation.components[end - 1]
        operation.components[end - 1] = operation.components[end]
        operation.components[end] = deletion
    return 0


cdef int advance(Cursor *cursor, int64_t length) except -1:
    """Moves over `length` units, no more than the current component has left."""
    cdef Component *component = &cursor.operation.components[cursor.index]
    cdef Py_ssize_t point
    if length == component.length - cursor.offset:
        cursor.index += 1
        cursor.offset = 0
        cursor.point = 0
        return 0
    cursor.offset += length
    if component.kind == TEXT:
        point = utf16_index(<str> component.content, cursor.point, length)
        if point < 0:
            raise OperationError("a component must not end inside a surrogate pair")
        cursor.point = point
    return 0


cdef int append_next(Operation *result, Cursor *cursor, int64_t length, object attributes) except -1:
    """Appends the next `length` units, no more than the current component has left, and moves over them."""
    cdef Component *component = &cursor.operation.components[cursor.index]
    cdef Py_ssize_t start = cursor.point
    cdef Py_ssize_t stop
    advance(cursor, length)
    if component.kind != TEXT or length == component.length:
        return append(result, component.kind, length, <object> component.content, attributes)
    stop = cursor.point if cursor.offset else PyUnicode_GET_LENGTH(<object> component.content)
    part = PyUnicode_Substring(<object> component.content, start, stop)
    return append(result, TEXT, length, part, attributes)


cdef int append_rest(Operation *result, Cursor *cursor) except -1:
    """Appends all that the cursor has not yet passed."""
    while current(cursor) != NULL:
        append_next(result, cursor, left_in(cursor), <object> current(cursor).attributes)
    return 0


# -- between Python values and the array --------------------------------------------------------------------

cdef object refusal(str reason, str argument, const Step *step, str key=None):
    """The error for what is under `key` at `step` in the argument."""
    return refusal_at(reason, argument, path_to(step, key))


cdef object misfit(str reason, const Operation *operation, Py_ssize_t index):
    """The error for a component that is well formed but does not fit its document."""
    return OperationError(reason, (OPS, index) if operation.wrapped else (index,))


cdef int64_t read_length(object value, str argument, const Step *step, str key) except -1:
    cdef int64_t length = length_of(value) if PyLong_CheckExact(value) else -1
    if length < 0:
        raise refusal(f"a length must be a positive integer, at most {LONGEST}", argument, step, key)
    return length


cdef inline bint is_key(object key, const char *name, Py_ssize_t length) noexcept:
    """Whether `key` is the `length` ASCII characters of `name`."""
    return (
        PyUnicode_GET_LENGTH(key) == length
        and PyUnicode_KIND(key) == 1
        and memcmp(PyUnicode_DATA(key), name, length) == 0
    )


cdef int decode_content(object value, Component *component, str argument, const Step *step) except -1:
    """Reads what an insert inserts."""
    component.content = <PyObject *> value
    if PyUnicode_CheckExact(value):
        if has_surrogate(value):
            raise refusal("text must not have lone surrogates", argument, step, INSERTS)
        component.kind = TEXT
        component.length = utf16_length(value)
    elif PyDict_CheckExact(value):
        if PyDict_Size(value) == 0:
            raise refusal("an embed must not be empty", argument, step, INSERTS)
        component.kind = EMBED
        component.length = 1
    else:
        raise refusal(f"what is inserted must be a string or an object, not {type(value).__name__}", argument, step,
                      INSERTS)
    return 0


cdef int decode_action(object key, object value, Component *component, str argument, const Step *step) except -1:
    """Reads the entry of a component that says what to do."""
    if is_key(key, "insert", 6):
        return decode_content(value, component, argument, step)
    component.content = <PyObject *> None
    if is_key(key, "delete", 6):
        component.kind = DELETE
        component.length = read_length(value, argument, step, DELETES)
    elif is_key(key, "retain", 6):
        if PyDict_CheckExact(value):
            raise refusal("changes inside an embed are not supported: delete it and insert another", argument, step,
                          RETAINS)
        component.kind = RETAIN
        component.length = read_length(value, argument, step, RETAINS)
    else:
        raise refusal(f"a component must not have the key {key!r}", argument, step)
    return 0


cdef int64_t weigh_component(const Component *component, str argument, const Step *step, int64_t most) except -1:
    """Checks an embed and attributes, of which the latter may weigh `most`, and gives the weight of the component."""
    cdef int64_t weight = component.length if component.kind == TEXT else 0
    cdef int64_t attributes
    cdef Step inner
    if component.kind != EMBED and <object> component.attributes is None:
        return weight
    inner.outer = step
    inner.index = 0
    try:
        if component.kind == EMBED:
            inner.key = <void *> INSERTS
            weight += weigh(<object> component.content, &inner, 0)
        if <object> component.attributes is not None:
            inner.key = <void *> ATTRIBUTES
            attributes = weigh_attributes(<dict> component.attributes, &inner)
            if attributes > most:
                raise OperationError(f"the attributes of a component have at most the size {most}", path_to(&inner))
            weight += attributes
    except OperationError as error:
        if argument == "operation":
            raise
        raise OperationError(f"in the argument {argument!r}: {error.reason}", error.path) from None
    return weight


cdef int decode_component(object value, Component *component, str argument, const Step *step, bint strict) except -1:
    """Reads one component, with content and attributes borrowed from `value`; an empty one has length 0."""
    cdef PyObject *key = NULL
    cdef PyObject *inner = NULL
    cdef Py_ssize_t at = 0
    cdef int actions = 0
    if not PyDict_CheckExact(value):
        raise refusal(f"a component must be an object, not {type(value).__name__}", argument, step)
    component.attributes = <PyObject *> None
    while PyDict_Next(value, &at, &key, &inner):
        if not PyUnicode_CheckExact(<object> key):
            raise refusal(f"a key must be a string, not {type(<object> key).__name__}", argument, step)
        if not is_key(<object> key, "attributes", 10):
            decode_action(<object> key, <object> inner, component, argument, step)
            actions += 1
        elif PyDict_CheckExact(<object> inner) and (strict or PyDict_Size(<object> inner)):
            if PyDict_Size(<object> inner) == 0:
                raise refusal("attributes must not be empty", argument, step, ATTRIBUTES)
            component.attributes = inner
        elif strict or not (<object> inner is None or PyDict_CheckExact(<object> inner)):
            reason = f"attributes must be an object, not {type(<object> inner).__name__}"
            raise refusal(reason, argument, step, ATTRIBUTES)
    if actions != 1:
        raise refusal('a component must have one of the keys "insert", "retain" and "delete"', argument, step)
    if component.kind == DELETE and <object> component.attributes is not None:
        raise refusal("a delete must not have attributes", argument, step, ATTRIBUTES)
    return 0


cdef list components_of(object value, str argument, bint *wrapped):
    """The list of components that `value` is, or holds under ``"ops"``."""
    cdef PyObject *key = NULL
    cdef PyObject *inner = NULL
    cdef Py_ssize_t at = 0
    wrapped[0] = False
    if PyDict_CheckExact(value):
        if (
            PyDict_Size(value) != 1
            or not PyDict_Next(value, &at, &key, &inner)
            or not PyUnicode_CheckExact(<object> key)
            or not is_key(<object> key, "ops", 3)
        ):
            raise refusal('an object must have exactly the key "ops"', argument, NULL)
        wrapped[0] = True
        value = <object> inner
    if not PyList_CheckExact(value):
        noun = "a document" if argument == "document" else "an operation"
        reason = f"{noun} must be a list of components, not {type(value).__name__}"
        raise refusal(reason, argument, NULL, OPS if wrapped[0] else None)
    return value


cdef int decode(
    object value, Operation *operation, str argument, bint strict=True, int64_t most_attributes=LONGEST
) except -1:
    """Reads an operation into `operation`, which has begun; if `strict`, refuses all but normal form."""
    cdef list components = components_of(value, argument, &operation.wrapped)
    cdef Component component = Component(RETAIN, 0, NULL, NULL)
    cdef Component *last
    cdef Step root = Step(NULL, <void *> OPS, 0)
    cdef Step step = Step(NULL, NULL, 0)
    cdef Py_ssize_t i
    if operation.wrapped:
        step.outer = &root
    for i in range(PyList_GET_SIZE(components)):
        step.index = i
        decode_component(<object> PyList_GET_ITEM(components, i), &component, argument, &step, strict)
        operation.size += weigh_component(&component, argument, &step, most_attributes)
        if not is_insert(component.kind):
            operation.before += component.length
        if component.kind != DELETE:
            operation.after += component.length
        if operation.before > LONGEST or operation.after > LONGEST:
            raise refusal("the operation spans more units than can be counted", argument, &step)
        if not strict:
            append(operation, component.kind, component.length, <object> component.content,
                   <object> component.attributes)
            continue
        if component.length == 0:
            raise refusal("a component must not be empty", argument, &step)
        if i:
            last = &operation.components[i - 1]
            if mergeable(last, component.kind, <object> component.attributes):
                raise refusal("neighbouring components that are alike must be merged", argument, &step)
            if last.kind == DELETE and is_insert(component.kind):
                raise refusal("an insert must come before a delete at the same place", argument, &step)
        push(operation, component.kind, component.length, <object> component.content, <object> component.attributes)
    return 0


cdef int decode_document(object value, Operation *document, bint strict=True) except -1:
    """Reads a document: an operation that does nothing but insert."""
    cdef Py_ssize_t i
    decode(value, document, "document", strict)
    for i in range(document.count):
        if not is_insert(document.components[i].kind):
            raise misfit("in the argument 'document': a document has inserts only", document, i)
    return 0


cdef inline object encode_component(const Component *component):
    cdef dict encoded = {}
    if component.kind == TEXT:
        PyDict_SetItem(encoded, INSERTS, <object> component.content)
    elif component.kind == EMBED:
        PyDict_SetItem(encoded, INSERTS, copy_value(<object> component.content))
    else:
        PyDict_SetItem(encoded, RETAINS if component.kind == RETAIN else DELETES, component.length)
    if <object> component.attributes is not None:
        PyDict_SetItem(encoded, ATTRIBUTES, copy_value(<object> component.attributes))
    return encoded


cdef list encode(Operation *operation):
    """The operation as a new list, without a trailing retain that does nothing."""
    cdef Py_ssize_t count = operation.count
    cdef Component *last
    cdef Py_ssize_t i
    cdef object value
    cdef list result
    if count:
        last = &operation.components[count - 1]
        if last.kind == RETAIN and <object> last.attributes is None:
            count -= 1
    result = PyList_New(count)
    for i in range(count):
        value = encode_component(&operation.components[i])
        Py_INCREF(value)
        PyList_SET_ITEM(result, i, value)
    return result
