"""Recordings: what is written is read, however the file breaks off; and what is masked does what it did before."""

from __future__ import annotations

import math
import struct
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generators import json1, rich_text, text

from fastcollab import ot
from fastcollab.messages import PresenceData
from fastcollab.ot import ABSENT
from fastcollab.recording.anonymity import Anonymizer, masked
from fastcollab.recording.file import (
    VERSION,
    Document,
    End,
    Entry,
    Event,
    Frame,
    Gap,
    Header,
    Joined,
    Left,
    Operation,
    Presence,
    RecordingError,
    RecordingWriter,
    Resumed,
    read_recording,
)

HEADER = Header(VERSION, "board", 1_700_000_000_000)

numbers = st.integers(0, 2**32 - 1)
coordinates = st.floats(-(2.0**24), 2.0**24, width=32)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
users = st.text(min_size=1, max_size=8)
presences = st.builds(PresenceData, status=st.none() | st.text(max_size=8), data=values)


def frame(records: list[tuple[int, float, float]]) -> bytes:
    body = b"".join(struct.pack(">IffIff", number, x, y, 7, math.nan, math.nan) for number, x, y in records)
    return struct.pack(">HHI", 0x0101, len(records), 3) + body


entries: st.SearchStrategy[Any] = st.one_of(
    st.builds(Document, st.just(0.0), st.sampled_from(sorted(ot.types)), numbers, st.text(max_size=8), values),
    st.builds(Joined, st.just(0.0), users, numbers, st.text(max_size=8), st.just("#112233"), presences),
    st.builds(Left, st.just(0.0), users),
    st.builds(
        Frame, st.just(0.0), st.lists(st.tuples(numbers, coordinates, coordinates), min_size=1, max_size=4).map(frame)
    ),
    st.builds(Presence, st.just(0.0), users, presences),
    st.builds(Event, st.just(0.0), users, st.text(max_size=8), values),
    st.builds(Operation, st.just(0.0), users, numbers, numbers, values),
    st.builds(Gap, st.just(0.0)),
    st.builds(Resumed, st.just(0.0)),
)
times = st.floats(0, 1e9, allow_nan=False)


@st.composite
def recordings(draw: st.DrawFn) -> list[Entry]:
    lines = draw(st.lists(entries, max_size=6))
    at = sorted(draw(st.lists(times, min_size=len(lines), max_size=len(lines))))
    return [msgspec.structs.replace(line, t=t) for line, t in zip(lines, at, strict=True)]


def read(path: Path) -> list[Entry]:
    header, lines = read_recording(path)
    assert header == HEADER
    return [entry for _, entry in lines]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@given(lines=recordings(), share=st.floats(0, 1))
def test_what_is_written_is_read_up_to_where_the_file_breaks_off(name: str, lines: list[Entry], share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with RecordingWriter(path, HEADER) as writer:
            begin = writer.size
            for line in lines:
                writer.write(line)
                writer.flush()
            end = End(lines[-1].t if lines else 0.0)
            writer.write(end)
        assert path.stat().st_size == writer.size
        assert read(path) == [*lines, end]
        data = path.read_bytes()
        path.write_bytes(data[: begin + round(share * (len(data) - begin))])
        found = read(path)
        assert found == [*lines, end][: len(found)]


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, after_a_header: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any"
        path.write_bytes((msgspec.json.encode(HEADER) + b"\n" if after_a_header else b"") + data)
        try:
            read(path)
        except RecordingError as error:
            assert str(path) in str(error)


@given(st.text(max_size=20))
def test_masked_text_is_as_long_in_every_encoding(original: str) -> None:
    mask = masked(original)
    assert len(mask) == len(original)
    assert len(mask.encode()) == len(original.encode())
    assert len(mask.encode("utf-16-le")) == len(original.encode("utf-16-le"))
    assert mask.split() == masked(" ".join(original.split())).split()


@pytest.mark.parametrize(("name", "case"), [("text", text.case), ("json1", json1.case), ("rich-text", rich_text.case)])
@given(seed=st.integers(0, 2**32))
def test_a_masked_operation_does_to_a_masked_document_what_it_did(name: str, case: Any, seed: int) -> None:
    drawn = case(Random(seed))
    document_type, content, operation = ot.types[name], drawn.get("document", ABSENT), drawn["a"]
    anonymizer = Anonymizer()

    def mask(data: Any) -> Any:
        line = anonymizer.anonymous(Document(0.0, name, 1, "e", msgspec.UNSET if data is ABSENT else data))
        assert isinstance(line, Document)
        return ABSENT if line.data is msgspec.UNSET else line.data

    masked_content = mask(content)
    line = anonymizer.anonymous(Operation(0.0, "ann", 1, 2, operation))
    assert isinstance(line, Operation)
    after = document_type.apply(masked_content, document_type.normalize(line.operation))
    # Texts that were of different formats may be of one when masked, and are one insert then.
    expected = mask(document_type.apply(content, operation))
    assert after == (expected if name != "rich-text" else document_type.create(expected))
