"""The client's end of permessage-deflate."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.raw_client import deflated, inflated

from fastcollab.client.compression import MessageCompression, TooLong

ALONE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
HISTORY = "permessage-deflate; client_no_context_takeover; server_max_window_bits=12"


@pytest.mark.parametrize(
    "agreed",
    [
        "",
        "permessage-bzip2",
        "permessage-deflate; unknown",
        "permessage-deflate; client_max_window_bits=10",  # what was not offered
        "permessage-deflate; client_no_context_takeover, permessage-deflate",
    ],
)
def test_what_was_not_asked_for_is_refused_Z1(agreed: str) -> None:
    with pytest.raises(ValueError, match="not asked for"):
        MessageCompression(agreed)


@given(st.lists(st.binary(max_size=3000)))
def test_messages_with_and_without_history_Z2(messages: list[bytes]) -> None:
    alone, history = MessageCompression(ALONE), MessageCompression(HISTORY)
    compressor = zlib.compressobj(wbits=-12)
    for message in messages:
        assert alone.inflate(deflated(message), 3000) == message
        packed = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert history.inflate(packed.removesuffix(b"\0\0\xff\xff"), 3000) == message


@pytest.mark.parametrize("agreed", [ALONE, HISTORY])
@given(message=st.binary(max_size=3000) | st.integers(0, 5000).map(bytes))
def test_long_messages_are_compressed_each_by_itself_Z2(agreed: str, message: bytes) -> None:
    packed = MessageCompression(agreed).compress(message)
    if packed is None:
        assert len(message) < 1024 or len(deflated(message, level=1)) >= len(message)
    else:
        assert len(message) >= 1024
        assert len(packed) < len(message)
        assert inflated(packed) == message


@pytest.mark.parametrize("agreed", [ALONE, HISTORY])
def test_what_is_too_long_or_corrupt_Z4_Z5(agreed: str) -> None:
    assert MessageCompression(agreed).inflate(deflated(bytes(1000)), 1000) == bytes(1000)
    with pytest.raises(TooLong):
        MessageCompression(agreed).inflate(deflated(bytes(1 << 26)), 1000)
    with pytest.raises(zlib.error):
        MessageCompression(agreed).inflate(b"\xff\xff", 1000)
