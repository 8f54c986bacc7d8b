"""What the load generator makes of the bytes that it receives."""

import socket
import struct
import sys
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.raw_client import deflated, inflated

from fastcollab.bench._deflate import Inflater, deflated_fixed
from fastcollab.bench._load import Fleet

FIRST_USER = 1000
NAN = float("nan")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the generator needs epoll")


def server_frame(payload: bytes, opcode: int = 0x2, first: int | None = None) -> bytes:
    first = 0x80 | opcode if first is None else first
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 65536:
        return bytes([first, 126]) + struct.pack(">H", len(payload)) + payload
    return bytes([first, 127]) + struct.pack(">Q", len(payload)) + payload


def record(place: int, sequence: float, sent_us: int = 0, room: int = 0, members: int = 3) -> bytes:
    return struct.pack(">IffIff", FIRST_USER + room * members + place, sequence, 0.0, sent_us, NAN, NAN)


def batch(*records: bytes, count: int | None = None) -> bytes:
    return struct.pack(">HHI", 0x0101, len(records) if count is None else count, 9) + b"".join(records)


def plain(place: int, sequence: float, viewport: bool = True) -> bytes:
    frame = struct.pack(">HIffI", 0x0001, FIRST_USER + place, sequence, 0.0, 0)
    return frame + struct.pack(">ff", 1.0, 2.0) if viewport else frame


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(2, 3, 60.0, FIRST_USER)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.settimeout(5)
        yield ours, theirs


STREAM = b"".join(
    [
        server_frame(batch(record(0, 1), record(1, 1), record(2, 1))),
        server_frame(b'{"type":"user_joined"}', opcode=0x1),
        server_frame(plain(1, 2)),
        server_frame(plain(2, 4, viewport=False)),
        server_frame(b"still there?", opcode=0x9),
        server_frame(batch(*[record(1, sequence) for sequence in range(3, 20)])),
        server_frame(batch()),
    ]
)


@pytest.mark.parametrize("split", range(len(STREAM) + 1))
def test_a_stream_means_the_same_wherever_it_is_cut(fleet: Fleet, split: int) -> None:
    fleet.feed(0, STREAM[:split])
    fleet.feed(0, STREAM[split:])
    assert (fleet.delivered, fleet.own, fleet.stale, fleet.foreign, fleet.malformed) == (21, 1, 0, 0, 0)
    assert (fleet.newest(0, 1), fleet.newest(0, 2)) == (19, 4)
    assert (fleet.binary_messages, fleet.text_messages) == (5, 1)
    assert fleet.received_bytes == len(STREAM)
    assert fleet.disconnects == 0


def test_a_stream_byte_by_byte(fleet: Fleet) -> None:
    for byte in STREAM:
        fleet.feed(0, bytes([byte]))
    assert (fleet.delivered, fleet.own, fleet.malformed) == (21, 1, 0)


def test_incomplete_frames_of_two_members_are_kept_apart(fleet: Fleet) -> None:
    first, second = server_frame(batch(record(1, 1))), server_frame(batch(record(0, 5)))
    fleet.feed(0, first[:11])
    fleet.feed(1, second[:20])
    fleet.feed(0, first[11:])
    fleet.feed(1, second[20:])
    assert (fleet.newest(0, 1), fleet.newest(1, 0), fleet.delivered) == (1, 5, 2)


def test_all_three_forms_of_a_length(fleet: Fleet) -> None:
    for size in (3, 4, 5, 2730, 2731):  # records: 80, 104, 128 and 65,528, 65,552 bytes
        before = fleet.delivered
        fleet.feed(0, server_frame(batch(*[record(1, before + n + 1) for n in range(size)])))
        assert fleet.delivered - before == size
    assert fleet.malformed == 0


def test_only_newer_updates_are_deliveries(fleet: Fleet) -> None:
    for sequence in (5, 5, 4, 6):
        fleet.feed(0, server_frame(batch(record(2, sequence))))
    assert (fleet.delivered, fleet.stale, fleet.newest(0, 2)) == (2, 2, 6)


def test_users_of_other_rooms_and_strangers_are_foreign(fleet: Fleet) -> None:
    strangers = [record(0, 1, room=1), struct.pack(">IffIff", 7, 1.0, 0, 0, 0, 0), record(-1, 1)]
    fleet.feed(0, server_frame(batch(*strangers)))
    assert (fleet.foreign, fleet.delivered) == (3, 0)


@pytest.mark.parametrize("sequence", [0.0, -1.0, NAN, float("inf"), 2.0**24 + 2])
def test_a_sequence_number_that_nobody_sent_is_malformed(fleet: Fleet, sequence: float) -> None:
    fleet.feed(0, server_frame(batch(record(1, sequence))))
    assert (fleet.malformed, fleet.delivered) == (1, 0)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01",
        batch(record(1, 1), count=2),
        batch(record(1, 1), record(2, 1), count=1),
        batch(record(1, 1))[:-1],
        batch(record(1, 1)) + b"\0",
        batch()[:-1],
        plain(1, 1)[:-1],
        plain(1, 1) + b"\0",
        b"\x00\x03" + bytes(24),
    ],
)
def test_a_binary_message_of_a_wrong_shape_is_malformed_and_the_next_one_read(fleet: Fleet, payload: bytes) -> None:
    fleet.feed(0, server_frame(payload) + server_frame(plain(1, 1)))
    assert (fleet.malformed, fleet.delivered, fleet.disconnects) == (1, 1, 0)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\x82\x81\0\0\0\0\0", id="masked"),
        pytest.param(server_frame(plain(1, 1), first=0x02), id="a fragment"),
        pytest.param(server_frame(plain(1, 1), first=0x80), id="a continuation"),
        pytest.param(server_frame(plain(1, 1), first=0xC2), id="compressed"),
        pytest.param(server_frame(plain(1, 1), first=0x83), id="an unknown opcode"),
        pytest.param(server_frame(bytes(126), opcode=0x9), id="a long ping"),
        pytest.param(b"\x82\x7f\x80" + bytes(7), id="a length with the top bit set"),
        pytest.param(b"\x82\x7f" + struct.pack(">Q", 2**20), id="a length above the bound"),
    ],
)
def test_a_frame_that_breaks_the_protocol_ends_the_connection(fleet: Fleet, frame: bytes) -> None:
    fleet.feed(0, frame + server_frame(plain(1, 1)))
    assert (fleet.malformed, fleet.disconnects, fleet.delivered) == (1, 1, 0)


def test_errors_are_counted_and_the_first_ones_kept(fleet: Fleet) -> None:
    fleet.feed(0, server_frame(b'{"type":"presence_update","payload":"an error"}', opcode=0x1))
    for number in range(7):
        text = b'{"type": "error", "payload": {"code": %d}}' % number
        fleet.feed(number % 6, server_frame(text + b" " * 500 * (number == 1), opcode=0x1))
    assert (fleet.text_messages, fleet.error_messages, len(fleet.errors)) == (8, 7, 5)
    assert fleet.errors[0] == b'{"type": "error", "payload": {"code": 0}}'
    assert len(fleet.errors[1]) == 400


def test_a_close_frame_tells_why(fleet: Fleet) -> None:
    fleet.feed(0, server_frame(struct.pack(">H", 4503) + b"slow", opcode=0x8))
    fleet.feed(1, server_frame(b"", opcode=0x8))
    assert (fleet.close_codes, fleet.disconnects) == ([4503, 1005], 2)


def test_a_ping_is_answered_with_its_payload(fleet: Fleet, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    fleet.attach(0, ours.fileno(), server_frame(b"abc", opcode=0x9))
    assert theirs.recv(100) == b"\x8a\x83\0\0\0\0abc"


def test_what_is_sent(fleet: Fleet, pair: tuple[socket.socket, socket.socket]) -> None:
    """Masked cursor frames with rising sequence numbers and times, at the asked rate."""
    ours, theirs = pair
    fleet.attach(4, ours.fileno())
    fleet.drive(0.1)
    data = theirs.recv(10_000)
    assert len(data) == 6 * 32 == fleet.sent * 32
    times = []
    for number in range(6):
        frame = data[number * 32 : number * 32 + 32]
        assert frame[:2] == b"\x82\x9a"
        payload = bytes(byte ^ frame[2 + i % 4] for i, byte in enumerate(frame[6:]))
        kind, user, x, y, sent_us, *viewport = struct.unpack(">HIffIff", payload)
        assert (kind, user, x, viewport[0]) == (1, FIRST_USER + 4, number + 1, 100)
        assert 0 <= y < 1000
        assert 0 <= viewport[1] < 1000
        times.append(sent_us)
    assert times == sorted(times)
    assert times[-1] < 100_000


def test_the_end_of_a_connection_is_noticed_once(fleet: Fleet, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    fleet.attach(0, ours.fileno())
    theirs.close()
    fleet.poll()
    fleet.poll()
    assert fleet.disconnects == 1


def test_a_full_socket_blocks_updates_and_loses_none_in_part(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    fleet = Fleet(1, 2, 10_000.0, FIRST_USER, 0.0001)
    fleet.attach(0, ours.fileno())
    fleet.drive(0.2)
    assert fleet.blocked > 0
    theirs.setblocking(False)
    received = b""
    with pytest.raises(BlockingIOError):
        while True:
            received += theirs.recv(65536)
            fleet.drain(0.002)
    assert len(received) == 32 * fleet.sent


def test_final_updates_are_missing_until_they_arrive(fleet: Fleet, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    fleet.attach(0, ours.fileno())
    fleet.drive(0.05)
    assert fleet.finals_missing() == 2  # member 0 sent 3 updates, to the two others of its room
    assert fleet.expected == 6
    fleet.feed(1, server_frame(batch(record(0, 3))))
    fleet.feed(2, server_frame(batch(record(0, 2))))
    assert fleet.finals_missing() == 1
    assert 0.01 <= fleet.drain(0.01) < 5
    fleet.feed(2, server_frame(batch(record(0, 3))))
    assert fleet.finals_missing() == 0
    assert fleet.drain(5) < 1


def test_latency_counts_updates_sent_since_measuring_began(
    fleet: Fleet, pair: tuple[socket.socket, socket.socket]
) -> None:
    fleet.attach(0, pair[0].fileno())
    fleet.drive(0.05)
    fleet.start_measuring()
    fleet.feed(1, server_frame(batch(record(0, 1, sent_us=10))))
    assert (fleet.delivered, fleet.latency.count) == (1, 0)
    fleet.drive(0.05)
    fleet.feed(1, server_frame(batch(record(0, 2, sent_us=60_000))))
    assert fleet.latency.count == 1
    assert 30_000 <= fleet.latency.maximum < 5_000_000


def test_deliveries_within_a_node_and_across_nodes_are_timed_apart(pair: tuple[socket.socket, socket.socket]) -> None:
    fleet = Fleet(2, 5, 60.0, FIRST_USER, nodes=2)
    assert [fleet.node_of(index) for index in range(10)] == [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]
    fleet.attach(0, pair[0].fileno())
    fleet.drive(0.05)
    for receiver, sender in ((0, 2), (0, 4), (0, 1), (1, 3), (1, 2), (6, 8)):
        room = receiver // 5
        fleet.feed(receiver, server_frame(batch(record(sender % 5, 1, sent_us=40_000, room=room, members=5))))
    assert (fleet.foreign, fleet.latency.count) == (0, 6)
    assert (fleet.latency_within.count, fleet.latency_across.count) == (4, 2)
    fleet.start_measuring()
    assert (fleet.latency_within.count, fleet.latency_across.count) == (0, 0)


def test_at_one_node_nothing_is_timed_apart(fleet: Fleet) -> None:
    fleet.feed(0, server_frame(batch(record(1, 1))))
    assert (fleet.latency.count, fleet.latency_within.count, fleet.latency_across.count) == (1, 0, 0)


@pytest.mark.parametrize("text", [b"2", b"x" * 125])
def test_a_preamble_goes_before_each_cursor(pair: tuple[socket.socket, socket.socket], text: bytes) -> None:
    ours, theirs = pair
    fleet = Fleet(1, 2, 60.0, FIRST_USER, preamble=text)
    fleet.attach(1, ours.fileno())
    fleet.drive(0.1)
    data = theirs.recv(10_000)
    size = 6 + len(text) + 32
    assert len(data) == fleet.sent * size == 6 * size
    for number in range(6):
        frames = data[number * size : (number + 1) * size]
        assert frames[:-32] == bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text
        assert frames[-32:-30] == b"\x82\x9a"
        payload = bytes(byte ^ frames[-30 + i % 4] for i, byte in enumerate(frames[-26:]))
        assert struct.unpack(">HIf", payload[:10]) == (1, FIRST_USER + 1, number + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3, 60.0, 1), "rooms"),
        ((1, 0, 60.0, 1), "rooms"),
        ((1, 100_001, 60.0, 1), "rooms"),
        ((1, 3, 0.0, 1), "rate"),
        ((1, 3, 10_001.0, 1), "rate"),
        ((1, 3, float("nan"), 1), "rate"),
        ((1, 3, 60.0, 2**32 - 3), "32 bits"),
        ((1, 3, 60.0, -1), "32 bits"),
        ((1, 3, 60.0, 1, 0.0), "grid"),
        ((1, 3, 60.0, 1, 0.02), "grid"),
        ((1, 3, 60.0, 1, 0.001, 0), "nodes"),
        ((1, 3, 60.0, 1, 0.001, 4), "nodes"),
        ((1, 3, 60.0, 1, 0.001, 1, bytes(126)), "preamble"),
    ],
)
def test_refused_fleets(arguments: tuple[int, int, float, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fleet(*arguments)


def test_refused_calls(fleet: Fleet, pair: tuple[socket.socket, socket.socket]) -> None:
    for index in (-1, 6):
        with pytest.raises(IndexError):
            fleet.feed(index, b"")
    with pytest.raises(ValueError, match="one room"):
        fleet.newest(0, 3)
    with pytest.raises(ValueError, match="read"):
        fleet.feed(0, bytes(2**18 + 1))
    with pytest.raises(ValueError, match="s more is too much"):
        fleet.drive(1501)
    with pytest.raises(ValueError, match="s more is too much"):
        fleet.drive(float("nan"))
    fleet.attach(0, pair[0].fileno())
    with pytest.raises(ValueError, match="has a connection"):
        fleet.attach(0, pair[1].fileno())
    with pytest.raises(OSError, match="descriptor"):
        fleet.attach(1, 10**6)


def packed(payload: bytes, opcode: int = 0x2) -> bytes:
    return server_frame(deflated(payload), opcode, first=0xC0 | opcode)


@pytest.mark.parametrize("history", [False, True])
def test_compressed_messages_count_as_what_they_are(
    fleet: Fleet, pair: tuple[socket.socket, socket.socket], history: bool
) -> None:
    ours, _ = pair
    fleet.attach(0, ours.fileno(), inflater=Inflater(history))
    messages = [batch(record(1, 1), record(2, 1)), batch(record(1, 2)), batch(record(1, 2)), batch(record(1, 3))]
    compressor = zlib.compressobj(wbits=-15)
    for message in messages:
        data = deflated(message)
        if history:
            data = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        fleet.feed(0, server_frame(data, first=0xC2))
    fleet.feed(0, server_frame(batch(record(2, 2))))
    assert (fleet.delivered, fleet.stale, fleet.malformed, fleet.disconnects) == (5, 1, 0, 0)


@pytest.mark.parametrize(
    "frame",
    [
        server_frame(b"\xff\xff\xff", first=0xC2),
        server_frame(deflated(bytes(1 << 25)), first=0xC2),
        server_frame(b"", first=0xC9),
        server_frame(b"", first=0xA2),
        server_frame(b"", first=0xE2),
    ],
)
def test_what_is_wrongly_compressed_ends_the_connection(
    fleet: Fleet, pair: tuple[socket.socket, socket.socket], frame: bytes
) -> None:
    ours, _ = pair
    fleet.attach(0, ours.fileno(), inflater=Inflater(history=False))
    fleet.feed(0, frame)
    assert (fleet.malformed, fleet.disconnects) == (1, 1)


def test_without_agreement_nothing_is_compressed(fleet: Fleet, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    fleet.attach(0, ours.fileno())
    fleet.drive(0.02)
    assert theirs.recv(65536)[0] == 0x82
    fleet.feed(0, packed(batch(record(1, 1))))
    assert (fleet.malformed, fleet.disconnects) == (1, 1)


def test_cursors_are_sent_compressed(fleet: Fleet, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    fleet.attach(0, ours.fileno(), inflater=Inflater(history=False))
    fleet.drive(0.1)
    data = theirs.recv(65536)
    sequence = 0
    while data:
        size = data[1] & 0x7F
        assert (data[0], data[1] & 0x80) == (0xC2, 0x80)
        payload = bytes(byte ^ data[2 + (index & 3)] for index, byte in enumerate(data[6 : 6 + size]))
        kind, user, x, y, *_ = struct.unpack(">HIffIff", inflated(payload))
        sequence += 1
        assert (kind, user, x) == (1, FIRST_USER, sequence)
        assert 0 <= y < 1000
        data = data[6 + size :]
    assert sequence == fleet.sent > 2


@given(st.binary(max_size=300))
def test_the_fixed_code_is_what_zlib_understands(data: bytes) -> None:
    written = deflated_fixed(data)
    assert len(written) <= len(data) + len(data) // 8 + 4
    assert inflated(written) == data
    assert Inflater(history=False).inflated(written) == data
