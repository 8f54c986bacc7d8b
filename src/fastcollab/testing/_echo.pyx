"""The part of the echo that hears binary messages; see `echo.py`."""

from libc.stdint cimport uint8_t

from ..server._listener cimport Connection


cdef class EchoConnection(Connection):
    """A connection that sends every binary message back, whatever is in it."""

    cdef int receive_record(self, const uint8_t* data, Py_ssize_t size) except -1:
        if size > self.max_message:
            self.handler.too_long(self, size)
        else:
            self.outbox.send_binary((<const char*> data)[:size])
        return 0
