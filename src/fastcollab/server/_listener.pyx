"""The receiving side of a connection: frames from picows, messages to the gateway, cursors straight to the room.

picows parses what comes in, unmasks it and hands over *frames*. What RFC 6455 asks of a server beyond that is done
here: fragments are put together, reserved bits and close codes checked, text checked to be UTF-8, and the close
handshake carried through. Sizes are bounded while a message is put together; the rest of one that grows too long is
read and dropped, so that the connection can be told and live on (E7). Where compression was agreed upon, the first
reserved bit marks a compressed message, which is gathered as it comes and inflated as a whole, no further than a
message may be long.

The hot path is :meth:`Connection.on_ws_frame` for a binary frame that is whole: checked where it lies in the read
buffer, and copied from there into the batch of the connection's active room. Everything else goes to the handler, a
Python object with these methods (typed in the stub as `ConnectionHandler`)::

    opened(connection)                        the upgrade is done
    text(connection, message)                 a text message
    refused_frame(connection, fault, size)    a binary message that is no frame
    no_active_room(connection)                a frame that has nowhere to go
    began_binary(connection)                  the first frame
    selected(connection, anchor, head)        a selection frame, before it is put into the batch; False: refused
    too_long(connection, size)                a message over the limit, which was dropped
    inflated_too_much(connection)             more than a connection may have inflated in a second; to be ended
    writable(connection)                      all that waited has been sent
    closing(connection, failed)               a close frame was sent; failed: do not wait for the answer
    closed(connection, farewell)              the end; farewell: the client closed with code 1000
"""

import zlib
from collections import namedtuple

from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t
from picows.picows cimport WSCloseCode, WSCloseInfo, WSFrame, WSMsgType, WSTransport

from .._binary cimport CURSOR, FRAME_GOOD, FRAME_SIZE_VIEWPORT, FrameFault, check_frame, load_f32, load_u16
from ._deflate cimport Codec
from ._meter cimport COUNTED, Amount, take_rates
from ._outbox cimport Outbox, Text
from ._pump cimport Pump, monotonic_ns
from ._throttle cimport Throttle

cdef enum CloseStatus:
    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_DATA = 1007
    TOO_BIG = 1009


cdef int64_t LONG_ROUND_TRIP = 100_000_000  # ns

cdef Py_ssize_t MAX_REASON = 123  # of a control frame's 125 bytes, two are the code

# What frames cost, in tokens of the throttle (L3).
cdef double RECORD_PRICE = 0.1
cdef Py_ssize_t BYTES_PER_TOKEN = 2048
cdef Py_ssize_t PACKED_RECORD_SIZE = FRAME_SIZE_VIEWPORT + 8  # compressed, which makes a record no shorter


cdef inline bint may_be_received(int code) noexcept:
    """Whether a peer may send this code in a close frame (RFC 6455, 7.4)."""
    return (1000 <= code <= 1003) or (1007 <= code <= 1014) or (3000 <= code <= 4999)


def deliver(recipients, bytes message) -> list:
    """Sends a text message to the connections of these sessions, those that have one. Returns the connections for which
    too much waits, which are to be closed.
    """
    cdef Connection connection
    cdef Text text = Text(message)
    cdef list overfull = []
    for session in recipients:
        connection = session.shell
        if connection is not None and not connection.outbox.send(text, connection):
            overfull.append(connection)
    return overfull


#: Of all connections: how many bytes came and went, how many do not take what they are sent, or are not read (L3).
Census = namedtuple("Census", ["received_bytes", "sent_bytes", "slow", "throttled"])


def take_census(connections) -> Census:
    """Looks at all of these connections, which are open."""
    cdef Connection connection
    cdef int64_t received = 0
    cdef int64_t sent = 0
    cdef Py_ssize_t slow = 0
    cdef Py_ssize_t throttled = 0
    for connection in connections:
        received += connection.received_bytes
        sent += connection.outbox.sent_bytes
        slow += not connection.outbox.writable
        throttled += connection.throttled
    return Census(received, sent, slow, throttled)


cdef class Connection(WSListener):
    """One WebSocket, from its upgrade to its end. `session` is the core's; `batched` tells the subprotocol; there are
    compressed messages if there is a `codec`.
    """

    def __init__(self, handler, Pump pump not None, bint batched, token, previous, Py_ssize_t max_message,
                 Py_ssize_t max_backlog, Throttle throttle=None, Codec codec=None):
        self.handler = handler
        self.pump = pump
        self.fd = -1
        self.batched = batched
        self.token = token
        self.previous = previous
        self.members = {}
        self.max_message = max_message
        # No compressor adds more than an eighth: the fixed code of deflate has at most 9 bits for a byte.
        self.max_packed = max_message + (max_message >> 3) + 64
        self.max_backlog = max_backlog
        self.throttle = throttle
        self.tokens = 0 if throttle is None else throttle.capacity
        self.codec = codec
        self.opened_at = self.last_heard = self.pinged_at = monotonic_ns()
        self._rates.since = self._rates.at = self.opened_at
        self.close_code = ABNORMAL

    # --- called by picows ---

    cpdef on_ws_connected(self, WSTransport transport):
        # The upgrade request with its headers, and the token in them, is needed no more.
        transport.request = None
        transport.response = None
        # `pause_writing` as soon as the socket does not take all. Transports of TLS pause at their mark, not above it.
        transport.underlying_transport.set_write_buffer_limits(high=1 if transport.is_secure else 0)
        self.outbox = Outbox(transport, self.pump.cork, self.max_backlog, self.codec)
        self.fd = self.pump.add(transport.underlying_transport)
        self.handler.opened(self)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef int64_t elapsed = -self.last_heard
        self.last_heard = monotonic_ns()
        elapsed += self.last_heard
        if self.throttle is not None:
            self.pay(frame, elapsed)
        self.heard(frame)
        if self.closing or (transport.is_close_frame_sent and frame.msg_type != WSMsgType.CLOSE):
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            if self.codec is None or frame.rsv2 or frame.rsv3 or (
                    frame.msg_type != WSMsgType.TEXT and frame.msg_type != WSMsgType.BINARY):
                self.fail(PROTOCOL_ERROR, "reserved bits are set")
            elif frame.fin and self.fragments is None:
                self.receive_packed(frame.msg_type, frame.payload_ptr, frame.payload_size)
            else:
                self.receive_fragment(frame)
        elif frame.msg_type == WSMsgType.BINARY and frame.fin and self.fragments is None:
            self.receive_record(<uint8_t*> frame.payload_ptr, frame.payload_size)
        elif frame.msg_type == WSMsgType.PING:
            self.outbox.flush()
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.PONG:
            if self.awaits_pong:
                self.awaits_pong = False
                self.round_trip = self.last_heard - self.pinged_at
                self.pump.meter.ping_seconds.add(self.round_trip / 1e9)
        elif frame.msg_type == WSMsgType.CLOSE:
            self.receive_close(transport, frame)
        else:
            self.receive_fragment(frame)

    cpdef on_ws_disconnected(self, WSTransport transport):
        cdef bint farewell = False
        self.closing = True
        self.pump.remove(self.fd)
        self.active = None
        self.fragments = None
        if self.throttled:
            self.throttle.let_go(self)
        if transport.close_handshake is not None:
            if transport.close_handshake.recv is not None:
                farewell = <int> transport.close_handshake.recv.code == <int> NORMAL
            first = transport.close_handshake.sent
            if first is None or transport.close_handshake.recv_then_sent:
                first = transport.close_handshake.recv
            self.close_code = <int> (<WSCloseInfo> first).code or <int> NO_STATUS
        self.pump.meter.received_bytes += self.received_bytes
        if self.outbox is not None:
            self.outbox.detach()
            self.pump.meter.sent_bytes += self.outbox.sent_bytes
        handler = self.handler
        self.handler = None
        if handler is not None:
            handler.closed(self, farewell)

    cpdef pause_writing(self):
        if self.outbox is not None:
            self.outbox.pause()
            if not self.behind_since:
                self.behind_since = monotonic_ns()

    def packed(self) -> None:
        """A large message to this connection has been compressed: what was held back with it may go."""
        if self.outbox.held is not None:
            self.outbox.send_held(False)
            if self.outbox.writable and self.handler is not None:
                self.handler.writable(self)

    cpdef resume_writing(self):
        if self.outbox is not None and self.handler is not None:
            self.behind_since = 0
            self.outbox.resume()
            self.handler.writable(self)

    # --- receiving ---

    cdef void heard(self, WSFrame frame) noexcept:
        """Takes note of a sign of life."""
        self.probed = False
        if COUNTED and frame.msg_type < WSMsgType.CLOSE:
            self.received_messages += frame.fin
            self.received_bytes += frame.payload_size + (
                6 if frame.payload_size < 126 else 8 if frame.payload_size < 65536 else 14)

    cdef int pay(self, WSFrame frame, int64_t elapsed) except -1:
        """Pays for a frame, that comes `elapsed` ns after the last one (L3)."""
        self.tokens = self.throttle.filled(self.tokens, elapsed)
        if frame.msg_type == WSMsgType.BINARY and frame.payload_size <= (
                PACKED_RECORD_SIZE if frame.rsv1 else FRAME_SIZE_VIEWPORT):
            self.charge(RECORD_PRICE)
        else:
            self.charge(1 + frame.payload_size // BYTES_PER_TOKEN)
        return 0

    cpdef int charge(self, double price) except -1:
        """Takes tokens, for what a frame had in it besides (L3); who has none left is not read for a while."""
        self.tokens -= price
        if self.tokens < 0 and not self.throttled and self.throttle is not None:
            self.throttled = True
            self.refuse("frames")
            self.stop_reading()
            self.throttle.hold(self, self.tokens, self.last_heard)
        return 0

    cdef int receive_record(self, const uint8_t* data, Py_ssize_t size) except -1:
        cdef FrameFault fault
        cdef bint is_cursor
        cdef int64_t due
        if size > self.max_message:
            self.handler.too_long(self, size)
            return 0
        fault = check_frame(data, size)
        if fault != FRAME_GOOD:
            self.charge(1)  # an answer costs more than a record
            self.handler.refused_frame(self, <int> fault, size)
            return 0
        is_cursor = load_u16(data) == CURSOR
        (self.pump.meter.cursors_received if is_cursor else self.pump.meter.selections_received).add(1, size, 1)
        if self.active is None:
            self.handler.no_active_room(self)
            return 0
        if not self.sends_binary:
            self.sends_binary = True
            self.handler.began_binary(self)
        # A selection is told first, since what is put may be sent on at once.
        if not is_cursor and not self.handler.selected(self, <int> load_f32(data + 6), <int> load_f32(data + 10)):
            return 0
        self.pump.cursors += 1
        due = self.active.channel.put(self.active, is_cursor, data, size, self.last_heard)
        self.pump.schedule(self.active.channel, due)
        return 0

    cdef int receive_fragment(self, WSFrame frame) except -1:
        """Takes a text frame, or a part of a message in fragments."""
        cdef bint starts = frame.msg_type != WSMsgType.CONTINUATION
        if starts == (self.fragments is not None):
            self.fail(PROTOCOL_ERROR, "a message began within a message" if starts else "nothing is to be continued")
            return 0
        if starts and frame.fin:
            return self.receive_text(frame.payload_ptr, frame.payload_size)
        if starts:
            self.fragments = bytearray()
            self.fragments_type = frame.msg_type
            self.fragments_packed = frame.rsv1
            self.fragments_size = 0
        self.fragments_size += frame.payload_size
        if self.fragments_size <= (self.max_packed if self.fragments_packed else self.max_message):
            self.fragments += frame.payload_ptr[:frame.payload_size]
        elif self.fragments:
            self.fragments = bytearray()
        if not frame.fin:
            return 0
        cdef bytearray message = self.fragments
        self.fragments = None
        if self.fragments_packed:
            # What was dropped of it is not needed to see that it is too long.
            self.receive_packed(self.fragments_type, message, self.fragments_size)
        elif self.fragments_size > self.max_message:
            self.handler.too_long(self, self.fragments_size)
        elif self.fragments_type == WSMsgType.TEXT:
            self.receive_text(message, len(message))
        else:
            self.receive_record(<uint8_t*> <char*> message, len(message))
        return 0

    cdef int receive_packed(self, WSMsgType kind, const char* data, Py_ssize_t size) except -1:
        """Takes a compressed message."""
        cdef bytes message = None
        if size <= self.max_packed:
            try:
                message = self.codec.inflate(data, size, self.max_message)
            except zlib.error:
                self.fail(INVALID_DATA, "compressed data is corrupt")
                return 0
            size = self.max_message + 1
            self.charge((size if message is None else len(message)) // BYTES_PER_TOKEN)
        if message is None:
            if self.codec.client_keeps_history:
                self.fail(TOO_BIG, "a compressed message is too long")
            else:
                self.handler.too_long(self, size)
        elif kind == WSMsgType.TEXT:
            self.receive_text(message, len(message))
        else:
            self.receive_record(<const uint8_t*> <const char*> message, len(message))
        return 0

    cdef int receive_text(self, const char* data, Py_ssize_t size) except -1:
        if size > self.max_message:
            self.handler.too_long(self, size)
            return 0
        try:
            message = PyUnicode_DecodeUTF8(data, size, NULL)
        except UnicodeDecodeError:
            self.fail(INVALID_DATA, "text is not UTF-8")
            return 0
        self.handler.text(self, message)
        return 0

    cdef int receive_close(self, WSTransport transport, WSFrame frame) except -1:
        """Answers a close frame, or takes it as the answer to ours; then the TCP connection ends."""
        cdef int code = <int> frame.get_close_code() if frame.payload_size else <int> NORMAL
        self.closing = True
        self.outbox.drain()
        if not may_be_received(code):
            transport.send_close(<WSCloseCode> PROTOCOL_ERROR, b"the close code is not allowed")
        elif not transport.is_close_frame_sent:
            transport.send_close(<WSCloseCode> code)
        transport.disconnect()
        return 0

    # --- used by the gateway ---

    @property
    def open(self):
        """Whether the connection can still be talked to."""
        return self.outbox is not None and self.outbox.is_open()

    def activate(self, Member member) -> None:
        """Binary frames go to this membership from now on; None: they are refused."""
        self.active = member

    def ping(self) -> None:
        """Asks for a sign of life."""
        if self.open:
            self.probed = self.awaits_pong = True
            self.pinged_at = monotonic_ns()
            self.outbox.transport.send_ping()

    @property
    def latency(self):
        """The round-trip time of the newest ping that was answered, in seconds; None: none was."""
        return self.round_trip / 1e9 if self.round_trip else None

    @property
    def rates(self):
        """Messages per second both ways, bytes per second in and out, errors per minute: as they were taken last."""
        return self._rates.message_rate, self._rates.received_rate, self._rates.sent_rate, self._rates.error_rate

    @property
    def setbacks(self):
        """Positions of others per second that were passed over, refusals per minute: as `rates` were taken last."""
        return self._rates.skip_rate, self._rates.refusal_rate

    @property
    def sent_rate(self):
        """Bytes per second to the client, as `rates` has it."""
        return self._rates.sent_rate

    @property
    def troubled(self) -> bool:
        """Whether anything is amiss, be it little: it is behind, it was passed over, refused or told of errors of late,
        or its round trip is not short. Of thousands this leaves few to be judged.
        """
        return (self.behind_since != 0 or self._rates.skip_rate >= 1 or self._rates.refusal_rate >= 1
                or self._rates.error_rate >= 1 or self.round_trip >= LONG_ROUND_TRIP)

    def take_rates(self, int64_t now) -> None:
        """Brings `rates` and `setbacks` up to date; to be called every few seconds."""
        cdef Amount amount
        amount.messages = self.received_messages + self.outbox.sent_messages
        amount.received = self.received_bytes
        amount.sent = self.outbox.sent_bytes
        amount.skipped = self.outbox.skipped
        amount.errors = self.errors
        amount.refusals = self.refusals
        take_rates(&self._rates, now, amount)

    def refuse(self, str limit) -> None:
        """Counts something of its client's that a limit, by its name in the configuration, did not let through."""
        if self.refused is None:
            self.refused = {}
        self.refused[limit] = self.refused.get(limit, 0) + 1
        self.refusals += 1

    def close(self, int code, str reason="") -> None:
        """Begins the close handshake; the client's answer ends the connection. `reason` is cut to what fits into
        the frame.
        """
        if self.open:
            self.send_close(code, reason)
            self.handler.closing(self, False)

    cdef int fail(self, int code, str reason) except -1:
        """Ends the connection of a client that does not keep to the WebSocket protocol, without waiting for its
        answer.
        """
        if self.open:
            self.send_close(code, reason)
            self.closing = True
            self.handler.closing(self, True)
        return 0

    cdef int send_close(self, int code, str reason) except -1:
        self.outbox.drain()
        self.outbox.transport.send_close(<WSCloseCode> code, reason.encode()[:MAX_REASON].decode(errors="ignore"))
        return 0

    def abort(self) -> None:
        """Ends the TCP connection at once."""
        if self.outbox is not None and self.outbox.transport is not None:
            self.outbox.transport.disconnect(False)

    def pause_reading(self) -> None:
        """Lets what the client sends wait in its socket."""
        if not self.held_up:
            self.held_up = True
            self.stop_reading()

    def resume_reading(self) -> None:
        """Undoes :meth:`pause_reading`, if there was one."""
        if self.held_up:
            self.held_up = False
            self.go_on_reading()

    def unthrottle(self, int64_t now) -> int:
        """Called by the throttle: reads on if there are tokens again, or returns when there will be (ns)."""
        cdef double tokens = self.throttle.filled(self.tokens, now - self.last_heard)
        if tokens < 0:
            return self.throttle.enough_at(tokens, now)
        self.throttled = False
        self.go_on_reading()
        return now

    @property
    def silent_since(self) -> int:
        """When the client was last heard (ns), or could last not be heard because its socket is not read."""
        if self.held_up or self.throttled:
            return monotonic_ns()
        return max(self.last_heard, self.read_since)

    cdef int stop_reading(self) except -1:
        if self.outbox.transport is None or (self.held_up and self.throttled):
            return 0
        if self.fd >= 0:
            self.pump.remove(self.fd)
        else:
            self.outbox.transport.underlying_transport.pause_reading()
        return 0

    cdef int go_on_reading(self) except -1:
        if self.outbox.transport is None or self.held_up or self.throttled:
            return 0
        self.read_since = monotonic_ns()
        if self.fd >= 0:
            self.fd = self.pump.add(self.outbox.transport.underlying_transport)
        else:
            self.outbox.transport.underlying_transport.resume_reading()
        return 0
