from picows.picows cimport WSMsgType, WSTransport


cdef class Outbox:
    cdef:
        WSTransport transport        # None once the connection is gone
        object buffered              # the transport's get_write_buffer_size
        readonly bint writable
        Py_ssize_t bound

    cdef inline bint is_open(self) noexcept:
        return (self.transport is not None and not self.transport.is_close_frame_sent
                and not self.transport.is_disconnected)

    cdef int _send(self, WSMsgType kind, bytes message) except -1
    cdef int send_frame(self, char* payload, Py_ssize_t size) except -1
    cdef int send_raw(self, char* data, Py_ssize_t size) except -1
    cpdef bint send_text(self, bytes message) except -1
    cpdef int send_binary(self, bytes message) except -1
