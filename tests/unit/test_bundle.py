"""The form of bundles: every byte, and every length that does not fit."""

from __future__ import annotations

from array import array

import pytest

from fastcollab._bundle import LARGEST_NOTICE, decode_bundle, encode_bundle

NODE = bytes(range(16))
RECORDS = [bytes([index]) * 24 for index in range(3)]


def exact(data: bytes) -> array[int]:
    """The bytes in a buffer without a byte behind it, so that a sanitizer sees a read past its end."""
    return array("B", data)


def test_a_bundle_is_written_as_its_module_shows() -> None:
    bundle = encode_bundle(NODE, 258, 2**40 + 1, [b"{}", (1, "é", 0, RECORDS[:1]), (2, "", 2**64 - 1, RECORDS[1:])])
    assert bundle == bytes.fromhex(
        "01 000102030405060708090a0b0c0d0e0f 0000000000000102 0000010000000001"
        "03 00000002 7b7d"
        "01 0000001c 0002 c3a9" + "00" * 24
    ) + bytes.fromhex("02 0000003a 0000 ffffffffffffffff" + "01" * 24 + "02" * 24)


def test_a_bundle_without_sections_is_its_header() -> None:
    assert len(encode_bundle(NODE, 0, 0, [])) == 33
    assert decode_bundle(exact(encode_bundle(NODE, 2**64 - 1, 2**64 - 1, []))) == (NODE, 2**64 - 1, 2**64 - 1, [])


def test_a_section_without_records_is_left_out() -> None:
    assert encode_bundle(NODE, 1, 1, [(1, "room", 0, []), b"x", (2, "room", 3, [])]) == encode_bundle(
        NODE, 1, 1, [b"x"]
    )


def test_a_section_of_an_unknown_kind_is_passed_over() -> None:
    bundle = encode_bundle(NODE, 1, 2, [b"one"]) + b"\x09\0\0\0\x03abc" + encode_bundle(NODE, 1, 2, [b"two"])[33:]
    assert decode_bundle(exact(bundle)) == (NODE, 1, 2, [b"one", b"two"])


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 2 is unknown"):
        decode_bundle(exact(b"\2" + encode_bundle(NODE, 1, 1, [])[1:]))


def test_a_bundle_that_breaks_off_anywhere_is_refused() -> None:
    sections = [b"notice", (1, "room", 0, RECORDS), (2, "room", 7, RECORDS)]
    whole = encode_bundle(NODE, 1, 1, sections)
    ends = [len(encode_bundle(NODE, 1, 1, sections[:count])) for count in range(4)]
    for size in range(len(whole)):
        if size in ends:
            assert len(decode_bundle(exact(whole[:size]))[3]) == ends.index(size)
        else:
            with pytest.raises(ValueError, match=r"too few|does not fit"):
                decode_bundle(exact(whole[:size]))


@pytest.mark.parametrize(
    "section",
    [
        "01 00000000",  # no length of an id
        "01 00000001 00",
        "01 00000003 0002 61",  # an id longer than its section
        "02 00000009 0000 00000000000000",  # no room for the version
        "02 0000000a 0001 6100000000000000",
        "01 00000019 0000" + "00" * 23,  # no whole record
        "01 0000001b 0000" + "00" * 25,
        "03 00000001",
        "01 ffffffff 0000",
        "03 ffffffff 00",
        "09 00000002 00",  # nor is an unknown kind longer than the bundle
        "00",
    ],
)
def test_a_section_that_does_not_fit_is_refused(section: str) -> None:
    with pytest.raises(ValueError, match=r"fit|few|whole"):
        decode_bundle(exact(encode_bundle(NODE, 1, 1, []) + bytes.fromhex(section)))


def test_an_id_that_is_no_utf_8_is_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        decode_bundle(exact(encode_bundle(NODE, 1, 1, []) + bytes.fromhex("01 00000003 0001 ff")))


def test_the_largest_notice() -> None:
    notice = bytes(LARGEST_NOTICE)
    bundle = encode_bundle(NODE, 1, 1, [notice])
    assert decode_bundle(bundle)[3] == [notice]
    with pytest.raises(ValueError, match="too large"):
        encode_bundle(NODE, 1, 1, [notice + b"x"])
    with pytest.raises(ValueError, match="too large"):
        decode_bundle(bundle[:34] + (LARGEST_NOTICE + 1).to_bytes(4) + bundle[38:] + b"x")


def test_the_longest_id_of_a_room() -> None:
    bundle = encode_bundle(NODE, 1, 1, [(1, "r" * 65_535, 0, RECORDS)])
    assert decode_bundle(exact(bundle))[3] == [(1, "r" * 65_535, 0, RECORDS)]
    with pytest.raises(ValueError, match="too long"):
        encode_bundle(NODE, 1, 1, [(1, "r" * 65_536, 0, RECORDS)])


@pytest.mark.parametrize("node", [b"", NODE[1:], NODE + b"x"])
def test_a_node_has_sixteen_bytes(node: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        encode_bundle(node, 1, 1, [])


@pytest.mark.parametrize("kind", [0, 3, 257])
def test_there_are_two_kinds_of_records(kind: int) -> None:
    with pytest.raises(ValueError, match="of kind"):
        encode_bundle(NODE, 1, 1, [(kind, "room", 0, RECORDS)])


@pytest.mark.parametrize("size", [0, 23, 25])
def test_a_record_has_24_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="24 bytes"):
        encode_bundle(NODE, 1, 1, [(1, "room", 0, [bytes(size)])])
