"""What one connection is sent, in two lanes.

*Text* is reliable: operations, acks, errors. It is never dropped; what the socket does not take at once waits
in the transport, up to a bound. A connection that lets it grow further is not reading, and `send_text` says so
to have it closed (rule L2).

*Binary* is newest-wins: cursors. It is sent only while nothing waits (`writable`); who skips a connection that
is not writable owes it the newest state when it is writable again (B10). So a slow reader costs the gateway no
memory and is shown no past.

A write is a system call, which costs more than everything else that is done for a message. So there is a *cork*: while
it is in, text is gathered, and each connection gets all of its own with one write when the cork is drawn. Thirty
people whose operations come in together are each sent one piece instead of thirty. A message to many is framed once,
and its frame is shared until it is joined to the others of a connection. The lanes keep their order: what is binary,
and what closes a connection, goes out behind the text that was sent before it.

A long message is *compressed* for the connections that have agreed to it (`_deflate`), once for all of them that keep
no history. A large one is compressed on a thread meanwhile, and *held* by the outboxes that it is for, with the text
that comes behind it. They are not writable then, so that cursors are owed and do not wait. Since every message may
also be sent as it is, nothing has to wait when the connection ends: what is held goes out before the close frame.
"""

import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.string cimport memcpy
from picows.picows cimport WSMsgType, WSTransport

from ._deflate cimport Codec

log = logging.getLogger(__name__)

#: How much a connection's text may be before it leaves in spite of the cork: from here on a write is worth its price.
cdef Py_ssize_t CORKED_AT_MOST = 65536


cdef enum:
    FINAL = 0x80
    COMPRESSED = 0x40    # the first reserved bit (RFC 7692, 6)


cdef bytes framed(WSMsgType kind, bytes message, bint compressed=False):
    """The message as a frame of a server, which is not masked."""
    cdef Py_ssize_t size = len(message)
    cdef Py_ssize_t extended = 0 if size < 126 else 2 if size < 65536 else 8
    cdef Py_ssize_t index
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, 2 + extended + size)
    cdef uint8_t* header = <uint8_t*> PyBytes_AS_STRING(frame)
    header[0] = <uint8_t> (FINAL | (COMPRESSED if compressed else 0) | <int> kind)
    header[1] = <uint8_t> (size if extended == 0 else 126 if extended == 2 else 127)
    for index in range(extended):
        header[2 + index] = <uint8_t> (size >> 8 * (extended - 1 - index))
    memcpy(header + 2 + extended, PyBytes_AS_STRING(message), size)
    return frame


cdef class Cork:
    """Holds back the text that is sent by the outboxes of a gateway; it may be put in again while it is in."""

    def __cinit__(self):
        self.outboxes = []

    def __enter__(self):
        self.hold()

    def __exit__(self, kind, error, traceback):
        self.release()

    cdef int hold(self) except -1:
        self.depth += 1
        return 0

    cdef int release(self) except -1:
        cdef Outbox outbox
        cdef list outboxes
        self.depth -= 1
        if self.depth or not self.outboxes:
            return 0
        outboxes, self.outboxes = self.outboxes, []
        for outbox in outboxes:
            try:
                outbox.flush()
            except Exception:
                # The transport is closing under us; the others must not suffer. Its end is reported by itself.
                log.debug("a socket refused what was held back for it", exc_info=True)
        return 0


cdef class Text:
    """A text message on its way, in the forms in which connections take it. Each is made when the first one does."""

    def __cinit__(self, bytes message not None):
        self.message = message

    cdef bytes plain(self):
        """The frame in which it is not compressed."""
        if self.framed is None:
            self.framed = framed(WSMsgType.TEXT, self.message)
        return self.framed

    cdef object packed_for(self, Codec codec):
        """The frame in which it is compressed, by itself, or if that is not shorter the plain one; a `Packing` if it is
        large.
        """
        if self.packed is None:
            self.packed = {}
        form = self.packed.get(codec.window_bits)
        if form is None:
            if len(self.message) < codec.compression.large:
                form = shorter(self, codec.deflate(self.message))
            else:
                form = Packing(self, codec)
            self.packed[codec.window_bits] = form
        return form


cdef bytes shorter(Text text, bytes packed):
    return framed(WSMsgType.TEXT, packed, True) if len(packed) < len(text.message) else text.plain()


cdef class Packing:
    """A large text that is being compressed on a thread. The owners of the outboxes that hold it are told by `packed()`
    when it is done.
    """

    def __cinit__(self, Text text not None, Codec codec not None):
        self.text = text
        self.owners = []
        codec.compression.deflate_aside(text.message, codec.window_bits).add_done_callback(self._done)

    def _done(self, future):
        if future.cancelled():  # the gateway is stopping, and its connections are gone
            self.frame = self.text.plain()
        elif future.exception() is not None:
            log.error("a message could not be compressed", exc_info=future.exception())
            self.frame = self.text.plain()
        else:
            self.frame = shorter(self.text, future.result())
        owners, self.owners = self.owners, []
        for owner in owners:
            try:
                owner.packed()
            except Exception:
                # The transport is closing under us; the others must not suffer. Its end is reported by itself.
                log.debug("a socket refused what was held back for it", exc_info=True)


cdef class Outbox:
    """The sending side of a connection; `bound` is the most that may wait for it, in bytes. Nothing is compressed where
    `codec` is None.
    """

    def __cinit__(self, WSTransport transport not None, Cork cork not None, Py_ssize_t bound, Codec codec):
        self.transport = transport
        self.buffered = transport.underlying_transport.get_write_buffer_size
        self.cork = cork
        self.bound = bound
        self.codec = codec
        self.clear = self.writable = True

    @property
    def open(self):
        """Whether anything can be sent at all."""
        return self.is_open()

    @property
    def backlog(self):
        """How many bytes wait to be sent."""
        return 0 if self.transport is None else self.buffered() + self.corked_size + self.held_size

    def pause(self) -> None:
        """The transport has begun to keep what the socket does not take."""
        self.clear = self.writable = False

    def resume(self) -> None:
        """The transport has got rid of all that it kept."""
        self.clear = True
        self.writable = self.held is None

    def detach(self) -> None:
        """The connection is gone."""
        self.transport = None
        self.buffered = None
        self.corked = self.held = None
        self.corked_size = self.held_size = 0
        self.clear = self.writable = False

    cdef bint has_room(self, Py_ssize_t size) except -1:
        """Whether so many bytes more may wait."""
        return self.writable or <Py_ssize_t> self.buffered() + self.corked_size + self.held_size + size <= self.bound

    cdef bint send(self, Text text, object owner) except -1:
        """Sends one text message in the form that suits the connection. If it has to be held, `owner` is told by
        `packed()` when it may go. False as in `send_text`.
        """
        cdef Codec codec = self.codec
        cdef Py_ssize_t size = len(text.message)
        cdef bytes packed
        cdef Packing packing
        if codec is None or size < codec.compression.threshold or not self.is_open():
            return self.send_text(text.plain())
        if codec.keeps_history:
            if self.held is None and size < codec.compression.large:
                packed = codec.deflate_on(text.message)
                if len(packed) < size:
                    return self.send_text(framed(WSMsgType.TEXT, packed, True))
                codec.forget()
                return self.send_text(text.plain())
            codec.forget()
        form = text.packed_for(codec)
        if type(form) is bytes:
            return self.send_text(<bytes> form)
        if not self.has_room(size):
            return False
        self.sent_messages += 1
        packing = <Packing> form
        packing.owners.append(owner)
        if self.held is None:
            self.held = []
            self.writable = False
        self.held.append(packing)
        self.held_size += size
        return True

    cdef bint send_text(self, bytes frame) except -1:
        """Sends one text message, which is `framed`. False: the connection has more waiting than it may, and is to be
        closed.
        """
        cdef Py_ssize_t size = len(frame)
        if not self.is_open():
            return True
        if not self.has_room(size):
            return False
        self.sent_messages += 1
        if self.held is not None:
            self.held.append(frame)
            self.held_size += size
            return True
        if not self.cork.depth:
            self._write(frame)
            return True
        if self.corked is None:
            self.corked = []
            self.cork.outboxes.append(self)
        self.corked.append(frame)
        self.corked_size += size
        if self.corked_size > CORKED_AT_MOST:
            self.flush()
        return True

    cdef int flush(self) except -1:
        """Sends what the cork has held back."""
        cdef list frames = self.corked
        if frames is None:
            return 0
        self.corked = None
        self.corked_size = 0
        if self.is_open():
            self._write(<bytes> frames[0] if len(frames) == 1 else b"".join(frames))
        return 0

    cdef int send_held(self, bint at_once) except -1:
        """Sends what is held back, up to what is still being compressed; `at_once` that as well, as it is."""
        cdef list ready = []
        cdef Packing packing
        if self.held is None:
            return 0
        self.flush()
        for form in self.held:
            if type(form) is bytes:
                ready.append(form)
                self.held_size -= len(<bytes> form)
                continue
            packing = <Packing> form
            if packing.frame is None and not at_once:
                break
            ready.append(packing.text.plain() if packing.frame is None else packing.frame)
            self.held_size -= len(packing.text.message)
        del self.held[:len(ready)]
        if not self.held:
            self.held = None
            self.writable = self.clear
        if ready and self.is_open():
            self._write(b"".join(ready))
        return 0

    cdef int drain(self) except -1:
        """Sends all that is held back by whatever: the connection is about to end."""
        self.flush()
        self.send_held(True)
        return 0

    cdef int send_frame(self, char* payload, Py_ssize_t size) except -1:
        """Sends one binary message; the WebSocket header is written to the HEADROOM bytes in front of `payload`."""
        self.flush()
        self.count(1, size + (2 if size < 126 else 4 if size < 65536 else 10))
        self.transport.send_reuse_external_buffer(WSMsgType.BINARY, payload, size)
        return 0

    cdef int send_raw(self, char* data, Py_ssize_t size, Py_ssize_t messages) except -1:
        """Sends so many binary messages that have their WebSocket headers already, in one call. The outbox must be
        open.
        """
        self.flush()
        self.count(messages, size)
        self.transport._fast_write(data, size)
        return 0

    cdef int send_binary(self, bytes message) except -1:
        """Sends one binary message, unless the connection is closing."""
        cdef Codec codec = self.codec
        cdef bytes packed
        self.flush()
        if not self.is_open():
            return 0
        self.sent_messages += 1
        if codec is not None and codec.compression.cursors and len(message) >= codec.compression.threshold:
            packed = codec.deflate(message)
            if len(packed) < len(message):
                codec.forget()
                self._write(framed(WSMsgType.BINARY, packed, True))
                return 0
        self._write(framed(WSMsgType.BINARY, message))
        return 0

    cdef int _write(self, bytes data) except -1:
        """Hands frames to the socket, and what it does not take to the transport, which copies it.

        Not by picows' own `send`: it queues a longer message behind a view of its one header buffer, and the next
        header overwrites what still waits there.
        """
        self.sent_bytes += len(data)
        self.transport._fast_write(PyBytes_AS_STRING(data), len(data))
        return 0
