"""Bundles: what a node tells the others about many rooms at once.

A bundle is what goes over the bus in one piece: the records of all rooms of one channel that have changed since the
last one, and notices. All numbers are big endian::

    [0]      uint8   format: 1                    then sections, each
    [1-16]           node                         [0]    uint8   kind
    [17-24]  uint64  number                       [1-4]  uint32  length of what follows
    [25-32]  uint64  Unix time of its making, us

    kinds 1 (cursors) and 2 (selections):         kind 3 (notice):
    uint16   length of the room's id              one JSON document, which is opaque here
             the room's id, UTF-8
    uint64   version of the document, kind 2 only
             records of 24 bytes (B6)

A node numbers its bundles on each channel, so that who hears it knows when one was lost. Sections are in the order in
which they are to be carried out. One of another kind is skipped, so that a newer gateway may have more of them beside
an older one; a bundle of another format is refused.

Every length is checked before anything is done with what it is the length of. A bundle is good as a whole or refused
as a whole: then its number is missing, and its hearer asks elsewhere.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ._binary cimport CURSOR, RECORD_SIZE, SELECTION, load_u16, load_u32, store_u16, store_u32

#: The largest notice, in bytes. What is larger is to be read where it is kept.
LARGEST_NOTICE = MAX_NOTICE_SIZE


cdef inline uint64_t load_u64(const uint8_t* data) noexcept nogil:
    return (<uint64_t> load_u32(data) << 32) | load_u32(data + 4)


cdef inline void store_u64(uint8_t* data, uint64_t value) noexcept nogil:
    store_u32(data, <uint32_t> (value >> 32))
    store_u32(data + 4, <uint32_t> value)


# --- reading ---


cdef int read_header(const uint8_t* data, Py_ssize_t size, BundleHeader* header) except -1:
    """Reads the header of a bundle of `size` bytes; raises ValueError if it has none, or is of another format."""
    if size < BUNDLE_HEADER_SIZE:
        raise ValueError(f"{size} bytes are too few for a bundle")
    if data[0] != BUNDLE_FORMAT:
        raise ValueError(f"a bundle of format {data[0]} is unknown")
    header.node = data + 1
    header.number = load_u64(data + 17)
    header.time = load_u64(data + 25)
    return 0


cdef Py_ssize_t read_section(const uint8_t* data, Py_ssize_t size, Py_ssize_t at, Section* section) except -1:
    """Reads the section at `at` of a bundle of `size` bytes, and returns where the next one begins.

    Raises ValueError if it does not fit.
    """
    cdef Py_ssize_t length, head
    if size - at < SECTION_HEADER_SIZE:
        raise ValueError(f"{size - at} bytes are too few for a section")
    section.kind = data[at]
    length = load_u32(data + at + 1)
    at += SECTION_HEADER_SIZE
    if length > size - at:
        raise ValueError(f"a section of {length} bytes does not fit into {size - at}")
    section.body = data + at
    section.size = length
    if section.kind == CURSOR or section.kind == SELECTION:
        head = 2 if section.kind == CURSOR else 10
        if length < head or load_u16(data + at) > length - head:
            raise ValueError("the id of a room does not fit into its section")
        section.room = data + at + 2
        section.room_size = load_u16(data + at)
        section.version = 0 if section.kind == CURSOR else load_u64(data + at + 2 + section.room_size)
        section.body += head + section.room_size
        section.size -= head + section.room_size
        if section.size % RECORD_SIZE:
            raise ValueError(f"{section.size} bytes are no whole number of records")
    elif section.kind == NOTICE and length > MAX_NOTICE_SIZE:
        raise ValueError(f"a notice of {length} bytes is too large")
    return at + length


cdef int check_sections(const uint8_t* data, Py_ssize_t size) except -1:
    """Raises ValueError unless everything behind the header is sections, each of its form."""
    cdef Section section
    cdef Py_ssize_t at = BUNDLE_HEADER_SIZE
    while at < size:
        at = read_section(data, size, at, &section)
    return 0


# --- writing ---


cdef class BundleWriter:
    """Writes one bundle after the other into a buffer of its own."""

    def __dealloc__(self):
        PyMem_Free(self.buffer)

    cdef int _reserve(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t needed = self.size + more
        cdef uint8_t* grown
        if needed > self.capacity:
            needed = max(2 * self.capacity, needed, 1024)
            grown = <uint8_t*> PyMem_Realloc(self.buffer, needed)
            if grown == NULL:
                raise MemoryError
            self.buffer = grown
            self.capacity = needed
        return 0

    cdef int begin(self, const uint8_t* node, uint64_t number, uint64_t time) except -1:
        """Begins a bundle, and drops what there was of the last one."""
        self.size = 0
        self._reserve(BUNDLE_HEADER_SIZE)
        self.buffer[0] = BUNDLE_FORMAT
        memcpy(self.buffer + 1, node, NODE_SIZE)
        store_u64(self.buffer + 17, number)
        store_u64(self.buffer + 25, time)
        self.size = BUNDLE_HEADER_SIZE
        return 0

    cdef bint is_empty(self) noexcept:
        return self.size == BUNDLE_HEADER_SIZE

    cdef int add_notice(self, bytes notice) except -1:
        """Adds a notice; raises ValueError if it is too large."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(notice)
        if size > MAX_NOTICE_SIZE:
            raise ValueError(f"a notice of {size} bytes is too large: at most {MAX_NOTICE_SIZE}")
        self._reserve(SECTION_HEADER_SIZE + size)
        self.buffer[self.size] = NOTICE
        store_u32(self.buffer + self.size + 1, <uint32_t> size)
        memcpy(self.buffer + self.size + SECTION_HEADER_SIZE, PyBytes_AS_STRING(notice), size)
        self.size += SECTION_HEADER_SIZE + size
        return 0

    cdef int begin_records(self, uint16_t kind, bytes room_id, uint64_t version) except -1:
        """Begins a section of records; `version` is that of the document, for selections."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(room_id)
        cdef uint8_t* target
        if size > 0xFFFF:
            raise ValueError(f"the id of a room is too long: {size} bytes")
        self._reserve(SECTION_HEADER_SIZE + 10 + size)
        self.section = self.size
        target = self.buffer + self.size
        target[0] = <uint8_t> kind
        target += SECTION_HEADER_SIZE
        store_u16(target, <uint16_t> size)
        memcpy(target + 2, PyBytes_AS_STRING(room_id), size)
        target += 2 + size
        if kind == SELECTION:
            store_u64(target, version)
            target += 8
        self.size = self.first_record = target - self.buffer
        return 0

    cdef int add_record(self, const uint8_t* record) except -1:
        self._reserve(RECORD_SIZE)
        memcpy(self.buffer + self.size, record, RECORD_SIZE)
        self.size += RECORD_SIZE
        return 0

    cdef void end_records(self) noexcept:
        """Ends the section; one without records is taken back."""
        if self.size == self.first_record:
            self.size = self.section
        else:
            store_u32(self.buffer + self.section + 1,
                      <uint32_t> (self.size - self.section - SECTION_HEADER_SIZE))

    cdef bytes finish(self):
        """The bundle that has been written."""
        return <bytes> self.buffer[:self.size]


# --- whole bundles as values, for tools and tests ---


def encode_bundle(bytes node not None, uint64_t number, uint64_t time, sections) -> bytes:
    """A bundle. `node` is 16 bytes long; each of `sections` is a notice in bytes, or `(kind, room id, version,
    records)` with records of 24 bytes each. Raises ValueError for what does not fit.
    """
    cdef BundleWriter writer = BundleWriter()
    cdef bytes record
    if len(node) != NODE_SIZE:
        raise ValueError(f"the id of a node is {NODE_SIZE} bytes long, not {len(node)}")
    writer.begin(<const uint8_t*> PyBytes_AS_STRING(node), number, time)
    for section in sections:
        if isinstance(section, bytes):
            writer.add_notice(section)
            continue
        kind, room_id, version, records = section
        if kind != CURSOR and kind != SELECTION:
            raise ValueError(f"there are no records of kind {kind}")
        writer.begin_records(kind, room_id.encode(), version)
        for record in records:
            if len(record) != RECORD_SIZE:
                raise ValueError(f"a record is {RECORD_SIZE} bytes long, not {len(record)}")
            writer.add_record(<const uint8_t*> PyBytes_AS_STRING(record))
        writer.end_records()
    return writer.finish()


def decode_bundle(const uint8_t[::1] bundle not None) -> tuple:
    """What `encode_bundle` was given, but sections of unknown kinds. Raises ValueError for what is no bundle."""
    cdef Py_ssize_t size = bundle.shape[0]
    cdef Py_ssize_t at = BUNDLE_HEADER_SIZE
    cdef Py_ssize_t index
    cdef const uint8_t* data = &bundle[0] if size else NULL
    cdef BundleHeader header
    cdef Section section
    cdef list sections = []
    read_header(data, size, &header)
    while at < size:
        at = read_section(data, size, at, &section)
        if section.kind == NOTICE:
            sections.append(<bytes> section.body[:section.size])
        elif section.kind == CURSOR or section.kind == SELECTION:
            sections.append((
                section.kind,
                (<bytes> section.room[:section.room_size]).decode(),
                section.version,
                [<bytes> section.body[index:index + RECORD_SIZE] for index in range(0, section.size, RECORD_SIZE)],
            ))
    return <bytes> header.node[:NODE_SIZE], header.number, header.time, sections
