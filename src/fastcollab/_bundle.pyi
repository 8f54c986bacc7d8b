from collections.abc import Iterable

from typing_extensions import Buffer

LARGEST_NOTICE: int

#: A notice, or `(kind, room id, document version, records)`; the version is 0 for cursors.
Section = bytes | tuple[int, str, int, list[bytes]]

def encode_bundle(node: bytes, number: int, time: int, sections: Iterable[Section]) -> bytes: ...
def decode_bundle(bundle: Buffer) -> tuple[bytes, int, int, list[Section]]: ...
