from libc.stdint cimport uint8_t, uint16_t, uint64_t


cdef enum:
    BUNDLE_FORMAT = 1
    NODE_SIZE = 16
    BUNDLE_HEADER_SIZE = 33      # format, node, number, time
    SECTION_HEADER_SIZE = 5      # kind, length
    NOTICE = 3                   # kinds of sections; the others are CURSOR and SELECTION
    MAX_NOTICE_SIZE = 8_388_608


cdef struct BundleHeader:
    const uint8_t* node
    uint64_t number
    uint64_t time                # Unix time, us


cdef struct Section:
    uint8_t kind
    const uint8_t* room          # of records: the id of their room, UTF-8
    Py_ssize_t room_size
    uint64_t version             # of selections: the document's
    const uint8_t* body          # records side by side, or a notice
    Py_ssize_t size


cdef int read_header(const uint8_t* data, Py_ssize_t size, BundleHeader* header) except -1
cdef Py_ssize_t read_section(const uint8_t* data, Py_ssize_t size, Py_ssize_t at, Section* section) except -1
cdef int check_sections(const uint8_t* data, Py_ssize_t size) except -1


cdef class BundleWriter:
    cdef:
        uint8_t* buffer
        Py_ssize_t capacity, size
        Py_ssize_t section           # where the section begins that is being written
        Py_ssize_t first_record      # and where its records do

    cdef int _reserve(self, Py_ssize_t more) except -1
    cdef int begin(self, const uint8_t* node, uint64_t number, uint64_t time) except -1
    cdef bint is_empty(self) noexcept
    cdef int add_notice(self, bytes notice) except -1
    cdef int begin_records(self, uint16_t kind, bytes room_id, uint64_t version) except -1
    cdef int add_record(self, const uint8_t* record) except -1
    cdef void end_records(self) noexcept
    cdef bytes finish(self)
