"""Documents of json1: applying operations to them.

`apply` goes through the operation twice, as it is written: first all picks and removes, with the keys of the old
document, then all drops, inserts and edits, with the keys of the new one. What is picked up is held in between.

A document is copied as a whole before it is changed, so that the result shares nothing with it. With `share`, only
the lists and dicts on the way to a change are copied, and the rest is the same object in both.
"""

cimport cython
from cpython.dict cimport PyDict_CheckExact
from cpython.list cimport PyList_CheckExact, PyList_GET_SIZE
from libc.stdint cimport int64_t

from fastcollab.ot cimport _json1_invert
from fastcollab.ot._json1_form cimport MAX_DEPTH, decode, encode
from fastcollab.ot._json1_size cimport growth, size_of
from fastcollab.ot._json1_subtypes cimport Subtype, Subtypes
from fastcollab.ot._json1_tree cimport (
    NO_SLOT, Arena, Component, Node, Operation, begin, has_drop, has_edit, has_pick, place_in_operation, release,
)
from fastcollab.ot._json1_values cimport ABSENT, copy_value, depth_of, member, set_member, shallow_copy

from fastcollab.ot.errors import OperationError


@cython.final
@cython.freelist(8)
cdef class Application:
    """One application of an operation, while it goes on."""

    cdef bint share
    cdef list held   # what was picked up, by slot

    cdef object pick(self, object value, const Node *node):
        """What is left of `value` once all picks and removes at the node and below it are done."""
        cdef const Node *child = node.first
        cdef const Component *component = node.component
        cdef object inner
        cdef object outcome
        cdef int64_t index
        cdef int64_t gone = 0
        cdef bint own = not self.share
        while child != NULL:
            index = child.index - gone
            inner = member(value, child.name, index)
            outcome = self.pick(inner, child)
            if outcome is not inner:
                if not own:
                    value = shallow_copy(value)
                    own = True
                set_member(value, child.name, index, outcome)
                gone += outcome is ABSENT
            child = child.next
        if has_pick(component):
            if value is ABSENT:
                raise OperationError("there is nothing here to pick up or remove", place_in_operation(node, None))
            if component.pick != NO_SLOT:
                self.held[component.pick] = value
            return ABSENT
        return value

    cdef object drop(self, object value, const Node *node, Py_ssize_t depth):
        """What becomes of `value` by all drops, inserts and edits at the node and below it."""
        cdef const Node *child = node.first
        cdef const Component *component = node.component
        cdef object inner
        cdef object outcome
        cdef bint own = not self.share
        if component != NULL:
            if has_drop(component):
                if value is not ABSENT:
                    raise OperationError("there is something here already", place_in_operation(node, None))
                if component.drop != NO_SLOT:
                    value = self.held[component.drop]
                    if depth_of(value, MAX_DEPTH - depth) > MAX_DEPTH - depth:
                        raise OperationError("the document would be nested too deeply",
                                             place_in_operation(node, "d"))
                else:
                    value = copy_value(<object> component.inserted)
            if has_edit(component):
                value = edited(value, node)
        while child != NULL:
            if has_drop(child.component):
                if not own:
                    value = shallow_copy(value)
                    own = True
                outcome = self.drop(member(value, child.name, 0) if child.name != NULL else ABSENT, child, depth + 1)
                insert(value, child, outcome)
            else:
                inner = member(value, child.name, child.index)
                outcome = self.drop(inner, child, depth + 1)
                if outcome is not inner:
                    if not own:
                        value = shallow_copy(value)
                        own = True
                    set_member(value, child.name, child.index, outcome)
            child = child.next
        return value


cdef int insert(object container, const Node *node, object value) except -1:
    if node.name != NULL:
        if not PyDict_CheckExact(container):
            raise OperationError("there is no object here to put anything into", place_in_operation(node, None))
        (<dict> container)[<object> node.name] = value
        return 0
    if not PyList_CheckExact(container):
        raise OperationError("there is no list here to put anything into", place_in_operation(node, None))
    if node.index > PyList_GET_SIZE(container):
        raise OperationError("the index is beyond the end of the list", place_in_operation(node, None))
    (<list> container).insert(node.index, value)
    return 0


cdef object edited(object value, const Node *node):
    cdef const Component *component = node.component
    cdef Subtype subtype = <Subtype> <object> component.subtype
    try:
        return subtype.apply(value, <object> component.edit)
    except OperationError as error:
        raise OperationError(error.reason, (*place_in_operation(node, None), *error.path)) from None


cdef object applied(const Operation *operation, object document, bint share):
    """The document after the operation; without `share` it is changed in place."""
    cdef Application application = Application.__new__(Application)
    application.share = share
    application.held = [None] * operation.moves if operation.moves else None
    return application.drop(application.pick(document, operation.root), operation.root, 0)


cdef object apply(object document, object operation, Subtypes subtypes, bint share):
    cdef Arena arena
    cdef Operation decoded
    begin(&arena)
    try:
        decode(&arena, &decoded, operation, "operation", subtypes)
        return applied(&decoded, document if share else copy_value(document), share)
    finally:
        release(&arena)


@cython.final
cdef class LiveJson:
    """A json1 document that operations change; see `fastcollab.ot.live.LiveDocument`.

    Each of its contents shares with the next what the operation between them has left unchanged.
    """

    def content(self):
        """The document; its lists and dicts must not be changed."""
        return self.document

    def size(self):
        """The bytes that the document takes as JSON in UTF-8, or a text as such; 0 if there is none."""
        if is_container(self.measured) and is_container(self.document):
            self.bytes += <Py_ssize_t> growth(self.measured, self.document)
        else:
            self.bytes = size_of(self.document)
        self.measured = self.document
        return self.bytes

    def apply(self, operation):
        """Changes the document, and gives the operation that undoes it.

        Raises OperationError, and then the document is as it was.
        """
        cdef Arena arena
        cdef Operation decoded
        cdef Operation inverse
        begin(&arena)
        try:
            decode(&arena, &decoded, operation, "operation", self.subtypes)
            document = applied(&decoded, self.document, True)
            _json1_invert.invert(&arena, &decoded, self.document, &inverse)
            self.document = document
            return encode(inverse.root)
        finally:
            release(&arena)


cdef bint is_container(object value) noexcept:
    return PyDict_CheckExact(value) or PyList_CheckExact(value)


cdef LiveJson open_document(object content, Subtypes subtypes):
    cdef LiveJson live = LiveJson.__new__(LiveJson)
    live.document = content
    live.measured = ABSENT
    live.subtypes = subtypes
    return live
