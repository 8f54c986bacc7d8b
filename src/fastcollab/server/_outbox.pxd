from picows.picows cimport WSMsgType, WSTransport


cdef class Cork:
    cdef:
        Py_ssize_t depth
        list outboxes                # that have something to send when the cork is drawn

    cdef int hold(self) except -1
    cdef int release(self) except -1


cdef class Outbox:
    cdef:
        WSTransport transport        # None once the connection is gone
        object buffered              # the transport's get_write_buffer_size
        Cork cork
        list corked                  # frames that wait for the cork to be drawn; None: none does
        Py_ssize_t corked_size
        readonly bint writable
        Py_ssize_t bound

    cdef inline bint is_open(self) noexcept:
        return (self.transport is not None and not self.transport.is_close_frame_sent
                and not self.transport.is_disconnected)

    cdef int _write(self, bytes data) except -1
    cdef int flush(self) except -1
    cdef bint send_text(self, bytes frame) except -1
    cdef int send_frame(self, char* payload, Py_ssize_t size) except -1
    cdef int send_raw(self, char* data, Py_ssize_t size) except -1
    cdef int send_binary(self, bytes message) except -1


cdef bytes framed(WSMsgType kind, bytes message)
