"""Bundles: what is written is read, and any bytes are read or refused."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from fastcollab._bundle import decode_bundle, encode_bundle

if TYPE_CHECKING:
    from fastcollab._bundle import Section

uint64 = st.integers(0, 2**64 - 1)
nodes = st.binary(min_size=16, max_size=16)
records = st.lists(st.binary(min_size=24, max_size=24), min_size=1, max_size=5)
room_ids = st.text(max_size=12)
sections = st.lists(
    st.binary(max_size=40)
    | st.tuples(st.just(1), room_ids, st.just(0), records)
    | st.tuples(st.just(2), room_ids, uint64, records),
    max_size=6,
)


@given(nodes, uint64, uint64, sections)
def test_what_is_written_is_read(node: bytes, number: int, time: int, sections: list[Section]) -> None:
    bundle = encode_bundle(node, number, time, sections)
    assert decode_bundle(array("B", bundle)) == (node, number, time, sections)


@given(st.binary(max_size=100) | st.builds(lambda rest: bytes([1] * 33) + rest, st.binary(max_size=100)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        node, number, time, sections = decode_bundle(array("B", data))
    except ValueError:
        return
    again = encode_bundle(node, number, time, sections)
    assert len(again) <= len(data)
    assert again[:33] == data[:33]


@given(nodes, uint64, sections, st.data())
def test_one_byte_that_is_another_does_no_harm(
    node: bytes, number: int, sections: list[Section], data: st.DataObject
) -> None:
    bundle = bytearray(encode_bundle(node, number, 1, sections))
    index = data.draw(st.integers(0, len(bundle) - 1))
    bundle[index] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_bundle(array("B", bytes(bundle)))
    except ValueError:
        return
    assert len(encode_bundle(*decoded)) <= len(bundle)
