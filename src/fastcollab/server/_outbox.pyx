"""What one connection is sent, in two lanes.

*Text* is reliable: operations, acks, errors. It is never dropped; what the socket does not take at once waits
in the transport, up to a bound. A connection that lets it grow further is not reading, and `send_text` says so
to have it closed (rule L2).

*Binary* is newest-wins: cursors. It is sent only while nothing waits (`writable`); who skips a connection that
is not writable owes it the newest state when it is writable again (B10). So a slow reader costs the gateway no
memory and is shown no past.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcpy
from picows.picows cimport WSMsgType, WSTransport

from .._binary cimport HEADROOM

cdef Py_ssize_t COPIED_BY_PICOWS = 8192


cdef class Outbox:
    """The sending side of a connection; `bound` is the most that may wait for it, in bytes."""

    def __cinit__(self, WSTransport transport not None, Py_ssize_t bound):
        self.transport = transport
        self.buffered = transport.underlying_transport.get_write_buffer_size
        self.bound = bound
        self.writable = True

    @property
    def open(self):
        """Whether anything can be sent at all."""
        return self.is_open()

    @property
    def backlog(self):
        """How many bytes wait to be sent."""
        return 0 if self.transport is None else self.buffered()

    def pause(self) -> None:
        """The transport has begun to keep what the socket does not take."""
        self.writable = False

    def resume(self) -> None:
        """The transport has got rid of all that it kept."""
        self.writable = True

    def detach(self) -> None:
        """The connection is gone."""
        self.transport = None
        self.buffered = None
        self.writable = False

    cdef int send_frame(self, char* payload, Py_ssize_t size) except -1:
        """Sends one binary message; the WebSocket header is written to the HEADROOM bytes in front of `payload`."""
        self.transport.send_reuse_external_buffer(WSMsgType.BINARY, payload, size)
        return 0

    cdef int send_raw(self, char* data, Py_ssize_t size) except -1:
        """Sends messages that have their WebSocket headers already, in one call. The outbox must be open."""
        self.transport._fast_write(data, size)
        return 0

    cpdef bint send_text(self, bytes message) except -1:
        """Sends one text message. False: the connection has more waiting than it may, and is to be closed."""
        if not self.is_open():
            return True
        if not self.writable and <Py_ssize_t> self.buffered() + len(message) > self.bound:
            return False
        self._send(WSMsgType.TEXT, message)
        return True

    cpdef int send_binary(self, bytes message) except -1:
        """Sends one binary message, unless the connection is closing."""
        if self.is_open():
            self._send(WSMsgType.BINARY, message)
        return 0

    cdef int _send(self, WSMsgType kind, bytes message) except -1:
        """Sends one message, of which nothing is kept but in the transport's own copy.

        picows queues a longer message behind a view of its one header buffer, and the next header overwrites what
        still waits there. So longer ones go out as one piece with their header, which is copied where it has to wait.
        """
        cdef Py_ssize_t size = len(message)
        cdef bytearray whole
        cdef char* start
        if size <= COPIED_BY_PICOWS:
            self.transport.send(kind, message)
            return 0
        whole = PyByteArray_FromStringAndSize(NULL, HEADROOM + size)
        start = PyByteArray_AS_STRING(whole) + HEADROOM
        memcpy(start, PyBytes_AS_STRING(message), size)
        self.transport.send_reuse_external_buffer(kind, start, size)
        return 0
