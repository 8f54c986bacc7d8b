from libc.stdint cimport int64_t
from picows.picows cimport WSMsgType, WSTransport

from ._deflate cimport Codec
from ._meter cimport COUNTED


cdef class Cork:
    cdef:
        Py_ssize_t depth
        list outboxes                # that have something to send when the cork is drawn

    cdef int hold(self) except -1
    cdef int release(self) except -1


cdef class Text:
    cdef:
        bytes message
        bytes framed                 # None until a connection takes it so
        dict packed                  # by window: the frame in which it is compressed

    cdef bytes plain(self)
    cdef object packed_for(self, Codec codec)


cdef class Packing:
    cdef:
        Text text
        bytes frame                  # None while it is under way
        list owners                  # of the outboxes that hold it


cdef class Outbox:
    cdef:
        WSTransport transport        # None once the connection is gone
        object buffered              # the transport's get_write_buffer_size
        Cork cork
        list corked                  # frames that wait for the cork to be drawn; None: none does
        Py_ssize_t corked_size
        list held                    # a Packing, and the frames and Packings behind it; None: nothing is held
        Py_ssize_t held_size
        bint clear                   # the transport keeps nothing
        readonly bint writable       # clear, and nothing is held
        Py_ssize_t bound
        Codec codec                  # None: nothing is compressed
        readonly int64_t sent_messages
        readonly int64_t skipped     # positions of others that were passed over, since it was not writable
        readonly int64_t sent_bytes  # as they went into the socket or wait before it, but for control frames

    cdef inline void count(self, Py_ssize_t messages, Py_ssize_t size) noexcept:
        if COUNTED:
            self.sent_messages += messages
            self.sent_bytes += size

    cdef inline bint is_open(self) noexcept:
        return (self.transport is not None and not self.transport.is_close_frame_sent
                and not self.transport.is_disconnected)

    cdef int _write(self, bytes data) except -1
    cdef int flush(self) except -1
    cdef int drain(self) except -1
    cdef int send_held(self, bint at_once) except -1
    cdef bint has_room(self, Py_ssize_t size) except -1
    cdef bint send(self, Text text, object owner) except -1
    cdef bint send_text(self, bytes frame) except -1
    cdef int send_frame(self, char* payload, Py_ssize_t size) except -1
    cdef int send_raw(self, char* data, Py_ssize_t size, Py_ssize_t messages) except -1
    cdef int send_binary(self, bytes message) except -1


cdef bytes framed(WSMsgType kind, bytes message, bint compressed=*)
