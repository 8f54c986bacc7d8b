"""Compression and inflation of single messages."""

from __future__ import annotations

import time
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.raw_client import deflated, inflated

from fastcollab.server._deflate import Codec, Compression
from fastcollab.server.extensions import Agreement

LIMIT = 1 << 20
EMPTY = b"\0\0\xff\xff"


def codec(server: bool = False, client: bool = False, bits: int = 15, client_bits: int = 15, level: int = 1) -> Codec:
    settings = {"threshold": 0, "large": 1 << 30, "level": level, "memory_level": 8, "concurrency": 1, "cursors": True}
    return Compression(**settings).codec(Agreement(server, client, bits, client_bits, ""))  # type: ignore[arg-type]


def with_last_block(message: bytes) -> bytes:
    """Compressed to an end, as RFC 7692, 7.2.3.4 has it: the byte behind it is the beginning of an empty block."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(message) + compressor.flush() + b"\0"


MESSAGES = st.lists(st.binary(max_size=300) | st.builds(bytes.__mul__, st.binary(max_size=9), st.integers(0, 9000)))


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("level", range(4))
@settings(max_examples=20)
@given(messages=MESSAGES)
def test_what_is_compressed_can_be_inflated_in_the_agreed_window_Z2(
    bits: int, level: int, messages: list[bytes]
) -> None:
    alone, on = codec(bits=bits, level=level), codec(server=True, bits=bits, level=level)
    inflater = zlib.decompressobj(-bits)
    for message in messages:
        assert inflated(alone.pack(message), window_bits=bits) == message
        assert inflater.decompress(on.pack(message) + EMPTY) == message


def test_history_makes_similar_messages_short_Z2() -> None:
    on = codec(server=True)
    message = bytes(range(256))
    first, second = on.pack(message), on.pack(message)
    assert len(second) < len(first) / 10
    alone = codec()
    assert alone.pack(message) == alone.pack(message) == first


@pytest.mark.parametrize("client", [False, True])
@given(messages=MESSAGES, level=st.integers(0, 9))
def test_what_a_client_compresses_is_inflated_Z2(client: bool, messages: list[bytes], level: int) -> None:
    ours = codec(client=client)
    compressor = zlib.compressobj(level, wbits=-15)
    for message in messages:
        data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH if client else zlib.Z_FULL_FLUSH)
        assert ours.unpack(data.removesuffix(EMPTY), LIMIT) == message


@pytest.mark.parametrize("bits", range(9, 16))
def test_a_client_keeps_to_its_window_Z2(bits: int) -> None:
    """A smaller window is a smaller inflater: what refers to what lies farther back is corrupt."""
    pattern = bytes(range(256)) * 2
    far = pattern + bytes(1 << bits) + pattern
    assert codec(client=True, client_bits=bits).unpack(deflated(far, window_bits=bits), LIMIT) == far
    if bits < 15:
        ours = codec(client=True, client_bits=bits)
        compressor = zlib.compressobj(wbits=-15)
        first, second, third = (
            compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
            for message in (pattern, bytes(1 << bits), pattern)
        )
        ours.unpack(first[:-4], LIMIT)
        ours.unpack(second[:-4], LIMIT)
        with pytest.raises(zlib.error):
            ours.unpack(third[:-4], LIMIT)
    # Without history nothing has to be remembered, and any window will do.
    assert codec(client_bits=bits).unpack(deflated(far), LIMIT) == far


@pytest.mark.parametrize("client", [False, True])
def test_empty_messages_Z3(client: bool) -> None:
    ours = codec(client=client)
    for data in (b"\0", b"", b"\x02\0", b"\0" + EMPTY + b"\0", with_last_block(b"")):
        assert ours.unpack(data, LIMIT) == b""
    assert ours.unpack(deflated(b"abc"), LIMIT) == b"abc"


@pytest.mark.parametrize("client", [False, True])
def test_several_streams_in_one_message_Z3(client: bool) -> None:
    ours = codec(client=client)
    assert ours.unpack(with_last_block(b"abc"), LIMIT) == b"abc"
    assert ours.unpack(with_last_block(b"abc")[:-1], LIMIT) == b"abc"  # without the empty block, as some do
    assert ours.unpack(with_last_block(b"abc")[:-1] + deflated(b"def"), LIMIT) == b"abcdef"
    assert ours.unpack(with_last_block(b"x" * 100)[:-1] * 60 + b"\0", LIMIT) == b"x" * 6000
    with pytest.raises(zlib.error, match="too many streams"):
        ours.unpack(with_last_block(b"x")[:-1] * 64 + b"\0", LIMIT)
    assert codec().unpack(with_last_block(b"x" * 600)[:-1] + deflated(b"y" * 600), 1000) is None


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT])
@pytest.mark.parametrize("client", [False, True])
def test_the_limit_is_that_of_the_message_Z4(size: int, client: bool) -> None:
    expected = b"x" * size if size <= LIMIT else None
    assert codec(client=client).unpack(deflated(b"x" * size), LIMIT) == expected


def test_a_bomb_costs_what_the_limit_allows_Z4() -> None:
    compressor = zlib.compressobj(9, wbits=-15)
    megabyte = bytes(1 << 20)
    bomb = b"".join(compressor.compress(megabyte) for _ in range(1024)) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
    assert 1_000_000 < len(bomb) < 1_100_000
    just_too_long = deflated(bytes(LIMIT + 1), level=9)
    ours = codec()

    def seconds(data: bytes) -> float:
        began = time.perf_counter()
        assert ours.unpack(data, LIMIT) is None
        return time.perf_counter() - began

    assert min(seconds(bomb) for _ in range(5)) < 10 * min(seconds(just_too_long) for _ in range(5)) + 0.002
    tracemalloc.start()
    try:
        assert ours.unpack(bomb, LIMIT) is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * LIMIT  # the bomb twice, the message, and what the output grows by


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"\x07",  # a block of a kind that does not exist
        b"\x01\x05\x00\x00\x00hello",  # a length that its complement does not match
        b"\x04\x80",
        b"\x4b\x04\x22",  # a reference to what lies before the beginning
        b"hello",
    ],
)
@pytest.mark.parametrize("client", [False, True])
def test_corrupt_data_Z5(data: bytes, client: bool) -> None:
    with pytest.raises(zlib.error):
        codec(client=client).unpack(data * 3, LIMIT)


def test_what_breaks_off_is_corrupt_Z5() -> None:
    """Without history it is certain; with it, it shows in what comes next."""
    whole = deflated(bytes(range(256)) * 4)
    ours = codec()
    for cut in range(1, len(whole) - 1):
        try:
            found = ours.unpack(whole[:cut], LIMIT)
        except zlib.error:
            continue
        assert found != bytes(range(256)) * 4
        raise AssertionError(f"{cut} bytes of {len(whole)} were taken for a message")


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_a_message_or_corrupt_Z5(data: bytes, client: bool) -> None:
    ours = codec(client=client)
    try:
        message = ours.unpack(data, 1000)
    except zlib.error:
        return
    assert message is None or len(message) <= 1000


def test_nobody_is_shown_the_history_of_another_Z2() -> None:
    """Connections without history share a codec; a reference into an earlier message must lead nowhere."""
    ours = codec()
    assert ours.unpack(deflated(b"the secret of somebody else"), LIMIT) is not None
    compressor = zlib.compressobj(wbits=-15, zdict=b"the secret of somebody else")
    guess = compressor.compress(b"the secret of somebody else") + compressor.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(zlib.error):
        ours.unpack(guess[:-4], LIMIT)
