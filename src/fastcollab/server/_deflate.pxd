cdef class Compression:
    cdef:
        readonly Py_ssize_t threshold    # bytes from which on a message is compressed
        readonly Py_ssize_t large        # bytes from which on a text is compressed on a thread
        readonly bint cursors            # whether batched frames are compressed
        int level
        int memory_level
        int concurrency
        dict codecs                      # of connections without history, by their windows
        object threads                   # None until there is a large message

    cdef object deflate_aside(self, bytes message, int window_bits)
    cdef object compressor(self, int window_bits)


cdef class Codec:
    cdef:
        readonly Compression compression
        readonly int window_bits         # towards the client
        readonly bint keeps_history      # towards the client
        bint client_keeps_history
        int client_window_bits
        object history                   # the compressor that has the history; None: it begins anew
        object inflater                  # that has the history of what the client sent; None: it begins anew

    cdef bytes deflate(self, message)
    cdef bytes deflate_on(self, message)
    cdef int forget(self) except -1
    cdef bytes inflate(self, const char* data, Py_ssize_t size, Py_ssize_t limit)
