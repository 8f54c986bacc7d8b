"""What a replay makes of a recording before it plays it."""

from __future__ import annotations

import base64
import math
import struct
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generators import json1, rich_text, text

from fastcollab import ot
from fastcollab.bench.script import (
    Cue,
    Enter,
    Frames,
    Leave,
    Point,
    Say,
    Script,
    Select,
    Show,
    Write,
    load_script,
    replacement,
    taken_back,
)
from fastcollab.ot import ABSENT
from fastcollab.recording.file import RecordingError

HEADER = '{"kind":"recording","version":1,"room":"r","startedAt":0}'
EMPTY = '{"kind":"document","t":0,"type":"text","version":7,"epoch":"e","data":"ab"}'
ANN = '{"kind":"joined","t":0,"user":"ann","number":5,"name":"Ann","color":"red","presence":{}}'
CASES = [("text", text.case), ("json1", json1.case), ("rich-text", rich_text.case)]


def script(folder: Path, *lines: str) -> Script:
    path = folder / "recording.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    return load_script(path)


def write(version: int, operation: str, base: int | None = None, user: str = "ann", t: int = 0) -> str:
    base = version - 1 if base is None else base
    return f'{{"kind":"operation","t":{t},"user":"{user}","base":{base},"version":{version},"operation":{operation}}}'


def frame(*records: tuple[int, float, float]) -> str:
    body = b"".join(struct.pack(">IffIff", number, x, y, 7, math.nan, math.nan) for number, x, y in records)
    data = base64.b64encode(struct.pack(">HHI", 0x0101, len(records), 3) + body).decode()
    return f'{{"kind":"frame","t":50,"frame":"{data}"}}'


def test_a_recording_becomes_cues_and_frames(tmp_path: Path) -> None:
    found = script(
        tmp_path,
        HEADER,
        EMPTY,
        '{"kind":"joined","t":0,"user":"ann","number":5,"name":"Ann","color":"red","presence":'
        '{"cursor":{"x":1,"y":2},"selection":{"ranges":[{"anchor":0,"head":1}],"color":"red","version":7}}}',
        frame((5, 3.0, 4.0), (99, 0.0, 0.0)),
        write(8, '["c"]', t=100),
        '{"kind":"presence","t":200,"user":"ann","presence":{"status":null,"data":[1]}}',
        '{"kind":"event","t":300,"user":"bob","name":"wave"}',
        '{"kind":"gap","t":300}',
        '{"kind":"resumed","t":300}',
        '{"kind":"left","t":400,"user":"ann"}',
        '{"kind":"end","t":500}',
    )
    assert found.setting == [["ab"]]
    assert (found.actors, found.cast) == (["ann", "bob"], [0])
    selection = {"ranges": [{"anchor": 0, "head": 1}], "color": "red", "version": 1}
    assert found.plot == [
        Cue(0.0, 0, Point(1.0, 2.0, None)),
        Cue(0.0, 0, Select(selection)),
        Cue(0.1, 0, Write(["c"], 1, 2)),
        Cue(0.2, 0, Show({"status": None, "data": [1]})),
        Cue(0.3, 1, Enter()),  # who came while nobody was looking
        Cue(0.3, 1, Say({"name": "wave"})),
        Cue(0.4, 0, Leave()),
    ]
    assert found.frames == [Frames(0.05, 1, [(0, 3.0, 4.0, None)])]
    assert (found.cursors, found.operations, found.seconds) == (2, 1, 0.5)
    assert (found.complete, found.gaps, found.content) == (True, 1, "cab")


def test_operations_are_written_against_what_their_authors_had_seen(tmp_path: Path) -> None:
    """The second one was written where the first had not been seen, and the fourth where the text is gone since."""
    found = script(
        tmp_path,
        HEADER,
        EMPTY,
        ANN,
        write(8, '["xyz"]'),
        write(9, '[5,"!"]', base=7, user="bob"),
        write(10, '[{"d":6}]'),
        write(11, '["?"]', base=8, user="bob"),
    )
    writes = [cue.action for cue in found.plot if isinstance(cue.action, Write)]
    assert writes[1] == Write([2, "!"], 1, 3)
    assert found.content == "?"
    assert found.transformed_then == 2
    assert not found.complete


@pytest.mark.parametrize(("name", "case"), CASES)
@given(seed=st.integers(0, 2**32))
def test_what_is_taken_back_becomes_what_it_was(name: str, case: Any, seed: int) -> None:
    drawn = case(Random(seed))
    document_type, document = ot.types[name], drawn.get("document", ABSENT)
    committed, written = drawn["a"], drawn["b"]
    try:
        incoming = document_type.transform(written, committed, "left")
        inverse = document_type.invert(committed, document)
    except ot.OperationError:
        return
    operation, count = taken_back(document_type, incoming, [(committed, inverse)])
    assert count in (0, 1)
    if count:
        assert document_type.transform(operation, committed, "left") == incoming
    else:
        assert operation == incoming


@pytest.mark.parametrize(("name", "case"), CASES)
@given(seeds=st.tuples(st.integers(0, 2**32), st.integers(0, 2**32)))
def test_a_document_is_replaced_by_any_other(name: str, case: Any, seeds: tuple[int, int]) -> None:
    document_type = ot.types[name]
    first, second = (case(Random(seed)).get("document", ABSENT) for seed in seeds)
    if name == "rich-text":
        first, second = document_type.create(first), document_type.create(second)
    content = document_type.create()
    for target in (first, second):
        for operation in replacement(name, content, target):
            document_type.check(operation)
            content = document_type.apply(content, operation)
        assert content == target


def test_a_long_text_is_put_there_in_pieces() -> None:
    long = "ä" * 250_000
    operations = replacement("text", "before", long)
    assert len(operations) == 3
    content = "before"
    for operation in operations:
        content = ot.types["text"].apply(content, operation)
    assert content == long


def test_a_document_that_is_taken_anew_replaces_the_one_before(tmp_path: Path) -> None:
    again = '{"kind":"document","t":5,"type":"text","version":3,"epoch":"f","data":"new"}'
    found = script(tmp_path, HEADER, EMPTY, ANN, write(8, '["x"]'), again, write(4, '[3,"!"]', t=9))
    writes = [cue.action for cue in found.plot if isinstance(cue.action, Write)]
    assert [(each.base, each.version) for each in writes] == [(1, 2), (2, 3), (3, 4)]
    assert found.content == "new!"
    assert found.operations == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no recording of fastcollab"),
        (["{}"], "no recording of fastcollab"),
        (['{"kind":"recording","version":2,"room":"r","startedAt":0}'], "version 2, and version 1 is known"),
        ([HEADER], "nothing to replay"),
        ([HEADER, EMPTY], "nothing to replay"),
        ([HEADER, ANN], "line 2: a recording begins with the document"),
        ([HEADER, EMPTY.replace('"text"', '"none"')], "line 2: the document type 'none' is unknown"),
        ([HEADER, EMPTY.replace('"ab"', "5")], "line 2: the content is no document"),
        ([HEADER, EMPTY, ANN, "[]"], "line 4: Expected `object`"),
        ([HEADER, EMPTY, ANN, '{"kind":"dance","t":0}'], "line 4: Invalid value 'dance'"),
        ([HEADER, EMPTY, ANN, '{"kind":"left","t":"soon","user":"ann"}'], "line 4: Expected `float`"),
        ([HEADER, EMPTY, ANN, '{"kind":"left","t":-1,"user":"ann"}'], "line 4: the time -1 is not after 0"),
        ([HEADER, EMPTY, ANN, '{"kind":"frame","t":0,"frame":"AAAA"}'], "line 4: 3 bytes are too few"),
        ([HEADER, EMPTY, ANN, '{"kind":"frame","t":0,"frame":"?"}'], "line 4: Invalid base64"),
        ([HEADER, EMPTY, ANN, frame((5, math.inf, 0.0))], "line 4: the coordinate inf"),
        ([HEADER, EMPTY, ANN, frame((5, 0.0, 2.0**25))], "line 4: the coordinate 33554432"),
        ([HEADER, EMPTY, ANN, write(9, '["x"]')], "line 4: version 9 does not follow version 7"),
        ([HEADER, EMPTY, ANN, write(8, '["x"]', base=8)], "line 4: an operation that makes version 8"),
        ([HEADER, EMPTY, ANN, write(8, '[5,{"d":1}]')], "line 4: "),
        ([HEADER, EMPTY, ANN, write(8, '{"no":"operation"}')], "line 4: "),
        ([HEADER, EMPTY, ANN, write(8, "[" * 5000 + "]" * 5000)], "line 4: it is nested too deeply"),
        ([HEADER, EMPTY, ANN, '{"kind":"end","t":0}', ANN], "line 5: there is more after the end"),
        ([HEADER, EMPTY, ANN, EMPTY.replace('"text"', '"json1"')], "line 4: the document's type is 'json1'"),
    ],
)
def test_what_is_no_recording_is_refused_by_its_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(RecordingError) as refusal:
        script(tmp_path, *lines)
    assert message in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_a_file_that_is_not_there_or_is_packed_wrongly_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        load_script(tmp_path / "none")
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(b"\x1f\x8b" + b"\xff" * 100)
    with pytest.raises(RecordingError, match="cannot be unpacked"):
        load_script(damaged)
