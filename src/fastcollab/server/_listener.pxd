from libc.stdint cimport int64_t, uint8_t
from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from ._deflate cimport Codec
from ._fanout cimport Member
from ._meter cimport Amount, Rates
from ._outbox cimport Outbox
from ._pump cimport Pump
from ._throttle cimport Throttle


cdef class Connection(WSListener):
    cdef:
        readonly Outbox outbox
        readonly bint batched            # fastcollab.v1.batch
        readonly bint sends_binary
        readonly int64_t opened_at       # ns, monotonic
        readonly int64_t last_heard      # ns, monotonic
        public str address               # of the client, as far as proxies can be believed
        public bint probed               # a ping was sent since
        bint awaits_pong                 # to the newest ping
        readonly int64_t pinged_at       # ns, monotonic; before the first ping: when it was opened
        int64_t round_trip               # of the newest ping that was answered, ns; 0: none was
        readonly int64_t received_messages
        readonly int64_t received_bytes  # as they came out of the socket, but for control frames
        readonly int close_code          # of the close frame that came first; 1006: there was none, or not yet
        public int errors                # that its client was told
        readonly int refusals            # what limits did not let through, in all
        readonly dict refused            # … by the name of the limit; None: nothing
        readonly int64_t behind_since    # when it began not to take what it is sent, ns, monotonic; 0: it takes all
        public int reconnections         # how often a lost connection was made again, up to this one
        Rates _rates
        public object session
        public object inbox              # messages that wait for an asynchronous step; None: there is no such step
        public object token              # of the handshake; None once it was looked at
        public object previous           # the id of the connection that this one takes the place of; None: of none
        public dict members              # by room: the connection's memberships in the fan-out
        object handler
        Pump pump
        int fd                           # by which the pump knows the socket; -1: the event loop reads it
        Member active                    # where binary frames go
        bytearray fragments              # of the message that is being put together; None: there is none
        WSMsgType fragments_type
        Py_ssize_t fragments_size        # with those that were dropped
        bint fragments_packed            # they are of a compressed message
        Py_ssize_t max_message
        Py_ssize_t max_packed            # of a compressed message, as it comes
        Py_ssize_t max_backlog
        Throttle throttle                # None: there is no limit
        double tokens                    # of the throttle
        readonly bint throttled          # what the client sends waits in its socket: there are no tokens,
        bint held_up                     # or the handler wants it so
        int64_t read_since               # ns, monotonic; 0: always
        Codec codec                      # None: compression was not agreed upon
        bint closing                     # nothing more is read

    cdef void heard(self, WSFrame frame) noexcept
    cdef int pay(self, WSFrame frame, int64_t elapsed) except -1
    cpdef int charge(self, double price) except -1
    cdef int receive_record(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef int receive_fragment(self, WSFrame frame) except -1
    cdef int receive_packed(self, WSMsgType kind, const char* data, Py_ssize_t size) except -1
    cdef int receive_text(self, const char* data, Py_ssize_t size) except -1
    cdef int receive_close(self, WSTransport transport, WSFrame frame) except -1
    cdef int stop_reading(self) except -1
    cdef int go_on_reading(self) except -1
    cdef int fail(self, int code, str reason) except -1
    cdef int send_close(self, int code, str reason) except -1
